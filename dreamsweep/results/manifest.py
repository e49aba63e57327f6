"""Manifests: what a shard has made, what a sweep has published. Each is written last and in one step, and names only complete files.

A reader that takes the manifest first, and then the files that it names, sees one whole state of the sweep (`publishing` writes it).
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, ValidationError, model_validator

from dreamsweep import __version__
from dreamsweep.errors import DamagedError, StoreError
from dreamsweep.spec import Kept, Spec, canonical_json
from dreamsweep.store import Entry, Store, is_key, keys
from dreamsweep.tables.contents import JSON, Contents, content_of
from dreamsweep.tables.parquet import PARQUET, ahead, parquet_bytes, read_table
from dreamsweep.tables.registry import GENERATED
from dreamsweep.tables.schemas import conform, embeddings_of_format_1, relative_addresses
from dreamsweep.text import did_you_mean

FORMAT = 2
"""Format of manifests and tables that this version writes; it reads this one and earlier ones."""
CHECKSUM = "checksum"
"""Name of the field that manifests end with; earlier versions wrote none."""
LOG = logging.getLogger(__name__)
Status = Literal["done", "diverged", "failed"]
Tables = dict[str, tuple[str, ...]]
"""Keys of the files of each table, by the table's name."""


class _Versioned(Spec):
    """Manifest of any format up to this one; fields that this version does not know are ignored."""

    model_config = ConfigDict(extra="ignore")

    format: int = FORMAT
    tables: Tables

    @model_validator(mode="before")
    @classmethod
    def _from_format_1(cls, data: Any) -> Any:
        """Upgrades the first format, which named two files in two fields."""
        if not isinstance(data, dict) or "format" in data or "tables" in data:
            return data
        return {**data, "format": 1, "tables": {name: (data.get(f"{name}_key"),) for name in ("trials", "scores")}}

    @property
    def files(self) -> frozenset[str]:
        """Returns the keys of all files that the manifest names, those of unknown tables included."""
        return frozenset(key for named in self.tables.values() for key in named)


class ShardManifest(_Versioned):
    """A staged shard. The shard is done exactly when this exists. Facts of each trial stand in the order of `trial_ids`."""

    shard_id: str
    revision: int = 1
    """Number of times that the shard was staged; tables of earlier revisions stay until no manifest names them."""
    trial_ids: tuple[str, ...]
    picture_sha256: tuple[str, ...]
    """SHA-256 of each trial's last picture; empty where there is none."""
    statuses: tuple[Status, ...]
    scores: tuple[int, ...]
    """Rows of each trial in the scores."""
    finished_at: tuple[datetime, ...] = ()
    """Time at which each trial was finished; it tells rows that were staged again from earlier ones."""
    kept: tuple[Kept, ...] = ()
    """What was kept of each trial and who scored it; empty where that was not recorded."""
    weights: tuple[str, ...]
    """`name:sha256` of every weight file used, sorted."""
    contents: Contents = Field(default_factory=dict)
    """Size and SHA-256 of each table's file; empty where an earlier version wrote none. Those of gathered tables lie beside them
    (`keys.part_record`): a sweep's manifest is the same for two runs, and tables hold times."""


class Manifest(_Versioned):
    """A published sweep. It holds no times and no hosts: two runs of one sweep, in any two stores, leave the same manifest."""

    sweep: str
    dreamsweep: str
    """Version of dreamsweep that gathered it."""
    spec_sha256: str
    trials: int
    done: int
    diverged: int
    failed: int
    scores: int
    """Rows of the scores."""
    pictures_sha256: str
    """SHA-256 over `id:picture` of every trial, one a line, sorted by id; the picture is the SHA-256 of its pixels."""
    weights: tuple[str, ...]
    """`name:sha256` of every weight file used, sorted."""
    generation: str
    """Sixteen hexadecimal digits of the SHA-256 of all facts above: they do not depend on how the run was cut."""


M = TypeVar("M", bound=_Versioned)


