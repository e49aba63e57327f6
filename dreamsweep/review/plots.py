"""Plots of what a wall shows: curves of many trials with their mean and spread, and any setting or score against a score.

/api/sweeps/NAMES/curves    POST: mean and band of a score over the runs, by the values of a setting; NAMES as for a wall
/api/sweeps/NAMES/scatter   POST: a setting and a score, or two scores, of each trial
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from fastapi import Depends, FastAPI, Request, Response
from numpy.typing import NDArray
from pydantic import TypeAdapter

from dreamsweep.report.catalogue import Catalogue, Coded, Rows
from dreamsweep.report.query import Session, answer
from dreamsweep.review.ask import LIMITS, time_limit
from dreamsweep.review.catalogues import Kept
from dreamsweep.review.shown import Shown
from dreamsweep.review.takeaway import SweepName
from dreamsweep.review.wall import Question, Setting, Walls, json_response, key_of

MOST_CURVES, MOST_IN_A_CURVE = 8, 400
"""Curves of one plot, and trials of each: of more, so many are drawn by lot."""
MOST_POINTS = 200
"""Points of a curve over the iterations."""
SHARES = 50
"""Points of a curve over shares of the run."""
MOST_DOTS = 3_000
MOST_PLACES = 40
"""Values of a setting along a scatter plot."""
FEW = 12
"""Values of a setting that is a number up to which each has a place of its own, equally far apart."""
KEPT = 8
"""Answers that are kept."""
CURVES = """
WITH points AS MATERIALIZED (
    SELECT number, {place} AS place, arg_max({score}, iteration) AS score
    FROM scores JOIN _drawn USING (sweep, trial_id) WHERE {score} IS NOT NULL AND NOT isnan({score}) GROUP BY ALL
), stops AS (SELECT DISTINCT place FROM points)
SELECT curve, wanted.place, avg(score) AS mean, quantile_cont(score, 0.1) AS low, quantile_cont(score, 0.9) AS high, count(*) AS trials
FROM (SELECT number, curve, place FROM _drawn JOIN stops ON place <= _drawn.last_place) AS wanted
ASOF JOIN points USING (number, place)
GROUP BY curve, wanted.place ORDER BY curve, wanted.place
"""
"""At each point of the runs, every trial counts with the latest score that it has up to there."""
BATCH = 65_536


class CurvesQuestion(Question):
    """Curves of the same trials."""

    score: Literal["judge", "guide"] = "judge"
    along: Literal["iteration", "share"] = "iteration"
    by: Setting = ""
    """Field or setting with a curve for each of its values; one for all trials without."""


class ScatterQuestion(Question):
    """Scatter plot of the same trials."""

    across: Setting = "seed"
    up: Setting = "judge"
    by: Setting = ""
    """Field or setting whose values have colours."""


@dataclass(frozen=True)
class Curve:
    """Mean and spread of the trials with one value."""

    value: str
    trials: int
    """How many of the trials that the question selects have the value."""
    drawn: int
    """How many of them the curve is of."""
    at: list[float]
    """Iterations, or shares of the run."""
    mean: list[float]
    low: list[float]
    """The 10th percentile of the trials; `high` is the 90th."""
    high: list[float]
    counts: list[int]
    """How many trials have a score up to there, and have run so far."""


@dataclass(frozen=True)
class Curves:
    """Curves by the values of a setting."""

    matched: int
    """Trials that the question selects."""
    curves: list[Curve]
    more: int
    """Values without a curve: those that the fewest trials have."""


@dataclass(frozen=True)
class Scatter:
    """Settings and scores of trials, a dot for each."""

    matched: int
    """Trials that the question selects."""
    plotted: int
    """Trials that have both values; dots are drawn by lot where they are many."""
    places: list[str] | None
    """Values of the setting that lies across, in their order; `x` are their numbers then. None where it is a number itself."""
    left_out: int
    """Values that have no place."""
    groups: list[str]
    """Values that have a colour: those that the most trials have, and the rest as one."""
    keys: list[str]
    x: list[float]
    y: list[float]
    group: list[int]
    """Number of each trial's group."""


