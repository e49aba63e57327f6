"""All trials of one or several sweeps as columns in memory, to be searched, sorted and counted without a query each time."""

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dreamsweep.report.labels import COLUMNS, labels_of, named_settings, natural, settings_of, variant_of
from dreamsweep.report.query import Session
from dreamsweep.report.ranks import FOREMOST, OF_PROMPT, RANKED_TRIALS
from dreamsweep.store import keys

OF_KIND = COLUMNS[:-1]
KIND = f"hash({', '.join(OF_KIND)})"
"""Number of the engine and settings of a trial: few kinds have many trials, so that settings are read and put into words once each."""
ROWS = f"""
SELECT sweep, trial_id, {OF_PROMPT} AS prompt, {KIND} AS kind, seed, status, ranked_by, judge_best AS judge, guide_best AS guide, z_score,
       iterations_done AS iterations, coalesce(rank, 0) AS rank, coalesce(rivals, 0) AS rivals, best_uri IS NOT NULL AS pictured,
       if(len(switches) = len(prompts_to), len([frame FOR frame IN switches IF frame <= best_iteration]), 0) AS shown
FROM {RANKED_TRIALS} ORDER BY {FOREMOST}
"""
PROMPTS = f"SELECT {OF_PROMPT} AS number, any_value(prompt) AS prompt, any_value(prompts_to) AS prompts_to FROM trials GROUP BY number"
JUDGED = f"""
SELECT sweep, trial_id, judge, score::DOUBLE AS score FROM judgements WHERE picture = '{keys.BEST}' AND score IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, judge ORDER BY scored_at DESC) = 1 ORDER BY judge
"""
KINDS = f"SELECT {KIND} AS number, {', '.join(OF_KIND)} FROM trials SEMI JOIN first_of_kinds USING (sweep, trial_id)"
BATCH = 65_536
UNREADABLE = OSError, ValueError, KeyError, BadZipFile
"""Errors of reading a kept catalogue that is damaged, or of another version."""
TEXTS = ("engine", "prompt", "status", "sweep")
NUMBERS = ("judge", "guide", "rank", "z_score")
FIELDS = ("seed", *TEXTS, *NUMBERS)
"""Fields of a trial by which people search and sort as by settings."""

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]


class Prompt(NamedTuple):
    """Prompt, with those that a walk goes on to."""

    text: str
    to: tuple[str, ...] = ()


class Kind(NamedTuple):
    """Engine with its settings, without a seed."""

    engine: str
    label: str
    """The engine, and the settings in which trials of the catalogue differ."""
    settings: dict[str, str]
    """An optimizer's own stand beside it, by the names of a sweep file."""


@dataclass(frozen=True)
class Coded:
    """Column of few distinct values: each row holds the number of its own."""

    values: Sequence[Any]
    codes: NDArray[np.int32]

    def where(self, holds: Callable[[Any], bool]) -> Mask:
        """Returns the rows whose value fulfils a condition, which each distinct value is put to once."""
        return np.fromiter(map(holds, self.values), bool, len(self.values))[self.codes]

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """Place of each value among all, numbers as numbers and `thing 9` before `thing 10`, those that are None last."""
        numbers = [number_of(value) for value in self.values]
        numeric = all(value is None or not math.isnan(number) for value, number in zip(self.values, numbers, strict=True))
        key = (lambda n: numbers[n]) if numeric else (lambda n: natural(str(self.values[n])))
        order = sorted(range(len(self.values)), key=lambda n: (True,) if self.values[n] is None else (False, key(n)))
        places = np.empty(len(order), np.int32)
        places[order] = np.arange(len(order))
        return places