def stage_shard(
    store: Store, sweep: str, shard_id: str, tables: Mapping[str, pa.Table], kept: Mapping[str, Kept] | None = None
) -> ShardManifest:
    """Writes a shard's rows, one table of each generated kind, then its manifest. Its pictures must exist already.

    Where the shard was staged before, rows of trials that are not among these are kept. Files that an earlier manifest names are
    not touched. `kept` says by trial id what was kept beside the final picture.
    """
    kept = kept or {}
    before = _read(store, keys.staged_manifest(sweep, shard_id), ShardManifest)
    if before:
        tables = _with_earlier_rows(store, before, tables)
        kept = {**dict(zip(before.trial_ids, before.kept, strict=False)), **kept}
    trials, scores = tables["trials"], tables["scores"]
    rows = {entry["values"]: entry["counts"] for entry in pc.value_counts(scores["trial_id"]).to_pylist()}
    used = {f"{name}:{digest}" for weights in trials["weights_sha256"].to_pylist() for name, digest in weights or ()}
    ids = tuple(trials["trial_id"].to_pylist())
    if len(set(ids)) < len(ids) or not rows.keys() <= set(ids):
        raise ValueError(f"shard {shard_id}: each trial must be there once, and all scores must belong to one")
    revision = before.revision + 1 if before else 1
    manifest = ShardManifest(
        shard_id=shard_id,
        revision=revision,
        trial_ids=ids,
        picture_sha256=tuple(digest or "" for digest in trials["picture_sha256"].to_pylist()),
        statuses=tuple(trials["status"].to_pylist()),
        scores=tuple(rows.get(trial, 0) for trial in ids),
        finished_at=tuple(trials["finished_at"].to_pylist()),
        weights=tuple(sorted(used)),
        kept=tuple(kept[trial] for trial in ids) if set(ids) <= kept.keys() else (),
        tables={name: (keys.staged_table(sweep, shard_id, name, revision),) for name in tables},
    )
    contents: Contents = {}
    for name, table in tables.items():
        (key,), data = manifest.tables[name], parquet_bytes(table)
        store.write(key, data, PARQUET)
        contents[key] = content_of(data)
    manifest = manifest.model_copy(update={"contents": contents})
    store.write(keys.staged_manifest(sweep, shard_id), manifest_json(manifest), JSON)
    return manifest


def read_shard_manifest(store: Store, sweep: str, shard_id: str) -> ShardManifest | None:
    """Reads the manifest of a staged shard; None if the shard is not staged."""
    return _read(store, keys.staged_manifest(sweep, shard_id), ShardManifest)


def forget_shard(store: Store, sweep: str, shard_id: str) -> None:
    """Marks a staged shard to be made again by the next run: it stays staged with no trials, in the revision that it had.

    So the tables that an earlier manifest names are not touched when it is staged again. Its own manifest may be unreadable.
    """
    staged = keys.staged(sweep, shard_id)
    numbers = (re.fullmatch(r"trials(?:-(\d+))?\.parquet", key.removeprefix(staged)) for key in store.keys(staged))
    revision = max((int(number[1] or 1) for number in numbers if number), default=1)
    empty = ShardManifest(
        shard_id=shard_id, revision=revision, trial_ids=(), picture_sha256=(), statuses=(), scores=(), weights=(), tables={}
    )
    store.write(keys.staged_manifest(sweep, shard_id), manifest_json(empty), JSON)


def record_kept(store: Store, sweep: str, shard_id: str, kept: Mapping[str, Kept]) -> None:
    """Records in a staged shard's manifest what exists of some of its trials by now; its rows stay as they are."""
    before = read_shard_manifest(store, sweep, shard_id)
    if before is None:
        raise StoreError(f"store {store.uri!r}: shard {shard_id} of sweep {sweep!r} went while it was extended; run the sweep again.")
    now = {**dict(zip(before.trial_ids, before.kept, strict=True)), **kept}
    changed = before.model_copy(update={"kept": tuple(now[trial] for trial in before.trial_ids)})
    store.write(keys.staged_manifest(sweep, shard_id), manifest_json(changed), JSON)


def shard_is_done(store: Store, sweep: str, shard_id: str, trial_ids: Iterable[str]) -> bool:
    """Returns whether the shard is staged with all of these trials."""
    shard = _read(store, keys.staged_manifest(sweep, shard_id), ShardManifest)
    return shard is not None and set(trial_ids) <= set(shard.trial_ids)


def done_shards(store: Store, sweep: str, seen: dict[str, tuple[Entry, ShardManifest]] | None = None) -> Iterator[ShardManifest]:
    """Reads every staged shard of a sweep, by shard id. `seen` is a cache: shards in it are read again only if they changed."""

    def read(entry: Entry) -> ShardManifest | None:
        if seen is not None and entry.key in seen and seen[entry.key][0] == entry:
            return seen[entry.key][1]
        shard = _read(store, entry.key, ShardManifest)
        if seen is not None and shard is not None:
            seen[entry.key] = (entry, shard)
        return shard

    entries = (entry for entry in store.entries(keys.staging(sweep)) if entry.key == keys.staged_manifest(sweep, keys.shard_of(entry.key)))
    return (shard for shard in ahead(read, entries) if shard)


def read_manifest(store: Store, sweep: str) -> Manifest | None:
    """Reads the published manifest of a sweep; None if nothing is published.

    Raises DamagedError if it is invalid, StoreError if its format is newer.
    """
    manifest = _read(store, keys.manifest(sweep), Manifest)
    if manifest and not (manifest.sweep == sweep and all(is_key(key) and key.startswith(keys.folder(sweep)) for key in manifest.files)):
        raise DamagedError(
            f"store {store.uri!r}: {keys.manifest(sweep)!r} names files of another sweep; "
            f"repair it with: dreamsweep verify {sweep} --repair."
        )
    return manifest


