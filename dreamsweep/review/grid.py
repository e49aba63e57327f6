"""A wall as a grid of two settings, with further settings as tabs.

/api/sweeps/NAMES/grid    POST: the trials that a question selects, by row and column; NAMES as for a wall
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from numpy.typing import NDArray
from pydantic import TypeAdapter

from dreamsweep.report.catalogue import Rows
from dreamsweep.review.catalogues import Kept
from dreamsweep.review.shown import Shown, present
from dreamsweep.review.takeaway import SweepName
from dreamsweep.review.wall import Listed, Question, Setting, Tile, Walls, column_of, in_words, json_response, tile

MOST_ON_AN_AXIS = 200


class Axes(Question):
    """A grid of the same trials."""

    rows: Setting
    columns: Setting
    tabs: Setting = ""
    tab: str | None = None


@dataclass(frozen=True)
class Cell:
    """Trials of a grid's row, column or both."""

    trials: int
    z_score: float | None
    """Mean of their z-scores within their prompts."""
    best: Tile | None = None


@dataclass(frozen=True)
class Grid:
    """A wall by two settings."""

    matched: int
    unknown: list[str]
    tabs: list[str]
    tab: str | None
    trials: int
    """Trials on this tab, of those that the question selects."""
    across: list[tuple[str, Cell | None]]
    down: list[tuple[str, Cell | None]]
    cells: list[list[Cell | None]]
    """By row and column; None where there is no trial."""
    more: bool
    """Whether values of an axis are left out."""


GRID = TypeAdapter(Grid)


def add_grids(app: FastAPI, walls: Walls, from_this_page: Callable[[Request], None]) -> None:
    """Adds the address."""

    @app.post("/api/sweeps/{sweep}/grid", dependencies=[Depends(from_this_page)])
    def grid(sweep: SweepName, wanted: Axes) -> Response:
        return json_response(GRID.dump_json(grid_of(walls, sweep, wanted)))


def grid_of(walls: Walls, names: str, wanted: Axes) -> Grid:
    """Returns a wall as a grid. Raises StoreError where a sweep is not published."""
    kept = walls.catalogues.of(names)
    return _grid(kept, walls.listed(kept, wanted), wanted)


def _grid(kept: Kept, listed: Listed, axes: Axes) -> Grid:
    catalogue, rows = kept.catalogue, listed.rows
    tabs, tab = list[str](), None
    if axes.tabs:
        column = column_of(catalogue, axes.tabs)
        numbers = present(column, rows)
        tabs = [in_words(column.values[n]) for n in numbers]
        chosen = tabs.index(axes.tab) if axes.tab in tabs else 0
        tab = tabs[chosen] if tabs else None
        rows = rows[column.codes[rows] == numbers[chosen]] if tabs else rows
    down, across = (Shown.first(column_of(catalogue, name), rows, MOST_ON_AN_AXIS) for name in (axes.rows, axes.columns))
    scores = catalogue.z_score[rows]
    of_cells = np.where((down.numbers >= 0) & (across.numbers >= 0), down.numbers * len(across.values) + across.numbers, -1)
    cells = _cells(kept, of_cells, len(down.values) * len(across.values), rows, scores, True)
    return Grid(
        matched=len(listed.rows),
        unknown=listed.unknown,
        tabs=tabs[:MOST_ON_AN_AXIS],
        tab=tab,
        trials=len(rows),
        across=list(zip(across.values, _cells(kept, across.numbers, len(across.values), rows, scores, False), strict=True)),
        down=list(zip(down.values, _cells(kept, down.numbers, len(down.values), rows, scores, False), strict=True)),
        cells=[cells[at : at + len(across.values)] for at in range(0, len(cells), len(across.values) or 1)],
        more=bool(down.more or across.more),
    )


def _cells(
    kept: Kept, places: NDArray[np.int64], number: int, rows: Rows, scores: NDArray[np.float64], with_tiles: bool
) -> list[Cell | None]:
    """Returns a cell for each place, None where no row is; rows of the place -1 are left out."""
    inside, known = places >= 0, (places >= 0) & ~np.isnan(scores)
    trials, scored = np.bincount(places[inside], minlength=number), np.bincount(places[known], minlength=number)
    sums = np.bincount(places[known], weights=scores[known], minlength=number)
    first = dict(zip(*(each.tolist() for each in np.unique(places, return_index=True)), strict=True)) if with_tiles else {}
    return [
        Cell(int(trials[n]), float(sums[n] / scored[n]) if scored[n] else None, tile(kept, int(rows[first[n]])) if with_tiles else None)
        if trials[n]
        else None
        for n in range(number)
    ]
