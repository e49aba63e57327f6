"""Garbage collection: objects of a store that are no longer needed (`dreamsweep gc`).

What a manifest names is never touched, neither its tables (staged ones included) nor what their rows name; nor are the pictures of
staged shards, nor those of a shard that may still go on from its checkpoint.

    tables        that no manifest names: of runs killed just before they published, and of shards that were staged again since
    pictures      of trials that are in no published table and in no staged shard: of sweeps that were changed or given up
    checkpoints   of shards that are done, or that nobody has gone on with
    states        of shards that are no longer staged, or whose staging goes as well
    planned       shards as they were laid out for other machines: done, or given up
    unfinished    what writes left behind that were cut off, leases on manifests among them
    staging       rows of shards all of whose trials are published; only when asked for, as the sweep can then not be published anew,
                  with other trials beside these, without making these again
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from dreamsweep.errors import StoreError
from dreamsweep.results.manifest import ShardManifest, done_shards, read_manifest
from dreamsweep.results.publishing import published_trials, with_part_records
from dreamsweep.store import Entry, Store, keys

LOG = logging.getLogger(__name__)
Kind = Literal["tables", "pictures", "checkpoints", "states", "planned", "unfinished", "staging"]
ALIVE_SECONDS = 3_600.0
"""Seconds after its last checkpoint (one every fifteen seconds) before a shard counts as abandoned."""


@dataclass(frozen=True)
class Garbage:
    """Object that can be removed."""

    kind: Kind
    sweep: str
    """Sweep of the object; empty if it belongs to none."""
    key: str
    size: int
    """Size in bytes."""
    modified: float
    """Time of the last write, in seconds since 1970."""
    remove: Callable[[], None]


def now_of(store: Store) -> float:
    """Returns the time in seconds since 1970 with which objects' ages are compared: the earlier one of this machine's clock and of that by
    which the store dates its objects, so that a clock that is ahead makes nothing look abandoned.

    The store's is read from a small object that is removed again; where such an object may not be written, this machine's clock counts.
    """
    key = f".dreamsweep-check-{secrets.token_hex(8)}"
    try:
        store.write(key, b"", "text/plain")
        dates = [entry.modified for entry in store.entries(key)]
        store.delete(key)
    except StoreError:
        return time.time()
    return min(time.time(), *dates)


def warn_of_skipped(sweep: str, mistake: StoreError) -> None:
    """Logs that a sweep is left alone."""
    LOG.warning("sweep %s is left alone: %s", sweep, mistake)


def garbage(
    store: Store,
    before: float,
    wanted: Callable[[str], bool] = lambda sweep: True,
    staging: bool = False,
    alive_since: float | None = None,
    skipped: Callable[[str, StoreError], None] = warn_of_skipped,
) -> Iterator[Garbage]:
    """Lists removable objects of the `wanted` sweeps that were written `before` a time (seconds since 1970).

    A sweep whose manifest, or a staged shard's, cannot be read is passed to `skipped` with the reason and left alone: what it names is
    not known.

    A shard that has been planned or has written a checkpoint since `alive_since`, by default within the hour, may be under way: its
    sweep's checkpoints, plans, pictures and staged rows stay, however young the rest may go.

    In an order in which it can be removed at any moment, all or in part.
    """
    bad = set[str]()
    alive = time.time() - ALIVE_SECONDS if alive_since is None else alive_since
    for sweep in filter(wanted, store.folders()):
        try:
            removable = list(_of_sweep(store, sweep, before, staging, alive))
        except StoreError as mistake:
            bad.add(sweep)
            skipped(sweep, mistake)
        else:
            yield from removable
    for left in store.unfinished():
        sweep = left.name.partition("/")[0] if "/" in left.name else ""
        if left.begun < before and wanted(sweep) and sweep not in bad:
            yield Garbage("unfinished", sweep, left.name, left.size, left.begun, left.remove)


def _of_sweep(store: Store, sweep: str, before: float, staging: bool, alive_since: float) -> Iterator[Garbage]:
    def removable(kind: Kind, entry: Entry) -> Garbage:
        return Garbage(kind, sweep, entry.key, entry.size, entry.modified, partial(store.delete, entry.key))

    manifest, shards = read_manifest(store, sweep), {shard.shard_id: shard for shard in done_shards(store, sweep)}
    published, named = (published_trials(store, manifest), with_part_records(manifest)) if manifest else (frozenset(), frozenset())
    kept = published | {trial for shard in shards.values() for trial in shard.trial_ids}

    for entry in store.entries(keys.tables(sweep)):
        if entry.modified < before and entry.key not in named:
            yield removable("tables", entry)

    for entry in store.entries(keys.leases(keys.manifest(sweep))):
        if entry.modified < before:
            yield removable("unfinished", entry)

    under_way = [entry for entry in store.entries(keys.staging(sweep)) if _is_of_a_run(sweep, entry.key)]
    planned = list(store.entries(keys.planned(sweep)))
    waiting = [entry for entry in planned if (planned_id := keys.planned_shard_of(entry.key)) and planned_id not in shards]
    oldest_alive = min(before, alive_since)
    if any(entry.modified >= oldest_alive for entry in (*under_way, *waiting)):
        return
    yield from (removable("checkpoints", entry) for entry in under_way)
    for entry in store.entries(keys.staging(sweep)):
        shard = shards.get(keys.shard_of(entry.key))
        replaced = shard is not None and entry.key not in shard.files | {keys.staged_manifest(sweep, shard.shard_id)}
        if replaced and entry.key not in named and entry.modified < before and not _is_of_a_run(sweep, entry.key):
            yield removable("tables", entry)
    # a picture to start from stays with its trials, whose rows name it
    yield from (
        removable("planned", entry) for entry in planned if entry.modified < before and (keys.planned_shard_of(entry.key) or not kept)
    )
    for entry in store.entries(keys.pictures(sweep)):
        if entry.modified < before and keys.trial_of(entry.key) not in kept:
            yield removable("pictures", entry)
    going = {
        shard_id: shard
        for shard_id, shard in shards.items()
        if staging and published.issuperset(shard.trial_ids) and named.isdisjoint(shard.files)
    }
    for entry in store.entries(keys.states(sweep)):
        state = keys.state_of(entry.key)  # None: a stray file, which another program may need
        if state and entry.modified < before and state[2] not in shards.keys() - going.keys():
            yield removable("states", entry)
    for shard_id, shard in going.items():
        yield from (removable("staging", entry) for entry in _staged(store, sweep, shard_id, shard) if entry.modified < before)


def _is_of_a_run(sweep: str, key: str) -> bool:
    shard_id = keys.shard_of(key)
    return key in (keys.checkpoint(sweep, shard_id), keys.progress(sweep, shard_id))


def _staged(store: Store, sweep: str, shard_id: str, shard: ShardManifest) -> list[Entry]:
    """Lists a staged shard's objects, its manifest first, so that no manifest outlives its tables."""
    manifest = keys.staged_manifest(sweep, shard_id)
    entries = [entry for entry in store.entries(keys.staged(sweep, shard_id)) if entry.key in shard.files | {manifest}]
    return sorted(entries, key=lambda entry: entry.key != manifest)