@dataclass(frozen=True)
class Catalogue:
    """Trials, the best of each prompt first. Its methods take and return row numbers; all columns have a value for each row."""

    sweep_names: list[str]
    prompts: list[Prompt]
    kinds: list[Kind]
    statuses: list[str]
    judges: list[str | None]
    """Judges that ranks come from."""
    further_judges: list[str]
    """Judges that scored best pictures afterwards."""
    id: NDArray[np.uint64]
    """Trials' ids, which are 16 hexadecimal digits."""
    sweep: NDArray[np.int32]
    prompt: NDArray[np.int32]
    kind: NDArray[np.int32]
    status: NDArray[np.int32]
    ranked_by: NDArray[np.int32]
    seed: NDArray[np.int64]
    judge: NDArray[np.float64]
    guide: NDArray[np.float64]
    z_score: NDArray[np.float64]
    """NaN where there is none, here, in the two above and below."""
    further_scores: NDArray[np.float64]
    """Scores of the best picture, by row and further judge."""
    iterations: NDArray[np.int32]
    """How many were done."""
    rank: NDArray[np.int32]
    """0 where a trial was not scored."""
    rivals: NDArray[np.int32]
    pictured: Mask
    shown: NDArray[np.int32]
    """Which of a walk's prompts its best picture shows."""
    _orders: dict[str, Rows] = field(default_factory=dict, init=False, compare=False)

    def __len__(self) -> int:
        return len(self.id)

    @cached_property
    def swept(self) -> list[str]:
        """Names of the settings in which trials of the same engine differ."""
        values: dict[tuple[str, str], set[str]] = {}
        for kind in self.kinds:
            for name, value in kind.settings.items():
                values.setdefault((name, kind.engine), set()).add(value)
        return sorted({name for (name, _), each in values.items() if len(each) > 1})

    @cached_property
    def names(self) -> list[str]:
        """Names of the fields and settings that trials have, and of further judges."""
        return [*dict.fromkeys([*FIELDS, *(name for kind in self.kinds for name in kind.settings), *self.further_judges])]

    @cached_property
    def scores(self) -> list[str]:
        """Names of scores and ranks, those of further judges included."""
        settings = {name for kind in self.kinds for name in kind.settings}
        return [*NUMBERS, *(name for name in self.further_judges if name not in settings and name not in FIELDS)]

    @cached_property
    def shows(self) -> Coded:
        """The prompt that each best picture shows: of a walk it may be a later one."""
        every = [(prompt.text, *prompt.to) for prompt in self.prompts]
        texts: dict[str, int] = {}
        codes = np.array([texts.setdefault(text, len(texts)) for several in every for text in several], np.int32)
        starts = np.cumsum([0, *(len(several) for several in every)])[:-1]
        return Coded(list(texts), codes[starts[self.prompt] + self.shown])

    @cached_property
    def but_for_seed(self) -> NDArray[np.int64]:
        """Numbers of which trials have the same where they have one prompt, engine and settings."""
        return self.prompt.astype(np.int64) * len(self.kinds) + self.kind

    def column(self, name: str) -> Coded:
        """Returns a field or setting; None for trials without the setting."""
        if name not in self._columns:
            self._columns[name] = self._column(name)
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, Coded]:
        return {}

    def _column(self, name: str) -> Coded:
        match name:
            case "sweep":
                return Coded(self.sweep_names, self.sweep)
            case "prompt":
                return Coded([prompt.text for prompt in self.prompts], self.prompt)
            case "engine":
                return self._of_kinds([kind.engine for kind in self.kinds])
            case "status":
                return Coded(self.statuses, self.status)
            case "seed":
                seeds, codes = np.unique(self.seed, return_inverse=True)
                return Coded(seeds.tolist(), codes.astype(np.int32))
            case _:
                return self._of_kinds([kind.settings.get(name) for kind in self.kinds])

    def _of_kinds(self, values: Sequence[str | None]) -> Coded:
        distinct = list(dict.fromkeys(values))
        numbers = {value: number for number, value in enumerate(distinct)}
        return Coded(distinct, np.array([numbers[value] for value in values], np.int32)[self.kind])

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Returns a field or setting as numbers; NaN where it is none."""
        if name == "rank":
            return np.where(self.rank > 0, self.rank, np.nan)
        if name in NUMBERS:
            column: NDArray[np.float64] = getattr(self, name)
            return column
        if name in self.scores:
            scores: NDArray[np.float64] = self.further_scores[:, self.further_judges.index(name)]
            return scores
        coded = self.column(name)
        return np.array([number_of(value) for value in coded.values])[coded.codes]

    def order(self, name: str) -> Rows:
        """Returns all rows by a field or setting: scores from the highest, all else from the lowest. `best` leaves them as they are."""
        if name not in self._orders:
            if name in ("rank", "best"):
                by: NDArray[Any] = np.zeros(0)
            elif name in self.scores:
                by = -self.numbers(name)  # NaN stays at the end
            else:
                by = self.column(name).places[self.column(name).codes]
            order = np.argsort(by, kind="stable") if by.size else np.arange(len(self))
            self._orders[name] = order.astype(np.int32)
        return self._orders[name]

    def row_of(self, sweep: str, trial: str) -> int | None:
        """Returns the row of a trial, None where there is none."""
        rows = self.rows_of([(sweep, trial)])
        return int(rows[0]) if len(rows) else None

    def rows_of(self, trials: Sequence[tuple[str, str]]) -> Rows:
        """Returns the rows of trials, by sweep and id; those that are not here are left out."""
        order, ids = self._by_id
        wanted = np.array([int(trial, 16) for _, trial in trials], np.uint64)
        first, last = (np.searchsorted(ids, wanted, side) for side in ("left", "right"))
        rows = [
            row
            for (sweep, _), start, end in zip(trials, first, last, strict=True)
            for row in order[start:end]
            if self.sweep_names[self.sweep[row]] == sweep
        ]
        return np.array(rows, np.int32)

    @cached_property
    def _by_id(self) -> tuple[Rows, NDArray[np.uint64]]:
        """Rows in the order of their ids, and those ids."""
        order = np.argsort(self.id, kind="stable").astype(np.int32)
        return order, self.id[order]

    def trial_id(self, row: int) -> str:
        """Returns the id of a row's trial."""
        return f"{self.id[row]:016x}"

    def label(self, row: int) -> str:
        """Returns what to call a trial beside its prompt: engine, seed, and the settings in which trials differ."""
        label = self.kinds[self.kind[row]].label
        return f"{label} · seed {self.seed[row]}" if self._differs_by_seed else label

    @cached_property
    def _differs_by_seed(self) -> bool:
        return bool(len(self)) and bool((self.seed != self.seed[0]).any())

    def save(self, path: Path) -> None:
        """Writes the catalogue as one file, which `load_catalogue` reads in a fraction of the time that computing it took."""
        columns: dict[str, Any] = {name: value for name, value in self._stored() if isinstance(value, np.ndarray)}
        texts = {name: value for name, value in self._stored() if isinstance(value, list)}
        with path.open("wb") as file:
            np.savez(file, texts=np.frombuffer(json.dumps(texts).encode(), np.uint8), **columns)

    def _stored(self) -> list[tuple[str, Any]]:
        return [(each.name, getattr(self, each.name)) for each in fields(self) if not each.name.startswith("_")]