CURVES_JSON, SCATTER_JSON = TypeAdapter(Curves), TypeAdapter(Scatter)


class Plots:
    """Answers questions about curves; one at a time reads the store, the latest answers are kept."""

    def __init__(self, walls: Walls) -> None:
        self.walls = walls
        self._reading = threading.Lock()
        self._kept: OrderedDict[tuple[str, CurvesQuestion], Curves] = OrderedDict()

    def curves(self, names: str, wanted: CurvesQuestion) -> Curves:
        """Returns curves of what a wall shows. Raises StoreError where a sweep is not published, QueryError at the time limit."""
        kept = self.walls.catalogues.of(names)
        with self._reading:
            key = (kept.state, wanted)
            curves = self._kept.pop(key, None) or self._read(kept, wanted)
            self._kept[key] = curves
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return curves

    def _read(self, kept: Kept, wanted: CurvesQuestion) -> Curves:
        rows = self.walls.listed(kept, wanted).rows
        groups = Shown.commonest(_column(kept.catalogue, wanted.by), rows, MOST_CURVES)
        drawn = [_by_lot(rows[groups.numbers == number], MOST_IN_A_CURVE) for number in range(len(groups.values))]
        places = _Places.of(wanted, kept.catalogue.iterations[np.concatenate([*drawn, np.zeros(0, np.int32)])])
        trials = _trials(kept, drawn, places)
        store, sql = self.walls.catalogues.store, CURVES.format(place=places.sql, score=wanted.score)
        points = answer(store, lambda session: _points(session, trials, sql), kept.sweeps, limits=LIMITS)
        sizes = np.bincount(groups.numbers[groups.numbers >= 0], minlength=len(groups.values))
        curves = [_curve(value, int(sizes[n]), len(drawn[n]), points.get(n, []), places) for n, value in enumerate(groups.values)]
        return Curves(len(rows), curves, groups.more)


def add_plots(app: FastAPI, walls: Walls, from_this_page: Callable[[Request], None]) -> None:
    """Adds the addresses."""
    plots = Plots(walls)

    @app.post("/api/sweeps/{sweep}/curves", dependencies=[Depends(from_this_page)])
    def curves(sweep: SweepName, wanted: CurvesQuestion) -> Response:
        return json_response(CURVES_JSON.dump_json(plots.curves(sweep, wanted)))

    @app.post("/api/sweeps/{sweep}/scatter", dependencies=[Depends(from_this_page)])
    def scatter(sweep: SweepName, wanted: ScatterQuestion) -> Response:
        return json_response(SCATTER_JSON.dump_json(scatter_of(walls, sweep, wanted)))


def scatter_of(walls: Walls, names: str, wanted: ScatterQuestion) -> Scatter:
    """Returns a dot for each trial that a wall shows. Raises StoreError where a sweep is not published."""
    kept = walls.catalogues.of(names)
    catalogue, every = kept.catalogue, walls.listed(kept, wanted).rows
    x, places = _across(catalogue, wanted.across, every)
    y = catalogue.numbers(wanted.up)[every]
    present = np.flatnonzero(~np.isnan(x) & ~np.isnan(y))
    drawn = _by_lot(present, MOST_DOTS)
    rows = every[drawn]
    groups = Shown.commonest(_column(catalogue, wanted.by), rows, MOST_CURVES)
    return Scatter(
        matched=len(every),
        plotted=len(present),
        places=places.values if places else None,
        left_out=places.more if places else 0,
        groups=groups.values + ["others"] * bool(groups.more),
        keys=[key_of(kept, row) for row in rows.tolist()],
        x=[_short(value) for value in x[drawn].tolist()],
        y=[_short(value) for value in y[drawn].tolist()],
        group=np.where(groups.numbers < 0, len(groups.values), groups.numbers).tolist(),
    )


