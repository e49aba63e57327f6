"""Status of a sweep, read from its store: shards that are staged, running, waiting or given up."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from dreamsweep.errors import StoreError
from dreamsweep.results.handoff import Progress, planned_shards, read_progress
from dreamsweep.results.manifest import Manifest, published, read_manifest
from dreamsweep.store import RUN_FIRST, Store, is_key, keys
from dreamsweep.tables.parquet import ahead
from dreamsweep.text import did_you_mean

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepStatus:
    """Status of a sweep's shards; waiting ones are known only if they were planned for remote workers."""

    sweep: str
    staged: int
    running: tuple[Progress, ...]
    """Progress of shards that have started and are not staged yet; one whose machine died looks the same until it is retried."""
    waiting: int
    given_up: int
    """Number of shards that failed at every attempt; the next run of the sweep retries them."""
    manifest: Manifest | None
    """Published manifest of the sweep; None if nothing is published."""


def every_status(store: Store) -> Iterator[SweepStatus]:
    """Reads the status of every sweep in the store, by name; other folders are skipped, and invalid sweeps with a warning."""

    def status_of(folder: str) -> SweepStatus | None:
        try:
            return sweep_status(store, folder) if store.exists(keys.sweep_file(folder)) else None
        except StoreError as mistake:
            if store.exists(keys.manifest(folder)):  # else it was removed meanwhile
                LOG.warning("skipped: %s", mistake)
            return None

    return (status for status in ahead(status_of, store.folders()) if status)


def sweep_status(store: Store, sweep: str) -> SweepStatus:
    """Reads the store's keys and the running shards' progress. Raises StoreError where nothing is known of such a sweep."""
    if not is_key(sweep):
        raise _unknown(store, sweep)
    staged: set[str] = set()
    telling: set[str] = set()
    for key in store.keys(keys.staging(sweep)):
        shard_id = keys.shard_of(key)
        if key == keys.staged_manifest(sweep, shard_id):
            staged.add(shard_id)
        elif key == keys.progress(sweep, shard_id):
            telling.add(shard_id)
    planned = set(planned_shards(store, sweep))
    if not (staged or telling or planned or store.exists(keys.sweep_file(sweep))):
        raise _unknown(store, sweep)
    records = (read_progress(store, sweep, shard_id) for shard_id in sorted(telling - staged))
    begun = [progress for progress in records if progress is not None]
    running = tuple(progress for progress in begun if progress.status != "given up")
    waiting = len(planned - staged - telling)
    return SweepStatus(sweep, len(staged), running, waiting, len(begun) - len(running), read_manifest(store, sweep))


def _unknown(store: Store, sweep: str) -> StoreError:
    others = [manifest.sweep for manifest in published(store)]
    cure = did_you_mean(sweep, others) if others else f"; {RUN_FIRST}"
    return StoreError(f"sweep {sweep!r}: store {store.uri} knows nothing of it{cure}.")
