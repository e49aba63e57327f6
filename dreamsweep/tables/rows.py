"""Rows of a shard's generated tables, from what is known of each trial once it is finished, as Arrow."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dreamsweep.spec import IMAGE_FIELDS, Trial, guides_of
from dreamsweep.store import keys
from dreamsweep.tables.contents import Content
from dreamsweep.tables.schemas import EMBEDDINGS, FILES, PLANNED_PICTURE, SCORES, TRIALS, engine_column


@dataclass(frozen=True)
class TrialRecord:
    """Result of a finished trial; its spec's columns come from `trial`, its embedding goes into a table of its own."""

    trial: Trial
    judge_name: str
    shard_id: str
    iterations_done: int
    loss_first: float | None
    loss_last: float | None
    guide_first: float | None
    guide_best: float | None
    guide_last: float | None
    judge_first: float | None
    judge_best: float | None
    judge_last: float | None
    best_iteration: int | None
    final_uri: str | None
    best_uri: str | None
    film_uri: str | None
    svg_uri: str | None
    embedding: list[float] | None
    picture_sha256: str | None
    seconds: float
    iterations_per_second: float
    device: str
    trials_at_once: int
    """Trials generated together: the shard's, or fewer where the device's memory was too small for all."""
    versions: dict[str, str]
    weights_sha256: dict[str, str]
    warnings: tuple[str, ...]
    status: Literal["done", "diverged", "failed"]
    error: str | None
    finished_at: datetime
    sheet_uri: str | None = None
    strokes_uri: str | None = None
    switches: tuple[int, ...] = ()
    artefacts: Mapping[str, str] = field(default_factory=dict)
    """Address of each file that the engine left beside the pictures, by its name."""


@dataclass(frozen=True)
class ScoreRows:
    """One trial's curves, a row an iteration; NaN in `judge` where it was not scored."""

    trial_id: str
    iteration: NDArray[np.int32]
    loss: NDArray[np.float32]
    guide: NDArray[np.float32]
    judge: NDArray[np.float32]
    learning_rate: NDArray[np.float32]
    elapsed: NDArray[np.float32]
    snapshot_uri: Sequence[str | None]
    guide_each: NDArray[np.float32] | None = None
    """`n m`, where there is more than one prompt to be near to."""


@dataclass(frozen=True)
class TrialFile:
    """Picture, film or other file of a trial, with its content."""

    trial_id: str
    name: str
    content: Content


def trials_table(sweep: str, records: Sequence[TrialRecord]) -> pa.Table:
    """Returns one row a trial, in the order given."""
    return pa.Table.from_pylist([_trial_row(sweep, record) for record in records], schema=TRIALS)


def _trial_row(sweep: str, record: TrialRecord) -> dict[str, Any]:
    trial = record.trial
    results = {f.name: getattr(record, f.name) for f in fields(record) if f.name not in ("trial", "embedding")}
    settings = trial.engine.model_dump(mode="json")
    for picture in filter(None, map(settings.get, IMAGE_FIELDS)):
        picture["path"] = re.sub(PLANNED_PICTURE, r"\1", picture["path"])
    optimizer = trial.engine.own_optimizer
    return {
        **results,
        "weights_sha256": sorted(record.weights_sha256.items()),
        "artefacts": sorted(record.artefacts.items()),
        "sweep": sweep,
        "trial_id": trial.id,
        "prompt": trial.prompt.text,
        "weight": trial.prompt.weight,
        "also": [p.model_dump() for p in trial.prompt.also],
        "negatives": [p.model_dump() for p in trial.prompt.negatives],
        "prompts_to": list(trial.prompt.to),
        "engine": trial.engine.engine,
        engine_column(trial.engine.engine): settings,
        "optimizer": optimizer.name if optimizer else None,
        "learning_rate": optimizer.learning_rate if optimizer else None,
        "seed": trial.seed,
        "iterations": trial.num_iter,
        "guide_name": " + ".join(g.name if g.weight == 1 else f"{g.weight:g} {g.name}" for g in guides_of(trial.guide)),
        "weights": trial.weights,
        "precision": trial.precision,
    }


def scores_table(sweep: str, rows: Sequence[ScoreRows]) -> pa.Table:
    """Returns one row an iteration, trial by trial."""
    tables = []
    for curves in rows:
        count = len(curves.iteration)
        values: dict[str, Any] = {
            **{name: getattr(curves, name) for name in SCORES.names if name not in ("sweep", "trial_id", "guide_each")},
            "sweep": [sweep] * count,
            "trial_id": [curves.trial_id] * count,
            "guide_each": [None] * count if curves.guide_each is None else list(curves.guide_each),
        }
        masks = {name: np.isnan(values[name]) for name in ("judge", "learning_rate")}
        arrays = [pa.array(values[column.name], column.type, mask=masks.get(column.name)) for column in SCORES]
        tables.append(pa.table(arrays, schema=SCORES))
    return pa.concat_tables(tables) if tables else SCORES.empty_table()


def embeddings_table(sweep: str, records: Sequence[TrialRecord]) -> pa.Table:
    """Returns one row a trial that has an embedding."""
    rows = [
        {
            "sweep": sweep,
            "trial_id": record.trial.id,
            "iteration": record.best_iteration,
            "perceptor": record.judge_name,
            "vector": record.embedding,
        }
        for record in records
        if record.embedding is not None
    ]
    return pa.Table.from_pylist(rows, schema=EMBEDDINGS)


def files_table(sweep: str, files: Sequence[TrialFile]) -> pa.Table:
    """Returns one row a file, in the order given."""
    rows = [
        {
            "sweep": sweep,
            "trial_id": file.trial_id,
            "file_uri": keys.picture_address(file.trial_id, file.name),
            "size": file.content.size,
            "sha256": file.content.sha256,
        }
        for file in files
    ]
    return pa.Table.from_pylist(rows, schema=FILES)


def shard_tables(
    sweep: str, records: Sequence[TrialRecord], scores: Sequence[ScoreRows], files: Sequence[TrialFile] = ()
) -> dict[str, pa.Table]:
    """Returns every generated table of a shard by its name."""
    return {
        "files": files_table(sweep, files),
        "trials": trials_table(sweep, records),
        "scores": scores_table(sweep, scores),
        "embeddings": embeddings_table(sweep, records),
    }