def make_catalogue(session: Session) -> Catalogue:
    """Returns the trials of a session's sweeps."""
    table = session.batches(ROWS, BATCH).read_all()
    of_prompts = session.batches(PROMPTS, BATCH).read_all().to_pylist()
    of_kinds = session.rows(KINDS, first_of_kinds=_first_of_each(table, "kind"))
    prompts = {row["number"]: Prompt(row["prompt"], tuple(row["prompts_to"] or ())) for row in of_prompts}
    kinds = dict(zip((row["number"] for row in of_kinds), _kinds(of_kinds), strict=True))
    coded = {name: _coded(table[name].combine_chunks().to_numpy(zero_copy_only=False)) for name in ("prompt", "kind")}
    texts = {name: table[name].combine_chunks().dictionary_encode() for name in ("sweep", "status", "ranked_by")}
    trials_of_judges = session.batches(JUDGED, BATCH).read_all()
    floats = {name: table[name].to_numpy().astype(np.float64) for name in ("judge", "guide", "z_score")}
    id = _ids(table["trial_id"])
    sweep_names = texts["sweep"].dictionary.to_pylist()
    further_judges, further_scores = _further_scores(trials_of_judges, sweep_names, texts["sweep"].indices.to_numpy(), id)
    return Catalogue(
        sweep_names=sweep_names,
        prompts=[prompts[number] for number in coded["prompt"].values],
        kinds=[kinds[number] for number in coded["kind"].values],
        statuses=texts["status"].dictionary.to_pylist(),
        judges=[*texts["ranked_by"].dictionary.to_pylist(), None],
        further_judges=further_judges,
        id=id,
        prompt=coded["prompt"].codes,
        kind=coded["kind"].codes,
        **{name: texts[name].indices.fill_null(-1).to_numpy() for name in texts},
        seed=table["seed"].to_numpy().astype(np.int64),
        **{name: table[name].to_numpy().astype(np.int32) for name in ("iterations", "rank", "rivals")},
        pictured=table["pictured"].to_numpy(),
        shown=np.nan_to_num(table["shown"].to_numpy()).astype(np.int32),
        further_scores=further_scores,
        **{name: np.where(np.isfinite(values), values, np.nan) for name, values in floats.items()},
    )


