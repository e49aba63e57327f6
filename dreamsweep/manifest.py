"""Manifests: what a shard has made, what a sweep has made. Each is written last and in one step, and names only what is there.

    gather      staged shards → the two tables of a new generation, beside those that are published
    publish     the manifest names that generation, in one write; then the tables that it replaces are removed

Whoever reads the manifest first and then the tables that it names sees one whole state of the sweep, whatever dies meanwhile.
"""

import hashlib
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from dreamsweep import __version__
from dreamsweep.errors import StoreError
from dreamsweep.parquet import PARQUET, Part, ahead, concatenate, parquet_bytes
from dreamsweep.spec import Spec, canonical_json
from dreamsweep.store import Store, is_key
from dreamsweep.tables import SCORES, TRIALS, conform
from dreamsweep.words import did_you_mean

JSON = "application/json"
TRIALS_A_GROUP, SCORES_A_GROUP = 8_192, 262_144
"""Rows of a row group: what a gather holds of each table at a time, some 20 MB."""
Status = Literal["done", "diverged", "failed"]
S = TypeVar("S", bound=Spec)


class ShardManifest(Spec):
    """A staged shard. It is done exactly when this is there. What is told of each trial stands in the order of `trial_ids`."""

    shard_id: str
    trial_ids: tuple[str, ...]
    picture_sha256: tuple[str, ...]
    """Of each trial's last picture; empty where there is none."""
    statuses: tuple[Status, ...]
    scores: tuple[int, ...]
    """Rows of each trial in the scores."""
    weights: tuple[str, ...]
    """`name:sha256` of every weight file used, sorted."""
    trials_key: str
    scores_key: str


class Manifest(Spec):
    """A published sweep. Two runs of one sweep, in any two stores, leave the same manifest: it tells no times and no hosts."""

    sweep: str
    dreamsweep: str
    """The version that gathered it."""
    spec_sha256: str
    trials: int
    done: int
    diverged: int
    failed: int
    scores: int
    """Rows."""
    pictures_sha256: str
    """Over `id:picture` of every trial, one a line, in the order of the ids; the picture is the SHA-256 of its pixels."""
    weights: tuple[str, ...]
    """`name:sha256` of every weight file used, sorted."""
    generation: str
    """Sixteen hexadecimal digits of the SHA-256 of all of the above."""
    trials_key: str
    scores_key: str


def stage_shard(store: Store, sweep: str, shard_id: str, trials: pa.Table, scores: pa.Table) -> ShardManifest:
    """Writes a shard's rows, then its manifest. Its pictures must be there already.

    Where the shard was staged before, rows of trials that are not among these are kept.
    """
    folder = f"{sweep}/staging/{shard_id}"
    if store.exists(f"{folder}/manifest.json"):
        trials, scores = _with_staged_before(store, _parsed(store, f"{folder}/manifest.json", ShardManifest), trials, scores)
        store.delete(f"{folder}/manifest.json")  # never a manifest beside tables that it does not mean
    rows = {entry["values"]: entry["counts"] for entry in pc.value_counts(scores["trial_id"]).to_pylist()}
    used = {f"{name}:{digest}" for told in trials["weights_sha256"].to_pylist() for name, digest in told or ()}
    ids = tuple(trials["trial_id"].to_pylist())
    if len(set(ids)) < len(ids) or not rows.keys() <= set(ids):
        raise ValueError(f"shard {shard_id}: each trial must be there once, and all scores must belong to one")
    manifest = ShardManifest(
        shard_id=shard_id,
        trial_ids=ids,
        picture_sha256=tuple(digest or "" for digest in trials["picture_sha256"].to_pylist()),
        statuses=tuple(trials["status"].to_pylist()),
        scores=tuple(rows.get(trial, 0) for trial in ids),
        weights=tuple(sorted(used)),
        trials_key=f"{folder}/trials.parquet",
        scores_key=f"{folder}/scores.parquet",
    )
    store.write(manifest.trials_key, parquet_bytes(trials), PARQUET)
    store.write(manifest.scores_key, parquet_bytes(scores), PARQUET)
    store.write(f"{folder}/manifest.json", _json(manifest), JSON)
    return manifest


