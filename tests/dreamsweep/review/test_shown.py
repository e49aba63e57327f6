"""Values of a column that a page has room for."""

import numpy as np

from dreamsweep.report.catalogue import Coded
from dreamsweep.review.shown import Shown, present

COLUMN = Coded(["thing 10", "thing 9", None, "thing 2", "unused"], np.array([0, 0, 1, 2, 3, 3, 3, 1], np.int32))
ROWS = np.arange(8, dtype=np.int32)


def test_present_values_stand_in_their_order() -> None:
    assert [COLUMN.values[n] for n in present(COLUMN, ROWS)] == ["thing 2", "thing 9", "thing 10", None]
    assert [COLUMN.values[n] for n in present(COLUMN, ROWS[2:4])] == ["thing 9", None]


def test_the_first_values_are_shown() -> None:
    shown = Shown.first(COLUMN, ROWS, 2)
    assert (shown.values, shown.more) == (["thing 2", "thing 9"], 2)
    assert shown.numbers.tolist() == [-1, -1, 1, -1, 0, 0, 0, 1]
    assert Shown.first(COLUMN, ROWS, 9).values[-1] == "–"


def test_the_commonest_values_are_shown_in_their_order() -> None:
    shown = Shown.commonest(COLUMN, ROWS, 2)
    assert (shown.values, shown.more) == (["thing 2", "thing 9"], 2), "of two that are as common, the first"
    assert Shown.commonest(COLUMN, ROWS[:7], 2).values == ["thing 2", "thing 10"]
    assert Shown.commonest(COLUMN, ROWS[:0], 2).values == []
