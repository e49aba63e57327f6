"""What nobody needs any more in a store (`dreamsweep gc`).

What a manifest names is never touched, neither its tables nor what their rows name; nor are the pictures of staged shards, nor those of
a shard that may still go on from its checkpoint.

    tables        of generations that no manifest names: of runs killed just before they published
    pictures      of trials that are in no published table and in no staged shard: of sweeps that were changed or given up
    checkpoints   of shards that are done, or that nobody has gone on with
    planned       shards as they were laid out for other machines: done, or given up
    unfinished    what writes left behind that were cut off
    staging       rows of shards all of whose trials are published; only when asked for, as the sweep can then not be published anew,
                  with other trials beside these, without making these again
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from dreamsweep.manifest import Manifest, ShardManifest, done_shards, read_manifest
from dreamsweep.store import Entry, Store

Kind = Literal["tables", "pictures", "checkpoints", "planned", "unfinished", "staging"]
ALIVE_SECONDS = 3_600.0
"""Since whoever makes a shard last wrote a checkpoint, which they do every fifteen seconds, before nobody is taken to do so any more."""
_OF_A_RUN = ("checkpoint.safetensors", "progress.json")


@dataclass(frozen=True)
class Garbage:
    """One object that can go."""

    kind: Kind
    sweep: str
    """Empty for what belongs to none."""
    key: str
    size: int
    """Bytes."""
    modified: float
    """Seconds since 1970."""
    remove: Callable[[], None]


def garbage(
    store: Store,
    before: float,
    wanted: Callable[[str], bool] = lambda sweep: True,
    staging: bool = False,
    alive_since: float | None = None,
) -> Iterator[Garbage]:
    """What was written `before` a time (seconds since 1970) and can go, of sweeps that are `wanted`.

    A shard that has been planned or has written a checkpoint since `alive_since`, by default within the hour, may be under way: its
    sweep's checkpoints, plans, pictures and staged rows stay, however young the rest may go.

    In an order in which it can be removed at any moment, all or in part. Raises StoreError where a manifest cannot be read: what it
    names is not known then.
    """
    for sweep in store.folders():
        if wanted(sweep):
            yield from _of_sweep(store, sweep, before, staging, time.time() - ALIVE_SECONDS if alive_since is None else alive_since)
    for left in store.unfinished():
        sweep = left.name.partition("/")[0] if "/" in left.name else ""
        if left.begun < before and wanted(sweep):
            yield Garbage("unfinished", sweep, left.name, left.size, left.begun, left.remove)


def _of_sweep(store: Store, sweep: str, before: float, staging: bool, alive_since: float) -> Iterator[Garbage]:
    def told(kind: Kind, entry: Entry) -> Garbage:
        return Garbage(kind, sweep, entry.key, entry.size, entry.modified, partial(store.delete, entry.key))

    manifest, shards = read_manifest(store, sweep), {shard.shard_id: shard for shard in done_shards(store, sweep)}
    published = _published(store, manifest)
    kept = published | {trial for shard in shards.values() for trial in shard.trial_ids}

    for entry in store.entries(f"{sweep}/tables/"):
        if entry.modified < before and not (manifest and entry.key.split("/")[2] == manifest.generation):
            yield told("tables", entry)

    under_way = [entry for entry in store.entries(f"{sweep}/staging/") if entry.key.split("/")[3] in _OF_A_RUN]
    planned = list(store.entries(f"{sweep}/planned/"))
    waiting = [entry for entry in planned if entry.key.endswith(".json") and Path(entry.key).stem not in shards]
    oldest_alive = min(before, alive_since)
    if any(entry.modified >= oldest_alive for entry in (*under_way, *waiting)):
        return
    yield from (told("checkpoints", entry) for entry in under_way)
    # a picture to start from stays with its trials, whose rows name it
    yield from (told("planned", entry) for entry in planned if entry.modified < before and (entry.key.endswith(".json") or not kept))
    for entry in store.entries(f"{sweep}/pictures/"):
        if entry.modified < before and entry.key.split("/")[2] not in kept:
            yield told("pictures", entry)
    for shard_id, shard in shards.items() if staging else ():
        if published.issuperset(shard.trial_ids):
            yield from (told("staging", entry) for entry in _staged(store, sweep, shard_id, shard) if entry.modified < before)


def _published(store: Store, manifest: Manifest | None) -> frozenset[str]:
    """The ids of a sweep's published trials."""
    if manifest is None:
        return frozenset()
    ids = pq.read_table(pa.BufferReader(store.read(manifest.trials_key)), columns=["trial_id"])["trial_id"]
    return frozenset(ids.to_pylist())


def _staged(store: Store, sweep: str, shard_id: str, shard: ShardManifest) -> list[Entry]:
    """A staged shard's objects, its manifest first: there is never one beside tables that are gone."""
    named = {shard.trials_key, shard.scores_key}
    found = [entry for entry in store.entries(f"{sweep}/staging/{shard_id}/") if entry.key in named or entry.key.endswith("/manifest.json")]
    return sorted(found, key=lambda entry: not entry.key.endswith("/manifest.json"))