def shard_is_done(store: Store, sweep: str, shard_id: str, trial_ids: Iterable[str]) -> bool:
    """Whether the shard is staged with all of these trials."""
    key = f"{sweep}/staging/{shard_id}/manifest.json"
    return store.exists(key) and set(trial_ids) <= set(_parsed(store, key, ShardManifest).trial_ids)


def done_shards(store: Store, sweep: str) -> Iterator[ShardManifest]:
    """Every staged shard of a sweep, by shard id."""
    keys = (key for key in store.keys(f"{sweep}/staging/") if key.endswith("/manifest.json"))
    return ahead(lambda key: _parsed(store, key, ShardManifest), keys)


def gather(store: Store, sweep: str, wanted: Container[str] | Callable[[str], bool], spec_sha256: str) -> Manifest:
    """Streams the staged rows of the wanted trials into the two tables of a new generation; publishes nothing.

    Rows come in the order of shard ids, each trial once. Memory holds a row group, however many rows there are, and some 300
    bytes a trial. What is published already is not written again. Raises StoreError when nothing that is wanted has been
    staged, or a staged table is not what its shard's manifest says.
    """
    chosen = _Chosen(wanted if callable(wanted) else wanted.__contains__)
    for shard in done_shards(store, sweep):
        chosen.add(shard)
    if not chosen.parts:
        raise StoreError(f"store {store.uri!r} holds nothing of sweep {sweep!r} to gather: none of its shards is done; run it first.")
    manifest = chosen.manifest(sweep, spec_sha256)
    if _is_published(store, manifest) and _tables_are_there(store, manifest):
        return manifest
    tables = (
        (manifest.trials_key, TRIALS, TRIALS_A_GROUP, manifest.trials),
        (manifest.scores_key, SCORES, SCORES_A_GROUP, manifest.scores),
    )
    for key, schema, group, expected in tables:
        parts = (Part(f"{sweep}/staging/{shard}/{key.rpartition('/')[2]}", mine) for shard, mine in chosen.parts)
        found = _gather_table(store, parts, schema, group, key)
        if found != expected:
            raise StoreError(
                f"store {store.uri!r}: the staged tables of sweep {sweep!r} hold {found} rows for {key!r} where their manifests say "
                f"{expected}; delete {sweep}/staging and run the sweep again."
            )
    return manifest


def publish(store: Store, manifest: Manifest) -> None:
    """Makes a gathered generation the sweep's own, in one write; then removes the tables that it replaces.

    Two runs of one sweep may publish at the same time. Whoever is second looks at its tables again before it writes, as the first may
    have removed them, and the first stops removing as soon as the manifest is no longer its own; where all of that was still too late,
    the error tells it, and the same run again mends it. Raises StoreError when the generation's tables are not there; before it has
    written, nothing is changed.
    """
    key = f"{manifest.sweep}/manifest.json"
    while True:
        before = store.version(key)
        _refuse_without_tables(store, manifest)
        if _is_published(store, manifest) or store.replace(key, _json(manifest), before, JSON):
            break
    for other in [entry for entry in store.keys(f"{manifest.sweep}/tables/") if entry.split("/")[2] != manifest.generation]:
        if not _is_published(store, manifest):
            return
        store.delete(other)
    _refuse_without_tables(store, manifest)


def read_manifest(store: Store, sweep: str) -> Manifest | None:
    """The published manifest of a sweep, if there is one."""
    key = f"{sweep}/manifest.json"
    return _parsed(store, key, Manifest) if store.exists(key) else None


def published_manifest(store: Store, sweep: str) -> Manifest:
    """The same. Raises StoreError, which names the sweep meant, where nothing is published under that name."""
    found = read_manifest(store, sweep) if is_key(sweep) else None
    if found is None:
        names = [manifest.sweep for manifest in published(store)]
        raise StoreError(f"store {store.uri!r} has no published sweep {sweep!r}{did_you_mean(sweep, names)}.")
    return found


def published(store: Store) -> Iterator[Manifest]:
    """Every published sweep of a store, by name."""
    return (found for found in ahead(lambda sweep: read_manifest(store, sweep), store.folders()) if found)


