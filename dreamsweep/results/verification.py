"""Verification of a sweep: whether every object that its manifests name is there, whole, and what was written.

    published manifest   can be read, and names files of its own sweep
    gathered tables      by the record beside them (`keys.part_record`)
    staged shards        their manifests, and their tables by what these say
    files of trials      by the rows of the table `files`; of earlier versions, which wrote none, pictures must be readable

Everything is read once, a source after the other, so memory does not grow with the sweep.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from dreamsweep.errors import DamagedError, StoreError
from dreamsweep.results.manifest import Manifest, ShardManifest, read_manifest, read_shard_manifest, rows_of_format_1, with_every_table
from dreamsweep.store import Store, is_key, keys
from dreamsweep.tables.contents import Content, Contents, check_content, content_of, read_part_record
from dreamsweep.tables.parquet import ahead, check_table, read_parquet
from dreamsweep.tables.schemas import ADDRESS_SUFFIX
from dreamsweep.text import did_you_mean

Kind = Literal["manifest", "table", "staged", "picture"]


@dataclass(frozen=True)
class Fault:
    """Object that is missing, damaged, or not what was written."""

    sweep: str
    key: str
    kind: Kind
    state: Literal["missing", "damaged"]
    reason: str
    """A sentence: what is wrong with it."""
    owner: str = ""
    """Trial of a picture or another file, shard of a staged object; else empty."""


@dataclass(frozen=True)
class Checked:
    """Objects of one source that were checked: the published manifest, a gathered part, or a staged shard."""

    source: str
    objects: int
    faults: tuple[Fault, ...]
    sources: int
    """Number of sources of the sweep."""


@dataclass(frozen=True)
class _Named:
    """Object that a manifest or a row names."""

    key: str
    kind: Kind
    owner: str = ""
    content: Content | None = None


def verify(store: Store, sweep: str) -> Iterator[Checked]:
    """Checks a sweep, source by source. Raises StoreError where the store has nothing of such a sweep, or may not be read."""
    shard_ids = _shard_ids(store, sweep) if is_key(sweep) else []
    if not shard_ids and not (is_key(sweep) and store.exists(keys.manifest(sweep))):
        raise StoreError(f"store {store.uri!r} has nothing of a sweep {sweep!r} to verify{did_you_mean(sweep, store.folders())}.")
    manifest, faults = _published(store, sweep)
    parts = parts_of(manifest) if manifest else {}
    sources = 1 + len(parts) + len(shard_ids)
    yield Checked("manifest", int(manifest is not None or bool(faults)), faults, sources)
    staged = set[str]()
    for shard_id in shard_ids:
        shard = _staged(store, sweep, shard_id)
        if isinstance(shard, Fault):
            yield Checked(shard_id, 1, (shard,), sources)
            continue
        staged.update(shard.trial_ids)
        tables = [_Named(key, "staged", shard_id, shard.contents.get(key)) for key in sorted(shard.files)]
        yield _checked(store, sweep, shard_id, tables, shard.tables, shard.format, lambda trial: True, sources)
    for part, files in parts.items():
        contents: Contents = read_part_record(store, sweep, part)
        tables = [_Named(key, "table", part, contents.get(key)) for named in files.values() for key in named]
        yield _checked(store, sweep, part, tables, files, manifest.format if manifest else 2, lambda trial: trial not in staged, sources)


def _checked(
    store: Store,
    sweep: str,
    source: str,
    named: Sequence[_Named],
    tables: dict[str, tuple[str, ...]],
    written_in: int,
    wanted: Callable[[str], bool],
    sources: int,
) -> Checked:
    """Checks a source's tables, then the files of its wanted trials, as far as its tables can be read."""
    faults = [fault for fault in ahead(partial(_fault, store, sweep), named) if fault]
    lost = {fault.key for fault in faults}
    whole = {name: [key for key in files if key not in lost] for name, files in tables.items()}
    files = list(_files(store, sweep, whole, written_in, wanted))
    faults += [fault for fault in ahead(partial(_fault, store, sweep), files) if fault]
    return Checked(source, len(named) + len(files), tuple(faults), sources)


