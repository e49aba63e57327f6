"""The two tables of a sweep, `trials` and `scores`: their schemas, and rows as Arrow (docs/query.md describes them)."""

import types
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel

from dreamsweep.spec import ENGINES, GuidedSpec, Trial, guides_of


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial once it is over; its spec's columns come from `trial`."""

    trial: Trial
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
    """Of the shard; fewer than it has where the device's memory was too small for all."""
    versions: dict[str, str]
    weights_sha256: dict[str, str]
    warnings: tuple[str, ...]
    status: Literal["done", "diverged", "failed"]
    error: str | None
    finished_at: datetime
    sheet_uri: str | None = None
    strokes_uri: str | None = None
    switches: tuple[int, ...] = ()


@dataclass(frozen=True)
class ScoreRows:
    """One trial's curves, a row an iteration; NaN in `judge` where it was not marked."""

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


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type of a spec's field: structs for models, lists for tuples, plain types for the rest. TypeError for others."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return arrow_type(parts[0])
    if origin is Literal:
        return arrow_type(type(parts[0]))
    if origin in (Union, types.UnionType):
        (only,) = (part for part in parts if part is not type(None))
        return arrow_type(only)
    if origin is tuple:
        return pa.list_(arrow_type(parts[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct([pa.field(name, arrow_type(info.annotation)) for name, info in annotation.model_fields.items()])
    plain = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    if annotation not in plain:
        raise TypeError(f"no column can hold a setting of type {annotation}; name its Arrow type here")
    return plain[annotation]


def engine_column(engine: str) -> str:
    """The column of an engine's settings: its name, spelled so that SQL needs no quotes."""
    return engine.replace("-", "_")


def _column(name: str, kind: pa.DataType, told: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": told})


_PHRASES = pa.list_(pa.struct([pa.field("text", pa.string()), pa.field("weight", pa.float64())]))
_F32, _F64, _I32, _TEXT = pa.float32(), pa.float64(), pa.int32(), pa.string()

TRIALS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "hash of the trial's spec, 16 hexadecimal digits"),
        _column("shard_id", _TEXT, "the shard that it was generated in"),
        _column("prompt", _TEXT, "the prompt's text"),
        _column("weight", _F64, "how strongly the text steers"),
        _column("also", _PHRASES, "further texts that steer along"),
        _column("negatives", _PHRASES, "texts that it is kept away from"),
        _column("prompts_to", pa.list_(_TEXT), "texts that an interpolation goes on to"),
        _column("engine", _TEXT, "the engine's name; its settings are in the column of that name (`_` for `-`)"),
        *(
            _column(engine_column(name), arrow_type(spec), f"settings of the {name} engine; null for others")
            for name, spec in ENGINES.items()
        ),
        _column("optimizer", _TEXT, "the optimizer's name; null for engines without"),
        _column("learning_rate", _F64, "the learning rate that it started with"),
        _column("seed", pa.int64(), "the seed"),
        _column("iterations", _I32, "iterations asked for"),
        _column("iterations_done", _I32, "iterations made; fewer when it diverged or stopped early"),
        _column("guide_name", _TEXT, "the perceptor that guided, or several with their weights"),
        _column("judge_name", _TEXT, "the perceptor that marked"),
        _column("weights", _TEXT, "`starter` or `published`"),
        _column("precision", _TEXT, "of the networks' arithmetic: `default` or `bfloat16`"),
        _column("loss_first", _F32, "loss of the first iteration"),
        _column("loss_last", _F32, "loss of the last iteration"),
        _column("guide_first", _F32, "similarity by the guide, first iteration"),
        _column("guide_best", _F32, "similarity by the guide, best iteration"),
        _column("guide_last", _F32, "similarity by the guide, last iteration"),
        _column("judge_first", _F32, "the judge's first mark, a cosine similarity"),
        _column("judge_best", _F32, "the judge's best mark"),
        _column("judge_last", _F32, "the judge's last mark"),
        _column("best_iteration", _I32, "the iteration with the judge's best mark"),
        _column("switches", pa.list_(_I32), "of an interpolation: the frames at which the guide finds another prompt the nearest"),
        _column("final_uri", _TEXT, "the last picture, PNG"),
        _column("best_uri", _TEXT, "the picture with the best mark, PNG"),
        _column("film_uri", _TEXT, "the snapshots as a film, in the first of the formats asked for"),
        _column("svg_uri", _TEXT, "the strokes, SVG; null for other engines"),
        _column("strokes_uri", _TEXT, "a film of the strokes being drawn one after the other; null for other engines"),
        _column("sheet_uri", _TEXT, "frames of a walk side by side, or samples in a grid, PNG; null for engines with one picture"),
        _column("embedding", pa.list_(_F32), "the judge's unit embedding of the best picture"),
        _column("picture_sha256", _TEXT, "SHA-256 of the last picture's pixels"),
        _column("seconds", _F64, "its even share of its shard's time, seconds"),
        _column("iterations_per_second", _F64, "iterations made, by those seconds"),
        _column("device", _TEXT, "what it was made on"),
        _column("trials_at_once", _I32, "trials generated together: the shard's, or fewer where memory was too small"),
        _column("versions", pa.struct([(n, _TEXT) for n in ("dreamsweep", "python", "torch", "platform")]), "of what made it"),
        _column("weights_sha256", pa.map_(_TEXT, _TEXT), "name and SHA-256 of each weight file used"),
        _column("warnings", pa.list_(_TEXT), "what the perceptors could not read of the prompt, and whether the best picture is blank"),
        _column("status", _TEXT, "`done`, `diverged` or `failed`"),
        _column("error", _TEXT, "why it diverged or failed"),
        _column("finished_at", pa.timestamp("us", "UTC"), "when it was finished"),
    ]
)
SCORES = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("iteration", _I32, "from 1"),
        _column("loss", _F32, "what the optimizer descended; NaN where it diverged"),
        _column("guide", _F32, "similarity by the guide: mean cosine of its cutouts to the prompt"),
        _column("judge", _F32, "similarity by the judge of the whole picture; null where it was not marked"),
        _column("guide_each", pa.list_(_F32), "similarity by the guide to each prompt that an interpolation passes, in order; else null"),
        _column("learning_rate", _F32, "the optimizer's learning rate; null for engines without"),
        _column("elapsed", _F32, "seconds since the shard started, pauses left out"),
        _column("snapshot_uri", _TEXT, "the picture kept of this iteration, PNG; null where none was"),
    ]
)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows in the columns of `schema`: columns and settings that an older version did not write are null, others are left out."""
    if table.schema.equals(schema):
        return table
    columns = [table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def trials_table(sweep: str, records: Sequence[TrialRecord]) -> pa.Table:
    """One row a trial, in the order given."""
    return pa.Table.from_pylist([_trial_row(sweep, record) for record in records], schema=TRIALS)


def _trial_row(sweep: str, record: TrialRecord) -> dict[str, Any]:
    trial = record.trial
    made = {f.name: getattr(record, f.name) for f in fields(record) if f.name != "trial"}
    settings = trial.engine.model_dump(mode="json")
    optimizer = trial.engine.optimizer if isinstance(trial.engine, GuidedSpec) else None
    return {
        **made,
        "weights_sha256": sorted(record.weights_sha256.items()),
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
        "judge_name": trial.judge,
        "weights": trial.weights,
        "precision": trial.precision,
    }


def scores_table(sweep: str, rows: Sequence[ScoreRows]) -> pa.Table:
    """One row an iteration, trial by trial."""
    tables = []
    for one in rows:
        count = len(one.iteration)
        columns = {
            "sweep": pa.array([sweep] * count, _TEXT),
            "trial_id": pa.array([one.trial_id] * count, _TEXT),
            "iteration": pa.array(one.iteration, _I32),
            "loss": pa.array(one.loss, _F32),
            "guide": pa.array(one.guide, _F32),
            "judge": pa.array(one.judge, _F32, mask=np.isnan(one.judge)),
            "guide_each": pa.nulls(count, pa.list_(_F32)) if one.guide_each is None else pa.array(list(one.guide_each), pa.list_(_F32)),
            "learning_rate": pa.array(one.learning_rate, _F32, mask=np.isnan(one.learning_rate)),
            "elapsed": pa.array(one.elapsed, _F32),
            "snapshot_uri": pa.array(one.snapshot_uri, _TEXT),
        }
        tables.append(pa.table(columns, schema=SCORES))
    return pa.concat_tables(tables) if tables else SCORES.empty_table()