def load_catalogue(file: io.BufferedIOBase) -> Catalogue:
    """Reads what `save` wrote. Raises one of `UNREADABLE` where the file is damaged or of another version."""
    with np.load(file, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in stored.files}
    texts = json.loads(columns.pop("texts").tobytes())
    texts["prompts"] = [Prompt(text, tuple(to)) for text, to in texts["prompts"]]
    texts["kinds"] = [Kind(*kind) for kind in texts["kinds"]]
    if {*columns, *texts} != {each.name for each in fields(Catalogue) if not each.name.startswith("_")}:
        raise ValueError("the catalogue was written by another version")
    return Catalogue(**texts, **columns)


def number_of(value: Any) -> float:
    """Returns a value as a number; NaN, which equals nothing, where it is none."""
    try:
        return math.nan if value is None else float(value)
    except ValueError:
        return math.nan


def _further_scores(
    judged: pa.Table, sweep_names: list[str], sweeps: NDArray[np.int32], ids: NDArray[np.uint64]
) -> tuple[list[str], NDArray[np.float64]]:
    """Returns the judges of a table of scores, and the scores by row and judge, NaN where there is none."""
    judges: list[str] = judged["judge"].unique().to_pylist()
    scores = np.full((len(ids), len(judges)), np.nan)
    names, judge_names = judged["sweep"].to_numpy(zero_copy_only=False), judged["judge"].to_numpy(zero_copy_only=False)
    scored, values = _ids(judged["trial_id"]), judged["score"].to_numpy()
    for number, name in enumerate(sweep_names):
        rows, here = np.flatnonzero(sweeps == number), np.flatnonzero((names == name) & np.isfinite(values))
        rows = rows[np.argsort(ids[rows])]
        places = np.minimum(np.searchsorted(ids[rows], scored[here]), max(0, len(rows) - 1))
        here, places = (each[ids[rows[places]] == scored[here]] for each in (here, places))
        for column, judge in enumerate(judges):
            of_judge = judge_names[here] == judge
            scores[rows[places[of_judge]], column] = values[here[of_judge]]
    return judges, scores


def _first_of_each(table: pa.Table, column: str) -> pa.Table:
    """Returns the first row of each value of a column."""
    _, rows = np.unique(table[column].to_numpy(), return_index=True)
    return table.take(pa.array(rows))


def _ids(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Returns ids of trials as numbers."""
    return np.frombuffer(bytes.fromhex("".join(column.to_pylist())), ">u8").astype(np.uint64)


def _kinds(rows: list[dict[str, Any]]) -> list[Kind]:
    variants = [variant_of({**row, "seed": 0}) for row in rows]
    labels = labels_of({variant: settings_of(row) for variant, row in zip(variants, rows, strict=True)})
    return [Kind(row["engine"], labels[variant], named_settings(row)) for row, variant in zip(rows, variants, strict=True)]


def _coded(numbers: NDArray[Any]) -> Coded:
    values, codes = np.unique(numbers, return_inverse=True)
    return Coded(values.tolist(), codes.astype(np.int32))