def _fault(store: Store, sweep: str, named: _Named) -> Fault | None:
    """Returns what is wrong with an object; None where nothing is."""
    try:
        if named.kind != "picture":
            if not store.exists(named.key):
                return _missing(sweep, named)
            check_table(store, named.key, named.content)
            return None
        data = store.get(named.key)
        if data is None:
            return _missing(sweep, named)
        if named.content:
            check_content(store, named.key, content_of(data), named.content)
        elif named.key.endswith(".png"):
            _check_png(store, named.key, data)
    except DamagedError as error:
        return Fault(sweep, named.key, named.kind, "damaged", str(error), named.owner)
    return None


def _missing(sweep: str, named: _Named) -> Fault:
    return Fault(sweep, named.key, named.kind, "missing", f"{named.key!r} is missing.", named.owner)


def _check_png(store: Store, key: str, data: bytes) -> None:
    """Raises DamagedError where a PNG's chunks differ from their checksums, or it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.verify()
    except Exception as error:  # noqa: BLE001 - decoders of damaged files raise whatever they meet
        raise DamagedError(f"store {store.uri!r}: {key!r} cannot be read as a picture ({type(error).__name__}).") from None


def _files(store: Store, sweep: str, tables: dict[str, list[str]], written_in: int, wanted: Callable[[str], bool]) -> Iterator[_Named]:
    """Lists the files of the wanted trials, each once: those with a content first, then those that other tables name."""
    known = set[str]()
    for key in tables.get("files", ()):
        for row in read_parquet(store.read(key)).to_pylist():
            address = keys.folder(sweep) + row["file_uri"]
            if wanted(row["trial_id"]) and address not in known:
                known.add(address)
                yield _Named(address, "picture", row["trial_id"], Content(size=row["size"], sha256=row["sha256"]))
    for name in ("trials", "scores"):
        for key in tables.get(name, ()):
            table = read_parquet(store.read(key))
            for trial, address in _addresses(rows_of_format_1(name, table) if written_in == 1 else table):
                full = keys.folder(sweep) + address
                if wanted(trial) and full not in known and is_key(full) and full.startswith(keys.pictures(sweep)):
                    known.add(full)
                    yield _Named(full, "picture", trial)


def _addresses(table: pa.Table) -> Iterator[tuple[str, str]]:
    """Returns (trial, address) of every file that a table of trials or scores names."""
    for name in table.column_names:
        if name.endswith(ADDRESS_SUFFIX):
            rows = table.filter(pc.is_valid(table[name]))
            yield from zip(rows["trial_id"].to_pylist(), rows[name].to_pylist(), strict=True)
    if "artefacts" in table.column_names:
        for trial, files in zip(table["trial_id"].to_pylist(), table["artefacts"].to_pylist(), strict=True):
            yield from ((trial, address) for _, address in files or ())


def _published(store: Store, sweep: str) -> tuple[Manifest | None, tuple[Fault, ...]]:
    try:
        manifest = read_manifest(store, sweep)
        return manifest and with_every_table(store, manifest), ()
    except DamagedError as error:
        return None, (Fault(sweep, keys.manifest(sweep), "manifest", "damaged", str(error)),)


def _staged(store: Store, sweep: str, shard_id: str) -> ShardManifest | Fault:
    key = keys.staged_manifest(sweep, shard_id)
    try:
        shard = read_shard_manifest(store, sweep, shard_id)
    except DamagedError as error:
        return Fault(sweep, key, "staged", "damaged", str(error), shard_id)
    if shard is None or shard.shard_id != shard_id or not all(file.startswith(keys.staged(sweep, shard_id)) for file in shard.files):
        return Fault(sweep, key, "staged", "damaged", f"{key!r} is another shard's, or names files of another.", shard_id)
    return shard


def _shard_ids(store: Store, sweep: str) -> list[str]:
    """Lists the staged shards of a sweep."""
    listed: Iterable[str] = store.keys(keys.staging(sweep))
    return [shard_id for key in listed if key == keys.staged_manifest(sweep, shard_id := keys.shard_of(key))]


def parts_of(manifest: Manifest) -> dict[str, dict[str, tuple[str, ...]]]:
    """Returns the files of each gathered part that a manifest names, table by table."""
    parts: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, files in manifest.tables.items():
        for key in files:
            if key.startswith(keys.tables(manifest.sweep)):
                tables = parts.setdefault(keys.generation_of(key), {})
                tables[name] = (*tables.get(name, ()), key)
    return parts
