"""Values of a column that a page has room for: along a side of a grid, or as curves and colours of a plot."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamsweep.report.catalogue import Coded, Rows
from dreamsweep.review.wall import in_words


@dataclass(frozen=True)
class Shown:
    """Some of the values that rows have, in their order, and which of them each row has."""

    values: list[str]
    numbers: NDArray[np.int64]
    """-1 for a row whose value is left out."""
    more: int
    """Values that are left out."""

    @classmethod
    def first(cls, column: Coded, rows: Rows, most: int) -> "Shown":
        """Returns the first so many values of the rows."""
        return cls._of(column, rows, present(column, rows), most)

    @classmethod
    def commonest(cls, column: Coded, rows: Rows, most: int) -> "Shown":
        """Returns the values that the most rows have."""
        counts, values = np.bincount(column.codes[rows], minlength=len(column.values)), present(column, rows)
        return cls._of(column, rows, values[np.argsort(-counts[values], kind="stable")], most)

    @classmethod
    def _of(cls, column: Coded, rows: Rows, preferred: NDArray[np.int64], most: int) -> "Shown":
        chosen = preferred[:most]
        chosen = chosen[np.argsort(column.places[chosen])]
        numbers = np.full(len(column.values), -1)
        numbers[chosen] = np.arange(len(chosen))
        return cls([in_words(column.values[n]) for n in chosen], numbers[column.codes[rows]], len(preferred) - len(chosen))


def present(column: Coded, rows: Rows) -> NDArray[np.int64]:
    """Returns the numbers of the values that these rows have, sorted by the values."""
    numbers = np.unique(column.codes[rows]).astype(np.int64)
    return numbers[np.argsort(column.places[numbers])]
