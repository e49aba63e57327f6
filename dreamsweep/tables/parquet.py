"""Parquet to and from a store, a few rows at a time: what keeps a gather's memory flat."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dreamsweep.errors import DamagedError
from dreamsweep.store import Store
from dreamsweep.tables.contents import Content, check_content, content_of, content_of_file
from dreamsweep.tables.schemas import conform

PARQUET = "application/vnd.apache.parquet"
AHEAD = 8
"""Objects that are fetched at the same time."""
BATCH = 8192
"""Rows that are decoded at a time where a file is only checked."""

UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""Errors of pyarrow at a damaged file, by the place of the damage: a page, a header (OSError), a column's name or type."""

VECTOR = "vector"
"""Column of embeddings. zstd makes it 8 % smaller and a search take half as long again, so it is written as it is."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Part:
    """A table's file, and which trials' rows of it are wanted (None: all)."""

    key: str
    trials: frozenset[str] | None
    convert: Callable[[pa.Table], pa.Table] = lambda table: table
    """Brings rows of an older format into this one."""
    content: Content | None = None
    """Size and SHA-256 that the file was written with, checked before it is read; None where none were recorded."""


def parquet_bytes(table: pa.Table) -> bytes:
    """Returns a table as a Parquet file, compressed with zstd, embeddings excepted."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **_encoding(table.schema))
    return bytes(sink.getvalue())


def read_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a whole Parquet file, or some of its columns, in this thread.

    pyarrow's read_table reads in threads of its own, which may still hold Python's bytes when the interpreter ends; before Python 3.14
    such a thread ends the process with SIGABRT (https://github.com/apache/arrow/issues/34314). Raises ArrowInvalid if the file is
    damaged, by the checksums of its pages where it has them, or lacks a column.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            if missing := {*(columns or ())} - {*file.schema_arrow.names}:
                raise pa.ArrowInvalid(f"no column {min(missing)!r}")
            return file.read(columns=columns if columns is None else [*columns], use_threads=False)
    except UNREADABLE as error:
        raise pa.ArrowInvalid(str(error)) from None


def read_table(store: Store, key: str, columns: Sequence[str] | None = None, content: Content | None = None) -> pa.Table:
    """Reads a table's file from a store, or some of its columns.

    Raises StoreError where it is missing, DamagedError where it cannot be read, or is not the content that it was written with.
    """
    data = store.read(key)
    if content:
        check_content(store, key, content_of(data), content)
    try:
        return read_parquet(data, columns)
    except pa.ArrowInvalid as error:
        raise _unreadable(store, key, error) from None


def is_whole(store: Store, key: str, content: Content | None = None) -> bool:
    """Returns whether a file is there and what was written; without its content, whether every page of it can be read."""
    if not store.exists(key):
        return False
    try:
        check_table(store, key, content)
    except DamagedError:
        return False
    return True


def check_table(store: Store, key: str, content: Content | None = None) -> None:
    """Raises DamagedError where a file is not what was written, or a page of it cannot be read; memory holds some thousand rows."""
    with tempfile.TemporaryDirectory(prefix="dreamsweep-check-") as scratch:
        path = Path(scratch) / "table.parquet"
        store.read_file(key, path)
        check_content(store, key, content_of_file(path), content)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
                for _ in parquet.iter_batches(batch_size=BATCH, use_threads=False):
                    pass
        except UNREADABLE as error:
            raise _unreadable(store, key, error, path) from None


def concatenate(store: Store, parts: Iterable[Part], schema: pa.Schema, target: Path, group: int) -> int:
    """Returns the wanted rows of each part, in order, into one Parquet file with row groups of about `group` rows; returns how many.

    Parts come by way of files beside the target, a few at a time. Raises StoreError when one is not there, DamagedError when it is not
    what was written.
    """
    rows, held, waiting = 0, 0, list[pa.Table]()

    def fetch(part: Part) -> tuple[Part, Path]:
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
            path = Path(file.name)
        store.read_file(part.key, path)
        if part.content:
            check_content(store, part.key, content_of_file(path), part.content)
        return part, path

    with pq.ParquetWriter(target, schema, **_encoding(schema)) as writer:
        for part, path in ahead(fetch, parts):
            for table in _batches(store, part, path, schema, max(1, group // 8)):
                waiting.append(table)
                rows, held = rows + table.num_rows, held + table.num_rows
                if held >= group:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=held)
                    held, waiting = 0, []
            path.unlink()
        if held:
            writer.write_table(pa.concat_tables(waiting), row_group_size=held)
    return rows


def ahead(call: Callable[[A], B], inputs: Iterable[A]) -> Iterator[B]:
    """Maps in threads, with a few calls under way before their results are asked for."""
    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[B]] = deque()
        for value in inputs:
            waiting.append(pool.submit(call, value))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Returns how columns are written, as pyarrow's writers take it."""
    if VECTOR not in schema.names:
        return {"compression": "zstd", "write_page_checksum": True}
    others = [name for name in schema.names if name != VECTOR]
    return {"compression": dict.fromkeys(others, "zstd"), "use_dictionary": others, "write_page_checksum": True}


def _batches(store: Store, part: Part, path: Path, schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """Yields the wanted rows of a fetched part, `rows` at a time. Raises DamagedError when it is no Parquet file of such rows."""
    wanted = None if part.trials is None else pa.array(sorted(part.trials))
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            for batch in parquet.iter_batches(batch_size=rows):
                table = conform(part.convert(pa.Table.from_batches([batch])), schema)
                yield table if wanted is None else table.filter(pc.is_in(table["trial_id"], wanted))
    except UNREADABLE as error:
        raise _unreadable(store, part.key, error, path) from None


def _unreadable(store: Store, key: str, error: Exception, path: Path | None = None) -> DamagedError:
    reason, sweep = " ".join(str(error).split()), key.partition("/")[0]
    if path:
        reason = reason.replace(str(path), "it")
    return DamagedError(f"store {store.uri!r}: {key!r} cannot be read ({reason}); repair it with: dreamsweep verify {sweep} --repair.")
