"""Continuation of a batch: where it begins when the store holds the last state of the same batch with fewer iterations.

The result is that of a run from the first iteration, to the last pixel and row (but `elapsed`, which adds both runs up). Where it would
not be, the batch begins at its first iteration: other iterations were judged, a snapshot was not kept, or other weights were used.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

import torch
from jaxtyping import Bool
from torch import Tensor

from dreamsweep.compute.images import FILM_TYPES, decode_png, png_bytes
from dreamsweep.generation.batch_log import ENDLESS, BatchLog, is_due, is_judged
from dreamsweep.generation.checkpoint import Checkpoint, read_checkpoint
from dreamsweep.generation.records import spec_json
from dreamsweep.planning.expand import Shard, snapshots_every
from dreamsweep.results.kept_states import shorter_states
from dreamsweep.store import BYTES, Store, keys


def continuation(shard: Shard, store: Store, weights: Mapping[str, str]) -> Checkpoint | None:
    """Returns where a shard may begin in place of its first iteration, its earlier pictures in place; None if nowhere.

    Of several kept states it is the one with the most iterations. `weights`: name and SHA-256 of those in use.
    """
    for key in shorter_states(store, shard):
        data = store.get(key)
        shorter = read_checkpoint(data) if data else None
        if (
            shorter
            and shorter.weights == weights
            and (begun := _of_longer_trials(shorter, shard))
            and _copy_files(shorter, begun, shard, store)
        ):
            return begun
    return None


def _of_longer_trials(shorter: Checkpoint, shard: Shard) -> Checkpoint | None:
    """Returns the state of the shard's own trials at that iteration; None where a run from the first iteration would have judged or
    kept others.
    """
    log, keep = shorter.log, shard.keep
    iterations, reached = shard.trials[0].num_iter, range(1, len(log.elapsed) + 1)
    every = snapshots_every(shard.trials[0].engine, keep.snapshot_every)
    alive = _alive(log)
    snapshots = alive & torch.tensor([is_due(at, every, iterations) for at in reached])
    judged = alive & torch.tensor([is_judged(at, shard.judging.judge_every, iterations) for at in reached])
    if not torch.equal(~torch.isnan(log.judge), judged | snapshots) or (snapshots & ~log.snapshot).any():
        return None
    ids = [trial.id for trial in shard.trials]
    ended = (log.stopped_at != ENDLESS).tolist()
    left = {now: shorter.artefacts.get(before, ()) for now, before, has in zip(ids, shorter.trials, ended, strict=True) if has}
    films = {name.rpartition(".")[2] for names in left.values() for name in names} & FILM_TYPES.keys()
    if films and films != set(keep.films):
        return None
    return replace(shorter, log=replace(log, snapshot=snapshots).with_end(iterations), trials=ids, artefacts=left)


def _alive(log: BatchLog) -> Bool[Tensor, "b n"]:
    """Returns whether each trial had a picture, by iteration."""
    iterations, stopped = torch.arange(1, len(log.elapsed) + 1), log.stopped_at[:, None]
    return (iterations < stopped) | ((iterations == stopped) & ~log.diverged[:, None])


def _copy_files(shorter: Checkpoint, begun: Checkpoint, shard: Shard, store: Store) -> bool:
    """Copies the shorter trials' snapshots, and what those that have ended left, to the longer ones'; returns whether all of it exists."""
    for index, (trial, before) in enumerate(zip(shard.trials, shorter.trials, strict=True)):
        snapshots = [keys.snapshot_name(at) for at in (begun.log.snapshot[index].nonzero().flatten() + 1).tolist()]
        for name in (*snapshots, *begun.artefacts.get(trial.id, ())):
            data = store.get(keys.picture(shard.sweep, before, name))
            if data is None:
                return False
            if name in snapshots:  # the picture says which trial it is of
                data = png_bytes(decode_png(data), spec_json(trial))
            store.write(keys.picture(shard.sweep, trial.id, name), data, _content_type(name))
    return True


def _content_type(name: str) -> str:
    films = {f".{kind}": content_type for kind, content_type in FILM_TYPES.items()}
    return films.get(PurePath(name).suffix) or mimetypes.guess_type(name)[0] or BYTES