def spec_sha256(spec: Spec) -> str:
    """Identity of a whole sweep as it was asked for."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


@dataclass
class _Chosen:
    """What a gather takes: of each shard all trials (None) or some, no trial twice, and what the manifest says of them."""

    wanted: Callable[[str], bool]
    parts: list[tuple[str, frozenset[str] | None]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[Status, int] = field(default_factory=lambda: {"done": 0, "diverged": 0, "failed": 0})
    scores: int = 0
    weights: set[str] = field(default_factory=set)

    def add(self, shard: ShardManifest) -> None:
        mine = [i for i, trial in enumerate(shard.trial_ids) if self.wanted(trial) and trial not in self.pictures]
        if not mine:
            return
        for i in mine:
            self.pictures[shard.trial_ids[i]] = bytes.fromhex(shard.picture_sha256[i])
            self.statuses[shard.statuses[i]] += 1
            self.scores += shard.scores[i]
        self.weights |= set(shard.weights)
        everything = len(mine) == len(shard.trial_ids)
        self.parts.append((shard.shard_id, None if everything else frozenset(shard.trial_ids[i] for i in mine)))

    def manifest(self, sweep: str, spec_sha256: str) -> Manifest:
        digest = hashlib.sha256()
        for trial in sorted(self.pictures):
            digest.update(f"{trial}:{self.pictures[trial].hex()}\n".encode())
        draft = Manifest(
            sweep=sweep,
            dreamsweep=__version__,
            spec_sha256=spec_sha256,
            trials=len(self.pictures),
            **self.statuses,
            scores=self.scores,
            pictures_sha256=digest.hexdigest(),
            weights=tuple(sorted(self.weights)),
            generation="",
            trials_key="",
            scores_key="",
        )
        generation = hashlib.sha256(canonical_json(draft).encode()).hexdigest()[:16]
        folder = f"{sweep}/tables/{generation}"
        keys = {"generation": generation, "trials_key": f"{folder}/trials.parquet", "scores_key": f"{folder}/scores.parquet"}
        return draft.model_copy(update=keys)


def _gather_table(store: Store, parts: Iterable[Part], schema: pa.Schema, group: int, key: str) -> int:
    """Writes one table of a generation, by way of a file in the folder for temporary ones; returns its rows."""
    with tempfile.TemporaryDirectory(prefix="dreamsweep-gather-") as scratch:
        target = Path(scratch) / "table.parquet"
        try:
            found = concatenate(store, parts, schema, target, group)
        except OSError as error:
            raise StoreError(
                f"the tables cannot be put together in {scratch!r}: {error.strerror or error}; set TMPDIR to a folder with room."
            ) from None
        store.write_file(key, target, PARQUET)
        return found


def _with_staged_before(store: Store, before: ShardManifest, trials: pa.Table, scores: pa.Table) -> tuple[pa.Table, pa.Table]:
    """These tables and, after them, the rows of those trials of an earlier staging that they do not have."""
    new = trials["trial_id"].combine_chunks()
    merged = []
    for key, schema, table in ((before.trials_key, TRIALS, trials), (before.scores_key, SCORES, scores)):
        old = conform(pq.read_table(pa.BufferReader(store.read(key))), schema)
        merged.append(pa.concat_tables([table, old.filter(pc.invert(pc.is_in(old["trial_id"], new)))]))
    return merged[0], merged[1]


def _is_published(store: Store, manifest: Manifest) -> bool:
    key = f"{manifest.sweep}/manifest.json"
    return store.exists(key) and store.read(key) == _json(manifest)


def _refuse_without_tables(store: Store, manifest: Manifest) -> None:
    if not _tables_are_there(store, manifest):
        raise StoreError(
            f"store {store.uri!r}: the tables of sweep {manifest.sweep!r} went before they were published, so another run of it must have "
            "published its own; wait until it is over and run the sweep again."
        )


def _tables_are_there(store: Store, manifest: Manifest) -> bool:
    return store.exists(manifest.trials_key) and store.exists(manifest.scores_key)


def _parsed(store: Store, key: str, kind: type[S]) -> S:
    try:
        return kind.model_validate_json(store.read(key))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoreError(
            f"store {store.uri!r}: {key!r} is no manifest of dreamsweep {__version__} ({where + ': ' if where else ''}{first['msg']}); "
            "delete it and run the sweep again."
        ) from None


def _json(manifest: Spec) -> bytes:
    return manifest.model_dump_json(indent=1).encode()
