"""Data of a study: the trials of one published sweep as a report compares them, prompt by prompt and setting by setting."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from dreamsweep.report.labels import COLUMNS, PROMPT_COLUMNS, labels, natural, prompt_labels, prompt_of, variant_of
from dreamsweep.report.query import query
from dreamsweep.store import Store

RESAMPLES = 2_000
"""Bootstrap resamples of an interval."""
SURE = 0.95
"""Share of resamples within an interval."""
FEWEST_OF_A_GROUP = 4
"""Trials below which a group is no scale: of two, one is always as far above their mean as the other is below."""
FEWEST_PAIRS = 5
"""Pairs below which no interval is given: it would be narrower than what is known."""
Sides = np.ndarray[Any, np.dtype[np.float64]]
_COLUMNS = (
    *("trial_id", *PROMPT_COLUMNS, *COLUMNS, "iterations", "iterations_done", "loss_last", "best_iteration", "switches"),
    *("film_uri", "sheet_uri", "status", "seconds", "device", "weights", "versions"),
)


@dataclass(frozen=True)
class StudyTrial:
    """A trial as a report sees it: its row of the table of trials, and the names of its prompt and of its settings."""

    row: Mapping[str, Any]
    prompt: str
    setting: str
    """The engine with those settings in which the sweep's trials differ; not the seed."""

    @property
    def trial_id(self) -> str:
        """Returns the trial's id."""
        return str(self.row["trial_id"])


@dataclass(frozen=True)
class Judged:
    """Scores of one judge: what it said of each trial's picture."""

    judge: str
    chose_best: bool
    """Whether this judge chose the pictures: its score is then the highest of many, not one look."""
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval (Efron, 1979)."""

    value: float
    low: float
    high: float
    count: int
    """Pairs or trials that it comes from."""

    @property
    def is_clear(self) -> bool:
        """Returns whether zero lies outside."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Study:
    """One published sweep, read once."""

    store: Store
    sweep: str
    trials: tuple[StudyTrial, ...]
    judged: tuple[Judged, ...]
    """The judge that chose first, then the others by name."""
    ranks: Mapping[str, int]
    """Each trial's standing within its prompt (see `report.ranks`)."""

    @classmethod
    def of(cls, store: Store, sweep: str) -> "Study":
        """Reads a sweep. Raises StoreError where it is not published."""
        rows: list[dict[str, Any]] = query(store, f"SELECT {', '.join(_COLUMNS)} FROM trials ORDER BY trial_id", sweep).to_pylist()
        prompts = prompt_labels(prompt_of(row) for row in rows)
        names = labels([{**row, "seed": 0} for row in rows])
        trials = (StudyTrial(row, prompts[prompt_of(row)], names[(*variant_of(row)[:2], 0)]) for row in rows)
        ranks = {row["trial_id"]: row["rank"] for row in query(store, "SELECT trial_id, rank FROM standings", sweep).to_pylist()}
        return cls(store, sweep, tuple(trials), tuple(_judged(store, sweep)), ranks)

    @cached_property
    def prompts(self) -> list[str]:
        """Returns names of the prompts, in the order that people count in."""
        return sorted({trial.prompt for trial in self.trials}, key=natural)

    @cached_property
    def settings(self) -> list[str]:
        """Returns names of the settings, in the order that people count in."""
        return sorted({trial.setting for trial in self.trials}, key=natural)

    def cell(self, setting: str, prompt: str) -> list[StudyTrial]:
        """Returns the trials of a prompt with a setting, seed by seed."""
        return [trial for trial in self.trials if (trial.setting, trial.prompt) == (setting, prompt)]

    def best_of(self, setting: str, prompt: str) -> StudyTrial | None:
        """Returns the trial of the first rank; the first of all where nothing was judged."""
        return self.foremost(self.cell(setting, prompt))

    def foremost(self, trials: Iterable[StudyTrial]) -> StudyTrial | None:
        """Returns the trial of the first rank among those of one prompt."""
        return min(trials, key=lambda trial: self.ranks.get(trial.trial_id, len(self.trials)), default=None)

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """Returns the answer to a statement about this sweep."""
        rows: list[dict[str, Any]] = query(self.store, sql, self.sweep).to_pylist()
        return rows


