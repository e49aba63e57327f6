"""How far a sweep is, as its store tells it: what is made, what runs, what waits."""

from collections.abc import Iterator
from dataclasses import dataclass

from dreamsweep.errors import StoreError
from dreamsweep.manifest import Manifest, published, read_manifest
from dreamsweep.parquet import ahead
from dreamsweep.planned import Progress, planned_shards, read_progress
from dreamsweep.store import RUN_FIRST, Store, is_key
from dreamsweep.words import did_you_mean


@dataclass(frozen=True)
class SweepStatus:
    """A sweep's shards; those that wait are known only where they were planned for others to make."""

    sweep: str
    made: int
    running: tuple[Progress, ...]
    """That have told of progress and are not staged yet. One whose machine died looks the same until it goes on."""
    waiting: int
    given_up: int
    """That nobody could make; the sweep run again tries them again."""
    manifest: Manifest | None
    """What is published of it."""


def every_status(store: Store) -> Iterator[SweepStatus]:
    """Of every sweep that the store knows of, by name; what else lies in it is passed over."""

    def asked(folder: str) -> SweepStatus | None:
        try:
            return sweep_status(store, folder) if store.exists(f"{folder}/sweep.yaml") else None
        except StoreError:  # removed meanwhile
            return None

    return (found for found in ahead(asked, store.folders()) if found)


def sweep_status(store: Store, sweep: str) -> SweepStatus:
    """Reads the store's keys and the running shards' progress. Raises StoreError where nothing is known of such a sweep."""
    staged: set[str] = set()
    telling: set[str] = set()
    for key in store.keys(f"{sweep}/staging/") if is_key(sweep) else ():
        shard_id, _, name = key.removeprefix(f"{sweep}/staging/").partition("/")
        if name == "manifest.json":
            staged.add(shard_id)
        elif name == "progress.json":
            telling.add(shard_id)
    planned = set(planned_shards(store, sweep)) if is_key(sweep) else set()
    if not (staged or telling or planned or (is_key(sweep) and store.exists(f"{sweep}/sweep.yaml"))):
        others = [manifest.sweep for manifest in published(store)]
        cure = did_you_mean(sweep, others) if others else f"; {RUN_FIRST}"
        raise StoreError(f"sweep {sweep!r}: store {store.uri} knows nothing of it{cure}.")
    told = (read_progress(store, sweep, shard_id) for shard_id in sorted(telling - staged))
    begun = [progress for progress in told if progress is not None]
    running = tuple(progress for progress in begun if progress.status != "given up")
    waiting = len(planned - staged - telling)
    return SweepStatus(sweep, len(staged), running, waiting, len(begun) - len(running), read_manifest(store, sweep))
