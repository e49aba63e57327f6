"""What goes between the one who plans a sweep and those who make its shards elsewhere: all of it through the store.

<sweep>/planned/<shard>.json             the shard, with every word of its trials
<sweep>/planned/<sha256>.image           a picture that trials start from
<sweep>/staging/<shard>/progress.json    how far it is; gone once the shard is staged
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dreamsweep.errors import StoreError
from dreamsweep.expand import Shard
from dreamsweep.spec import IMAGE_FIELDS, ImageFile, Trial
from dreamsweep.store import Store

JSON = "application/json"


@dataclass(frozen=True)
class Progress:
    """How far a shard is, or was when it last said so."""

    shard_id: str
    engine: str
    iteration: int
    iterations: int
    trials: int
    best: float | None
    """The judge's best mark so far."""
    iterations_per_second: float
    """Trials × iterations, since the shard started or resumed."""
    status: Literal["running", "resumed", "done", "already done", "given up"] = "running"

    @classmethod
    def of_planned(cls, shard: Shard) -> "Progress":
        """Of a shard that nobody has told anything of."""
        first = shard.trials[0]
        return cls(shard.shard_id, first.engine.engine, 0, first.num_iter, len(shard.trials), None, 0.0)

    @classmethod
    def of_made(cls, shard: Shard) -> "Progress":
        """Of a shard that is made already, by whomever."""
        first = shard.trials[0]
        return cls(shard.shard_id, first.engine.engine, first.num_iter, first.num_iter, len(shard.trials), None, 0.0, "already done")


@dataclass(frozen=True)
class Elsewhere:
    """What one look at the shards that others make has found."""

    running: int
    waiting: int
    """Handed over, and not begun."""
    told: tuple[Progress, ...] = ()
    """Of those looked at this time: some of the running ones, each in its turn."""


@dataclass(frozen=True)
class Lost:
    """A shard that was begun elsewhere and did not come to its end."""

    shard_id: str
    reason: str
    attempt: int | None
    """The one that follows, counted from 1; None where it is given up."""


_PROGRESS = TypeAdapter(Progress)


def write_shard(store: Store, shard: Shard) -> None:
    """Keeps a shard for whoever makes it, and the pictures that it starts from."""
    pictures: set[str] = set()
    moved = tuple(_with_pictures_in_store(store, shard.sweep, trial, pictures) for trial in shard.trials)
    planned = Shard.model_construct(shard_id=shard.shard_id, sweep=shard.sweep, trials=moved)
    store.write(_key(shard.sweep, shard.shard_id), planned.model_dump_json().encode(), JSON)


def read_shard(store: Store, sweep: str, shard_id: str) -> Shard:
    """A planned shard. Raises StoreError where there is none, or it cannot be read."""
    key = _key(sweep, shard_id)
    try:
        return Shard.model_validate_json(store.read(key))
    except ValidationError:
        raise StoreError(
            f"{store.uri_of(key)} is no planned shard of this version of dreamsweep; run the sweep again to plan it."
        ) from None


def planned_shards(store: Store, sweep: str) -> Iterator[str]:
    """The ids of the shards that were planned for others to make, sorted."""
    names = (Path(key) for key in store.keys(f"{sweep}/planned/"))
    return (name.stem for name in names if name.suffix == ".json")


def write_progress(store: Store, sweep: str, progress: Progress) -> None:
    """Says how far a shard is."""
    store.write(_progress_key(sweep, progress.shard_id), _PROGRESS.dump_json(progress), JSON)


def read_progress(store: Store, sweep: str, shard_id: str) -> Progress | None:
    """How far a shard is; None before it said so, and once it is staged."""
    key = _progress_key(sweep, shard_id)
    try:
        return _PROGRESS.validate_json(store.read(key)) if store.exists(key) else None
    except (StoreError, ValueError):
        return None  # removed between the two, or half of another version's


def forget_progress(store: Store, sweep: str, shard_id: str) -> None:
    """For a shard that is staged."""
    store.delete(_progress_key(sweep, shard_id))


def _with_pictures_in_store(store: Store, sweep: str, trial: Trial, there: set[str]) -> Trial:
    """The same trial (pictures count by their content), reading its pictures from the store."""
    moved: dict[str, ImageFile] = {}
    for name in IMAGE_FIELDS:
        file: ImageFile | None = getattr(trial.engine, name, None)
        if file is None or "://" in file.path:
            continue
        key = f"{sweep}/planned/{file.sha256}.image"
        if file.sha256 not in there and not store.exists(key):
            store.write_file(key, Path(file.path))
        there.add(file.sha256)
        moved[name] = ImageFile(path=store.uri_of(key), sha256=file.sha256)
    return trial.model_copy(update={"engine": trial.engine.model_copy(update=moved)}) if moved else trial


def _key(sweep: str, shard_id: str) -> str:
    return f"{sweep}/planned/{shard_id}.json"


def _progress_key(sweep: str, shard_id: str) -> str:
    return f"{sweep}/staging/{shard_id}/progress.json"