def _judged(store: Store, sweep: str) -> Iterable[Judged]:
    sql = "SELECT judge, chose_best, trial_id, score FROM ranks ORDER BY chose_best DESC, judge, version, trial_id"
    by_judge: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for row in query(store, sql, sweep).to_pylist():
        by_judge.setdefault((row["judge"], row["chose_best"]), []).append(row)
    for (judge, chose_best), rows in by_judge.items():
        yield Judged(judge, chose_best, {row["trial_id"]: row["score"] for row in rows})


def mean_table(study: Study, scores: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Returns the mean score of each setting (outer) and prompt (inner) over the seeds; cells without a score are left out."""
    table: dict[str, dict[str, float]] = {}
    for setting in study.settings:
        for prompt in study.prompts:
            values = [scores[trial.trial_id] for trial in study.cell(setting, prompt) if trial.trial_id in scores]
            if values:
                table.setdefault(setting, {})[prompt] = fmean(values)
    return table


def mean_ranks(table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Returns each setting's mean rank over the prompts, 1 for the best of a prompt; equal scores share their ranks' mean."""
    prompts = sorted({prompt for row in table.values() for prompt in row})
    ranks: dict[str, list[float]] = {}
    for prompt in prompts:
        with_score = [setting for setting in table if prompt in table[setting]]
        for setting, rank in zip(with_score, stats.rankdata([-table[setting][prompt] for setting in with_score]), strict=True):
            ranks.setdefault(setting, []).append(float(rank))
    return {setting: fmean(values) for setting, values in ranks.items()}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Returns Spearman's rank correlation with its interval; None for fewer than five pairs, or where one side does not vary."""
    pairs = np.array([first, second], dtype=np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    if pairs.shape[1] < FEWEST_PAIRS or any(len(set(side)) < 2 for side in pairs):
        return None
    return _interval(tuple(pairs), _spearman)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Returns the mean of `first - second` with its interval; None for fewer than five pairs."""
    differences = np.array(first, dtype=np.float64) - np.array(second, dtype=np.float64)
    differences = differences[np.isfinite(differences)]
    return None if len(differences) < FEWEST_PAIRS else _interval((differences,), np.mean)


def _spearman(first: Sides, second: Sides) -> float:
    """Returns the rank correlation; 0 where a resample holds one value alone."""
    ranks = stats.rankdata(first), stats.rankdata(second)
    return 0.0 if any(side.std() == 0 for side in ranks) else float(np.corrcoef(*ranks)[0, 1])


def _interval(sides: tuple[Sides, ...], statistic: Callable[..., Any]) -> Interval:
    resampled = stats.bootstrap(
        sides, statistic, paired=True, vectorized=False, n_resamples=RESAMPLES, confidence_level=SURE, method="percentile",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    low, high = resampled.confidence_interval
    return Interval(float(statistic(*sides)), float(low), float(high), len(sides[0]))


def within_groups(values: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    """Returns each value's rank within its group, from 0 (lowest) to 1 (highest); equal values share their ranks' mean.

    Ranks, not distances: one trial that diverged would make all others of its group alike. Groups that do not vary, or have fewer than
    four members, are left out.
    """
    members: dict[str, list[str]] = {}
    for key, value in values.items():
        if np.isfinite(value):
            members.setdefault(groups[key], []).append(key)
    ranks: dict[str, float] = {}
    for of_group in members.values():
        own = [values[key] for key in of_group]
        if len(of_group) >= FEWEST_OF_A_GROUP and len(set(own)) > 1:
            ranks |= {key: float(rank - 1) / (len(own) - 1) for key, rank in zip(of_group, stats.rankdata(own), strict=True)}
    return ranks


def phrasing_of(prompt: str, phrasings: Sequence[str]) -> tuple[str, str] | None:
    """Returns the phrasing that a prompt has, and what stands for `{}` in it; of several that fit, the one with most words.

    `a photo of the face of Ada` has `a photo of the face of {}`, not `a photo of {}`. None where none fits.
    """
    for phrasing in sorted(phrasings, key=len, reverse=True):
        before, _, after = phrasing.partition("{}")
        if match := re.fullmatch(re.escape(before) + "(.+)" + re.escape(after), prompt):
            return phrasing, match.group(1)
    return None
