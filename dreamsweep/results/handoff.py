"""Hand-off between the coordinator of a sweep and remote workers, through files in the store.

A planned shard holds every word of its trials; beside it lie the pictures that they start from. Progress says how far a shard is; it is
gone once the shard is staged.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dreamsweep.errors import StoreError
from dreamsweep.planning.expand import Shard
from dreamsweep.spec import IMAGE_FIELDS, ImageFile, Trial
from dreamsweep.store import Store, keys

JSON = "application/json"
MOST_PROMPTS, MOST_CHARACTERS = 8, 80
"""Prompts that a shard's progress names, and characters of each."""


@dataclass(frozen=True)
class Progress:
    """Progress of a shard when it was last written."""

    shard_id: str
    engine: str
    iteration: int
    iterations: int
    trials: int
    best: float | None
    """Best score by the judge so far, of this shard's trials."""
    iterations_per_second: float
    """Trials × iterations a second, since the shard started or resumed."""
    status: Literal["running", "resumed", "done", "already done", "given up"] = "running"
    prompts: tuple[str, ...] = ()
    """Texts of its trials' prompts, each once: the first `MOST_PROMPTS`, and `MOST_CHARACTERS` of each."""
    other_prompts: int = 0
    """Number of prompts that are not among these."""

    @classmethod
    def of_planned(cls, shard: Shard) -> "Progress":
        """Returns the progress of a shard that has not started."""
        first = shard.trials[0]
        prompts = tuple(dict.fromkeys(trial.prompt.text for trial in shard.trials))
        shown = tuple(text[:MOST_CHARACTERS] for text in prompts[:MOST_PROMPTS])
        return cls(
            shard_id=shard.shard_id,
            engine=first.engine.engine,
            iteration=0,
            iterations=first.num_iter,
            trials=len(shard.trials),
            best=None,
            iterations_per_second=0.0,
            prompts=shown,
            other_prompts=len(prompts) - len(shown),
        )

    @classmethod
    def of_made(cls, shard: Shard) -> "Progress":
        """Returns the progress of a shard that is done already."""
        planned = cls.of_planned(shard)
        return replace(planned, iteration=planned.iterations, status="already done")


@dataclass(frozen=True)
class Elsewhere:
    """Status of the shards that remote workers make, at one poll."""

    running: int
    waiting: int
    """Number of shards that were handed over and have not begun."""
    progress: tuple[Progress, ...] = ()
    """Progress of the running shards read at this poll: some of them, each in its turn."""


@dataclass(frozen=True)
class Lost:
    """Shard that was started remotely and failed or was abandoned."""

    shard_id: str
    reason: str
    attempt: int | None
    """Number of the attempt that follows, counted from 1; None if there is no further retry."""


_PROGRESS = TypeAdapter(Progress)


def write_shard(store: Store, shard: Shard) -> None:
    """Writes a planned shard for a remote worker, and the pictures that it starts from."""
    pictures: set[str] = set()
    moved = tuple(_with_pictures_in_store(store, shard.sweep, trial, pictures) for trial in shard.trials)
    planned = shard.model_copy(update={"trials": moved})
    store.write(keys.planned_shard(shard.sweep, shard.shard_id), planned.model_dump_json().encode(), JSON)


def read_shard(store: Store, sweep: str, shard_id: str) -> Shard:
    """Reads a planned shard. Raises StoreError if there is none, or it cannot be read."""
    key = keys.planned_shard(sweep, shard_id)
    try:
        return Shard.model_validate_json(store.read(key))
    except ValidationError:
        raise StoreError(
            f"{store.uri_of(key)} is no planned shard of this version of dreamsweep; run the sweep again to plan it."
        ) from None


def planned_shards(store: Store, sweep: str) -> Iterator[str]:
    """Lists the ids of the shards that were planned for remote workers, sorted."""
    return (shard_id for key in store.keys(keys.planned(sweep)) if (shard_id := keys.planned_shard_of(key)))


def write_progress(store: Store, sweep: str, progress: Progress) -> None:
    """Writes a shard's progress."""
    store.write(keys.progress(sweep, progress.shard_id), _PROGRESS.dump_json(progress), JSON)


def read_progress(store: Store, sweep: str, shard_id: str) -> Progress | None:
    """Reads a shard's progress; None before the first was written, and once the shard is staged."""
    data = store.get(keys.progress(sweep, shard_id))
    try:
        return None if data is None else _PROGRESS.validate_json(data)
    except ValueError:
        return None  # of another version


def forget_progress(store: Store, sweep: str, shard_id: str) -> None:
    """Deletes the progress of a shard that is staged."""
    store.delete(keys.progress(sweep, shard_id))


def _with_pictures_in_store(store: Store, sweep: str, trial: Trial, stored: set[str]) -> Trial:
    """Returns the same trial (pictures count by their content), reading its pictures from the store."""
    moved: dict[str, ImageFile] = {}
    for name in IMAGE_FIELDS:
        file: ImageFile | None = getattr(trial.engine, name, None)
        if file is None or "://" in file.path:
            continue
        key = keys.planned_picture(sweep, file.sha256)
        if file.sha256 not in stored and not store.exists(key):
            store.write_file(key, Path(file.path))
        stored.add(file.sha256)
        moved[name] = ImageFile(path=store.uri_of(key), sha256=file.sha256)
    return trial.model_copy(update={"engine": trial.engine.model_copy(update=moved)}) if moved else trial
