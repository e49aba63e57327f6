"""From a finished batch to its rows: one record a trial, and its score for every iteration."""

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from dreamsweep import __version__
from dreamsweep.batch import BatchLog
from dreamsweep.expand import Shard
from dreamsweep.pictures import pixels_sha256
from dreamsweep.spec import FramesSpec, GuidedDiffusionSpec, GuidedSpec, StrokesSpec
from dreamsweep.store import Store
from dreamsweep.tables import ScoreRows, TrialRecord

BLANK = "its best picture is blank; try another seed, more iterations or other settings"
BLANK_SPREAD = 4.0
"""The standard deviation over a picture, of 255, below which people see one colour."""


def trial_records(
    shard: Shard,
    log: BatchLog,
    store: Store,
    weights_sha256: dict[str, str],
    warnings: list[list[str]],
    device: str,
    seconds: float,
    at_once: int,
) -> tuple[list[TrialRecord], list[ScoreRows]]:
    """The rows of every trial of a finished batch. A trial's seconds are its even share of the batch's."""
    records, scores = [], []
    for index, trial in enumerate(shard.trials):
        folder = f"{shard.sweep}/pictures/{trial.id}"
        done = int(log.stopped_at[index])
        loss, guide, judge = (_curve(curve[index], done) for curve in (log.loss, log.guide, log.judge))
        marked = judge[~np.isnan(judge)]
        each = _each_curve(log.each[index], done, 1 + len(trial.prompt.to)) if len(log.each) else None
        diverged = bool(log.diverged[index])
        share = seconds / len(shard.trials)
        records.append(
            TrialRecord(
                trial=trial,
                shard_id=shard.shard_id,
                trials_at_once=at_once,
                iterations_done=done,
                loss_first=_number(loss[0]),
                loss_last=_number(loss[-1]),
                guide_first=_number(guide[0]),
                guide_best=_number(np.nanmax(guide)) if not np.isnan(guide).all() else None,
                guide_last=_number(guide[-1]),
                judge_first=_number(marked[0]) if len(marked) else None,
                judge_best=_number(marked.max()) if len(marked) else None,
                judge_last=_number(marked[-1]) if len(marked) else None,
                best_iteration=int(log.best_iteration[index]) if len(marked) else None,
                final_uri=store.uri_of(f"{folder}/final.png"),
                best_uri=store.uri_of(f"{folder}/best.png"),
                film_uri=store.uri_of(f"{folder}/film.{trial.films[0]}"),
                svg_uri=store.uri_of(f"{folder}/strokes.svg") if isinstance(trial.engine, StrokesSpec) else None,
                embedding=log.embedding[index].tolist(),
                picture_sha256=pixels_sha256(log.final[index]),
                seconds=share,
                iterations_per_second=done / max(share, 1e-9),
                device=_device_name(device),
                versions=_versions(),
                weights_sha256=weights_sha256,
                warnings=(*warnings[index], *_blank(log.best[index])),
                status="diverged" if diverged else "done",
                error=_reason(shard, index, done) if diverged else None,
                finished_at=datetime.now(UTC),
                sheet_uri=store.uri_of(f"{folder}/sheet.png") if isinstance(trial.engine, FramesSpec) else None,
                strokes_uri=store.uri_of(f"{folder}/strokes.{trial.films[0]}") if isinstance(trial.engine, StrokesSpec) else None,
                switches=switches(each) if each is not None else (),
            )
        )
        uris = _snapshot_uris(log, index, done, store, folder)
        rows = np.arange(1, done + 1, dtype=np.int32)
        rate, elapsed = _curve(log.learning_rate, done), _curve(log.elapsed, done)
        scores.append(ScoreRows(trial.id, rows, loss, guide, judge, rate, elapsed, uris, each))
    return records, scores


def _snapshot_uris(log: BatchLog, index: int, done: int, store: Store, folder: str) -> list[str | None]:
    """The address of the picture kept of each iteration; None where none was."""
    return [store.uri_of(f"{folder}/{at:06d}.png") if kept else None for at, kept in enumerate(log.snapshot[index, :done].tolist(), 1)]


def switches(each: NDArray[np.float32]) -> tuple[int, ...]:
    """The frames, from 1, at which another prompt than in the frame before is the nearest (`n m` similarities)."""
    nearest = np.nan_to_num(each, nan=-1.0).argmax(1)
    return tuple(int(at) + 2 for at in np.flatnonzero(nearest[1:] != nearest[:-1]))


def _each_curve(values: torch.Tensor, done: int, prompts: int) -> NDArray[np.float32]:
    return values[:done, :prompts].numpy().astype(np.float32)


def _curve(values: torch.Tensor, done: int) -> np.ndarray:
    return values[:done].numpy().astype(np.float32)


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _reason(shard: Shard, index: int, iteration: int) -> str:
    trial = shard.trials[index]
    where = f"trial {trial.id} ({trial.engine.engine}, seed {trial.seed}): loss is not a number at iteration {iteration}/{trial.num_iter}."
    match trial.engine:
        case GuidedSpec():
            return f"{where} Lower learning_rate (it is {trial.engine.optimizer.learning_rate:g})."
        case GuidedDiffusionSpec():
            return f"{where} Lower guide_strength (it is {trial.engine.guide_strength:g})."
        case _:
            return f"{where} Its picture holds no numbers: try another seed, or fewer steps."


def _blank(picture: torch.Tensor) -> tuple[str, ...]:
    """A warning where all of a picture is of nearly one colour (bytes, `3 h w`)."""
    return (BLANK,) if float(picture.float().std(dim=(1, 2)).max()) < BLANK_SPREAD else ()


@cache
def _versions() -> dict[str, str]:
    return {"dreamsweep": __version__, "python": platform.python_version(), "torch": version("torch"), "platform": platform.platform()}


@cache
def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device} ({platform.machine()}, {torch.get_num_threads()} threads)"