@dataclass(frozen=True)
class _Places:
    """Points of the runs at which curves are drawn, counted from 0."""

    sql: str
    """The place of a row of the scores."""
    width: int
    """Iterations from one to the next; 0 where they are shares of the run."""
    longest: int
    """Iterations of the longest run."""

    @classmethod
    def of(cls, wanted: CurvesQuestion, iterations: NDArray[np.int32]) -> "_Places":
        longest = int(iterations.max(initial=1))
        if wanted.along == "share":
            return cls(f"least(({SHARES} * iteration - 1) // iterations, {SHARES - 1})", 0, longest)
        width = -(-longest // MOST_POINTS)
        return cls(f"(iteration - 1) // {width}", width, longest)

    def last(self, iterations: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns the last place of runs of these lengths."""
        runs = np.maximum(iterations, 1).astype(np.int64)
        return (runs - 1) // self.width if self.width else np.full(len(runs), SHARES - 1)

    def at(self, places: list[int]) -> list[float]:
        """Returns the iterations, or the shares of the run, of places."""
        return [min((place + 1) * self.width, self.longest) if self.width else (place + 1) / SHARES for place in places]


def _column(catalogue: Catalogue, name: str) -> Coded:
    """Returns the values of a field or setting; one for all rows where it has no such name."""
    return catalogue.column(name) if name in catalogue.names else Coded(["all trials"], np.zeros(len(catalogue), np.int32))


def _across(catalogue: Catalogue, name: str, rows: Rows) -> tuple[NDArray[np.float64], Shown | None]:
    """Returns how far across each row lies, NaN for one without the value. With the values that have places, where they are no scale."""
    if name in catalogue.scores:
        return catalogue.numbers(name)[rows], None
    column = _column(catalogue, name)
    codes = column.codes[rows]
    present = [column.values[code] for code in np.unique(codes)]
    numbers = catalogue.numbers(name)[rows] if name in catalogue.names else np.zeros(len(rows))
    known = np.array([value is not None for value in column.values])[codes]
    if len(present) > FEW and not np.isnan(numbers[known]).any():
        return numbers, None
    places = Shown.commonest(Coded(column.values, codes), np.flatnonzero(known).astype(np.int32), MOST_PLACES)
    x = np.full(len(rows), np.nan)
    x[known] = np.where(places.numbers < 0, np.nan, places.numbers)
    return x, places


def _by_lot(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """Returns so many of the rows, in their order, the same each time."""
    return rows if len(rows) <= most else rows[np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False))]


def _trials(kept: Kept, drawn: list[Rows], places: _Places) -> pa.Table:
    """Returns the trials of curves as a table: number, sweep, id, number of the curve, iterations done, last place."""
    rows = np.concatenate([*drawn, np.zeros(0, np.int32)])
    catalogue = kept.catalogue
    iterations = catalogue.iterations[rows]
    return pa.table(
        {
            "number": np.arange(len(rows)),
            "sweep": pa.array([catalogue.sweep_names[code] for code in catalogue.sweep[rows]], pa.string()),
            "trial_id": pa.array([catalogue.trial_id(row) for row in rows.tolist()], pa.string()),
            "curve": np.repeat(np.arange(len(drawn)), [len(each) for each in drawn]),
            "iterations": np.maximum(iterations, 1),
            "last_place": places.last(iterations),
        }
    )


def _points(session: Session, trials: pa.Table, sql: str) -> dict[int, list[dict[str, Any]]]:
    """Returns the points of each curve. Raises QueryError at the time limit."""
    session.connection.register("_drawn", trials)
    with time_limit(session.connection):
        rows = session.batches(sql, BATCH).read_all().to_pylist()
    return {curve: list(points) for curve, points in groupby(rows, itemgetter("curve"))}


def _curve(value: str, trials: int, drawn: int, points: list[dict[str, Any]], places: _Places) -> Curve:
    mean, low, high = ([_short(point[name]) for point in points] for name in ("mean", "low", "high"))
    at = places.at([point["place"] for point in points])
    return Curve(value, trials, drawn, at, mean, low, high, [point["trials"] for point in points])


def _short(value: float) -> float:
    """Returns a number with six digits: no screen shows more."""
    return float(f"{value:.6g}")
