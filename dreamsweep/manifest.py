"""Manifests: what a shard has made, what a sweep has made. Each is written last and in one step, and names only what is there."""

import hashlib
import tempfile
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dreamsweep import __version__
from dreamsweep.errors import StoreError
from dreamsweep.spec import Spec, canonical_json
from dreamsweep.store import Store
from dreamsweep.tables import SCORES, TRIALS

PARQUET = "application/vnd.apache.parquet"
ROWS_A_GROUP = 200_000


class ShardManifest(Spec):
    """A staged shard. It is done exactly when this is there."""

    shard_id: str
    trial_ids: tuple[str, ...]
    picture_sha256: tuple[str, ...]
    """Of each trial's last picture; empty where there is none."""
    statuses: tuple[str, ...]
    scores: int
    trials_key: str
    scores_key: str


class Manifest(Spec):
    """A published sweep. Two runs of one sweep, in any two stores, leave the same manifest: it tells no times and no hosts."""

    sweep: str
    dreamsweep: str
    spec_sha256: str
    trials: int
    done: int
    diverged: int
    failed: int
    scores: int
    pictures_sha256: str
    """Over every trial's id and the pixels of its last picture, in the order of the ids."""
    generation: str
    trials_key: str
    scores_key: str


def stage_shard(store: Store, sweep: str, shard_id: str, trials: pa.Table, scores: pa.Table) -> ShardManifest:
    """Writes a shard's rows, then its manifest. Its pictures must be there already."""
    folder = f"{sweep}/staging/{shard_id}"
    manifest = ShardManifest(
        shard_id=shard_id,
        trial_ids=tuple(trials["trial_id"].to_pylist()),
        picture_sha256=tuple(digest or "" for digest in trials["picture_sha256"].to_pylist()),
        statuses=tuple(trials["status"].to_pylist()),
        scores=scores.num_rows,
        trials_key=f"{folder}/trials.parquet",
        scores_key=f"{folder}/scores.parquet",
    )
    store.write(manifest.trials_key, _parquet_bytes(trials), PARQUET)
    store.write(manifest.scores_key, _parquet_bytes(scores), PARQUET)
    store.write(f"{folder}/manifest.json", manifest.model_dump_json(indent=1).encode(), "application/json")
    return manifest


def shard_is_done(store: Store, sweep: str, shard_id: str, trial_ids: Iterable[str]) -> bool:
    """Whether the shard is staged with all of these trials."""
    key = f"{sweep}/staging/{shard_id}/manifest.json"
    if not store.exists(key):
        return False
    return set(trial_ids) <= set(ShardManifest.model_validate_json(store.read(key)).trial_ids)


def done_shards(store: Store, sweep: str) -> Iterator[ShardManifest]:
    """Every staged shard of a sweep, by shard id."""
    for key in store.keys(f"{sweep}/staging/"):
        if key.endswith("/manifest.json"):
            yield ShardManifest.model_validate_json(store.read(key))


def gather(store: Store, sweep: str, wanted: Container[str], spec_sha256: str) -> Manifest:
    """Streams the staged rows of the wanted trials into the two tables of a new generation; publishes nothing.

    Rows come in the order of shard ids, each trial once. Memory holds one shard's rows, however many there are. Raises
    StoreError when nothing that is wanted has been staged.
    """
    shards, owner = [], dict[str, str]()
    counts = {"done": 0, "diverged": 0, "failed": 0}
    digests: list[tuple[str, str]] = []
    for shard in done_shards(store, sweep):
        mine = [i for i, trial in enumerate(shard.trial_ids) if trial in wanted and trial not in owner]
        for i in mine:
            owner[shard.trial_ids[i]] = shard.shard_id
            digests.append((shard.trial_ids[i], shard.picture_sha256[i]))
            counts[shard.statuses[i]] += 1
        if mine:
            shards.append((shard, {shard.trial_ids[i] for i in mine}))
    if not shards:
        raise StoreError(f"sweep {sweep!r} has nothing to gather in {store.uri!r}: no shard of it is done; run it first.")
    digest = hashlib.sha256("".join(f"{trial}:{picture}\n" for trial, picture in sorted(digests)).encode()).hexdigest()
    generation = hashlib.sha256(f"{digest}{spec_sha256}{__version__}".encode()).hexdigest()[:16]
    folder = f"{sweep}/tables/{generation}"
    with tempfile.TemporaryDirectory(prefix="dreamsweep-gather-") as scratch:
        trial_rows = _concatenate(store, ((s.trials_key, mine) for s, mine in shards), TRIALS, Path(scratch) / "trials.parquet")
        score_rows = _concatenate(store, ((s.scores_key, mine) for s, mine in shards), SCORES, Path(scratch) / "scores.parquet")
        for name in ("trials.parquet", "scores.parquet"):
            store.write_file(f"{folder}/{name}", Path(scratch) / name, PARQUET)
    return Manifest(
        sweep=sweep,
        dreamsweep=__version__,
        spec_sha256=spec_sha256,
        trials=trial_rows,
        scores=score_rows,
        pictures_sha256=digest,
        generation=generation,
        trials_key=f"{folder}/trials.parquet",
        scores_key=f"{folder}/scores.parquet",
        **counts,
    )


def publish(store: Store, manifest: Manifest) -> None:
    """Makes a gathered generation the sweep's own, in one write; then removes the tables that it replaces."""
    store.write(f"{manifest.sweep}/manifest.json", manifest.model_dump_json(indent=1).encode(), "application/json")
    for key in store.keys(f"{manifest.sweep}/tables/"):
        if key.split("/")[2] != manifest.generation:
            store.delete(key)


def read_manifest(store: Store, sweep: str) -> Manifest | None:
    """The published manifest of a sweep, if there is one."""
    key = f"{sweep}/manifest.json"
    return Manifest.model_validate_json(store.read(key)) if store.exists(key) else None


def published(store: Store) -> Iterator[Manifest]:
    """Every published sweep of a store."""
    for sweep in store.folders():
        manifest = read_manifest(store, sweep)
        if manifest is not None:
            yield manifest


def spec_sha256(spec: Spec) -> str:
    """Identity of a whole sweep as it was asked for."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def _concatenate(store: Store, parts: Iterable[tuple[str, set[str]]], schema: pa.Schema, target: Path) -> int:
    """Rows of the named trials from each part into one file, group by group; returns how many."""
    rows = 0
    waiting: list[pa.Table] = []
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for key, trials in parts:
            table = pq.read_table(pa.BufferReader(store.read(key)), schema=schema)
            if len(trials) < len(set(table["trial_id"].to_pylist())):
                table = table.filter(pc.is_in(table["trial_id"], pa.array(sorted(trials))))
            waiting.append(table)
            rows += table.num_rows
            if sum(t.num_rows for t in waiting) >= ROWS_A_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    return rows


def _parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