def with_every_table(store: Store, manifest: Manifest) -> Manifest:
    """Returns the manifest. Raises DamagedError where it does not name the tables that every sweep has."""
    if missing := [name for name in ("trials", "scores") if not manifest.tables.get(name)]:
        raise DamagedError(
            f"store {store.uri!r}: the manifest of sweep {manifest.sweep!r} names no table {missing[0]!r}, which every sweep has; "
            f"repair it with: dreamsweep verify {manifest.sweep} --repair."
        )
    return manifest


def readable_manifest(store: Store, sweep: str) -> Manifest | None:
    """Reads the published manifest of a sweep; None if nothing is published, or, with a warning, if the manifest is invalid."""
    try:
        return read_manifest(store, sweep)
    except StoreError as mistake:
        LOG.warning("skipped: %s", mistake)
        return None


def published_manifest(store: Store, sweep: str) -> Manifest:
    """Reads the published manifest of a sweep. Raises StoreError, with the nearest name, if nothing is published under that name."""
    manifest = read_manifest(store, sweep) if is_key(sweep) else None
    if manifest is None:
        names = [manifest.sweep for manifest in published(store)]
        raise StoreError(f"store {store.uri!r} has no published sweep {sweep!r}{did_you_mean(sweep, names)}.")
    return manifest


def published(store: Store) -> Iterator[Manifest]:
    """Lists every published sweep of a store, by name; those whose manifests are invalid are left out, with a warning."""
    return (manifest for manifest in ahead(lambda sweep: readable_manifest(store, sweep), store.folders()) if manifest)


def spec_sha256(spec: Spec) -> str:
    """Returns the identity of a whole sweep file: the SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def manifest_json(manifest: Spec) -> bytes:
    """Encodes a manifest as it is written: with a checksum over all else, as a flipped bit may leave valid JSON."""
    fields = json.loads(manifest.model_dump_json())
    return json.dumps({**fields, CHECKSUM: _checksum(fields)}, indent=1, ensure_ascii=False).encode()


def _checksum(fields: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a manifest's fields as JSON, less the checksum itself."""
    others = {name: value for name, value in fields.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def rows_of_format_1(name: str, table: pa.Table) -> pa.Table:
    """Reads the rows of table `name` from a file of the first format, which kept embeddings in the trials' file."""
    return relative_addresses(table) if name != "embeddings" else embeddings_of_format_1(table)


def _with_earlier_rows(store: Store, before: ShardManifest, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Merges tables with an earlier staging's rows of trials that they lack."""
    new = tables["trials"]["trial_id"].combine_chunks()
    merged = {}
    for name, table in tables.items():
        source = "trials" if before.format == 1 and name == "embeddings" else name
        earlier = [read_table(store, key, content=before.contents.get(key)) for key in before.tables.get(source, ())]
        if before.format == 1:
            earlier = [rows_of_format_1(name, rows) for rows in earlier]
        conformed = [conform(rows, GENERATED[name].schema) for rows in earlier]
        merged[name] = pa.concat_tables([table, *(rows.filter(pc.invert(pc.is_in(rows["trial_id"], new))) for rows in conformed)])
    return merged


def _read(store: Store, key: str, kind: type[M]) -> M | None:
    """Reads a manifest; None if there is none. Raises DamagedError if it is invalid, StoreError if its format is newer."""
    data = store.get(key)
    if data is None:
        return None
    fields = _fields(data)
    written_in = fields.get("format", 1)
    if isinstance(written_in, int) and written_in > FORMAT:
        raise StoreError(
            f"store {store.uri!r}: {key!r} has format {written_in}, and dreamsweep {__version__} reads formats up to {FORMAT}: it was "
            "written by a newer dreamsweep; update with pip install --upgrade dreamsweep."
        )
    try:
        manifest = kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DamagedError(
            f"store {store.uri!r}: {key!r} is no manifest of dreamsweep {__version__} ({where + ': ' if where else ''}{first['msg']}); "
            f"repair it with: dreamsweep verify {key.partition('/')[0]} --repair."
        ) from None
    if fields.get(CHECKSUM) not in (None, _checksum(fields)):
        raise DamagedError(
            f"store {store.uri!r}: {key!r} is not what was written (another checksum); "
            f"repair it with: dreamsweep verify {key.partition('/')[0]} --repair."
        )
    return manifest


def _fields(data: bytes) -> dict[str, Any]:
    """Returns a manifest's JSON as it is; empty where it is none."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
