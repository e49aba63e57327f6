"""What goes between the one who plans a sweep and those who make its shards elsewhere: all of it through the store.

<sweep>/planned/<shard>.json             the shard, with every word of its trials
<sweep>/planned/<sha256>.image           a picture that trials start from
<sweep>/staging/<shard>/progress.json    how far it is; gone once the shard is staged
"""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from dreamsweep.errors import StoreError
from dreamsweep.expand import Shard
from dreamsweep.spec import IMAGE_FIELDS, ImageFile, Spec, Trial
from dreamsweep.store import Store

JSON = "application/json"


class ShardProgress(Spec):
    """How far a shard was when it last said so."""

    shard_id: str
    iteration: int
    iterations: int
    trials: int
    best: float | None
    iterations_per_second: float


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


def write_progress(store: Store, sweep: str, progress: ShardProgress) -> None:
    """Says how far a shard is."""
    store.write(_progress_key(sweep, progress.shard_id), progress.model_dump_json().encode(), JSON)


def read_progress(store: Store, sweep: str, shard_id: str) -> ShardProgress | None:
    """How far a shard is; None before it said so, and once it is staged."""
    key = _progress_key(sweep, shard_id)
    try:
        return ShardProgress.model_validate(json.loads(store.read(key))) if store.exists(key) else None
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
