"""Rows of a finished batch: one record a trial, and its score for every iteration."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

from dreamsweep import __version__
from dreamsweep.compute.images import pixels_sha256
from dreamsweep.generation.batch_log import BatchLog
from dreamsweep.planning.expand import Shard
from dreamsweep.spec import Trial
from dreamsweep.store import keys
from dreamsweep.tables.rows import ScoreRows, TrialRecord
from dreamsweep.text import counted

BLANK = "its best picture is blank; try another seed, more iterations or other settings"
DAMAGED = "its checkpoint was damaged or of another version, so it was drawn again from its first iteration"
REDRAWN = "drawn again for more snapshots, it came out other than before; its final and best picture are the earlier ones"
IMITATED = "drawn by a processor that only imitates bfloat16, several times slower than float32; leave out `precision` there"
BLANK_SPREAD = 4.0
"""The standard deviation over a picture, of 255, below which people see one colour."""


def trial_records(
    shard: Shard,
    log: BatchLog,
    weights_sha256: dict[str, str],
    warnings: list[list[str]],
    device: str,
    seconds: float,
    at_once: int,
    artefacts: Mapping[str, Sequence[str]],
) -> tuple[list[TrialRecord], list[ScoreRows]]:
    """Returns the rows of every trial of a finished batch. A trial's seconds are its even share of the batch's.

    `artefacts`: names of the files that each trial, by its id, left beside its pictures.
    """
    scores = [_score_rows(log, index, trial) for index, trial in enumerate(shard.trials)]
    records, share = [], seconds / len(shard.trials)
    for index, (trial, rows) in enumerate(zip(shard.trials, scores, strict=True)):
        address = partial(keys.picture_address, trial.id)
        addresses = {name: address(name) for name in artefacts.get(trial.id, ())}
        done, guide, marked = len(rows.iteration), rows.guide, rows.judge[~np.isnan(rows.judge)]
        diverged = bool(log.diverged[index])
        records.append(
            TrialRecord(
                trial=trial,
                judge_name=shard.judging.judge,
                shard_id=shard.shard_id,
                trials_at_once=at_once,
                iterations_done=done,
                loss_first=_number(rows.loss[0]),
                loss_last=_number(rows.loss[-1]),
                guide_first=_number(guide[0]),
                guide_best=_number(np.nanmax(guide)) if not np.isnan(guide).all() else None,
                guide_last=_number(guide[-1]),
                judge_first=_number(marked[0]) if len(marked) else None,
                judge_best=_number(marked.max()) if len(marked) else None,
                judge_last=_number(marked[-1]) if len(marked) else None,
                best_iteration=int(log.best_iteration[index]) if len(marked) else None,
                final_uri=address(keys.FINAL),
                best_uri=address(keys.BEST),
                film_uri=address(keys.film_name(shard.keep.films[0])),
                svg_uri=addresses.get("strokes.svg"),
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
                sheet_uri=address(keys.SHEET) if trial.engine.draws_frames else None,
                strokes_uri=addresses.get(keys.film_name(shard.keep.films[0], "strokes")),
                artefacts=addresses,
                switches=switches(rows.guide_each) if rows.guide_each is not None else (),
            )
        )
    return records, scores


def _score_rows(log: BatchLog, index: int, trial: Trial) -> ScoreRows:
    """Returns the curves of a batch's trial up to its last iteration."""
    done = int(log.stopped_at[index])
    loss, guide, judge = (_curve(curve[index], done) for curve in (log.loss, log.guide, log.judge))
    rate, elapsed = _curve(log.learning_rate, done), _curve(log.elapsed, done)
    each = _each_curve(log.each[index], done, 1 + len(trial.prompt.to)) if len(log.each) else None
    uris = _snapshot_uris(log, index, done, partial(keys.picture_address, trial.id))
    return ScoreRows(trial.id, np.arange(1, done + 1, dtype=np.int32), loss, guide, judge, rate, elapsed, uris, each)


def _snapshot_uris(log: BatchLog, index: int, done: int, address: Callable[[str], str]) -> list[str | None]:
    """Returns the address of the picture kept of each iteration; None where none was."""
    return [address(keys.snapshot_name(at)) if kept else None for at, kept in enumerate(log.snapshot[index, :done].tolist(), 1)]


def spec_json(trial: Trial) -> str:
    """Returns a trial's spec and id, as its pictures carry it."""
    return json.dumps({"trial_id": trial.id, **trial.model_dump(mode="json")}, sort_keys=True)


def switches(each: NDArray[np.float32]) -> tuple[int, ...]:
    """Returns the frames, from 1, at which another prompt than in the frame before is the nearest (`n m` similarities)."""
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
    return f"{where} {trial.engine.divergence_hint}"


def _blank(picture: torch.Tensor) -> tuple[str, ...]:
    """Returns a warning where all of a picture is of nearly one colour (bytes, `3 h w`)."""
    return (BLANK,) if float(picture.float().std(dim=(1, 2)).max()) < BLANK_SPREAD else ()


@cache
def _versions() -> dict[str, str]:
    return {"dreamsweep": __version__, "python": platform.python_version(), "torch": version("torch"), "platform": platform.platform()}


@cache
def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device} ({platform.machine()}, {counted(torch.get_num_threads(), 'thread')})"
