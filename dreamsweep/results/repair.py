"""Repair of a damaged sweep: what its store can give again is written again, the rest is marked to be made by the next run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dreamsweep.errors import DamagedError, StoreError
from dreamsweep.results.manifest import Manifest, done_shards, forget_shard, read_manifest
from dreamsweep.results.publishing import gather, publish, published_trials
from dreamsweep.results.verification import Fault, parts_of
from dreamsweep.store import Store, keys
from dreamsweep.tables.contents import Contents, read_part_record
from dreamsweep.tables.parquet import ahead, is_whole
from dreamsweep.tables.registry import GENERATED


@dataclass(frozen=True)
class Repaired:
    """Outcome of a repair."""

    published: bool
    """Whether the sweep was published again, from its staged shards and the tables that are whole."""
    shards: tuple[str, ...]
    """Staged shards that the next run makes again."""
    trials: tuple[str, ...]
    """Trials with missing or damaged files that no staged shard holds: the next run makes these as well."""


def repair(store: Store, sweep: str, faults: Sequence[Fault]) -> Repaired:
    """Publishes the sweep again where its manifest or tables are damaged, and marks shards that must be made again.

    Rows of a staged shard are good where only its pictures are damaged, so they are gathered before the shard is marked.
    """
    staged = tuple(dict.fromkeys(fault.owner for fault in faults if fault.kind == "staged"))
    for shard_id in staged:
        forget_shard(store, sweep, shard_id)
    republished = any(fault.kind in ("manifest", "table") for fault in faults) and _republish(store, sweep)
    broken = {fault.owner for fault in faults if fault.kind == "picture"}
    held = {shard.shard_id: broken.intersection(shard.trial_ids) for shard in done_shards(store, sweep)} if broken else {}
    again = tuple(shard_id for shard_id, trials in held.items() if trials)
    for shard_id in again:
        forget_shard(store, sweep, shard_id)
    return Repaired(republished, (*staged, *again), tuple(sorted(broken.difference(*held.values()))))


def _republish(store: Store, sweep: str) -> bool:
    """Publishes every trial whose rows are staged, or in tables that are whole; returns whether there are any.

    An invalid manifest is replaced, and removed where there is nothing to publish: the next run then publishes the sweep anew.
    """
    try:
        manifest = read_manifest(store, sweep)
    except DamagedError:
        manifest = None
    wanted, draft = _wanted(store, manifest), _draft(store, sweep, manifest)
    if not draft.tables and not any(shard.trial_ids for shard in done_shards(store, sweep)):
        if manifest is None:
            store.delete(keys.manifest(sweep))
        return False
    publish(store, gather(store, sweep, (lambda trial: True) if wanted is None else wanted, draft.spec_sha256, draft))
    return True


def _wanted(store: Store, manifest: Manifest | None) -> frozenset[str] | None:
    """Returns the ids of the published trials; None where they cannot be read."""
    try:
        return published_trials(store, manifest) if manifest else None
    except StoreError:
        return None


def _draft(store: Store, sweep: str, manifest: Manifest | None) -> Manifest:
    """Returns a manifest that names the gathered parts that are whole: of those that were published, or else of all that are stored."""
    named = manifest or Manifest(
        sweep=sweep, dreamsweep="", spec_sha256="", trials=0, done=0, diverged=0, failed=0, scores=0, pictures_sha256="", weights=(),
        generation="", tables=_stored(store, sweep),
    )  # fmt: skip
    tables: dict[str, tuple[str, ...]] = {}
    for part, files in parts_of(named).items():
        contents = read_part_record(store, sweep, part)
        listed = [key for keys_of_table in files.values() for key in keys_of_table]
        if {"trials", "scores"} <= files.keys() and all(_whole(store, listed, contents)):
            tables |= {name: (*tables.get(name, ()), *files[name]) for name in files}
    return named.model_copy(update={"tables": tables})


def _whole(store: Store, listed: Sequence[str], contents: Contents) -> Iterable[bool]:
    return ahead(lambda key: is_whole(store, key, contents.get(key)), listed)


def _stored(store: Store, sweep: str) -> dict[str, tuple[str, ...]]:
    """Returns all gathered files in the store, by the names of their tables."""
    tables: dict[str, tuple[str, ...]] = {}
    for key in store.keys(keys.tables(sweep)):
        name = key.rpartition("/")[2].removesuffix(".parquet")
        if name in GENERATED and key == keys.table(sweep, keys.generation_of(key), name):
            tables[name] = (*tables.get(name, ()), key)
    return tables
