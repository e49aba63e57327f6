"""Rows that are added later: by judges, a file a run, and by people (ratings), an object a row. Generated rows do not change."""

import hashlib
import json
import logging
import re
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from dreamsweep.errors import DamagedError, StoreUnavailableError
from dreamsweep.store import Store, is_key, keys
from dreamsweep.tables.parquet import PARQUET, Part, ahead, concatenate, parquet_bytes, read_parquet
from dreamsweep.tables.registry import TABLES, Table
from dreamsweep.tables.schemas import conform

JSON = "application/json"
LOG = logging.getLogger(__name__)
LOOKS = 5
"""Retries of a reader whose listing changes because rows are folded at the same time."""
MOST_JUDGED_FILES = 16
"""Files of a judged table, before they are folded."""
CHUNK = re.compile(r"[0-9a-f]{16}\.parquet")
"""Pattern of the files that dreamsweep's own judging writes."""
Row = Mapping[str, Any]


def write_judged(store: Store, sweep: str, table: str, rows: Sequence[Row], name: str) -> str:
    """Writes the rows of one judge's run as one file and returns its key; rows that were written under this name are replaced.

    `sweep` and `scored_at` are filled in where they are missing. Raises ValueError for a table of another lifetime, an unknown column,
    or a name that cannot be part of a key.
    """
    written = _table(table, "judged")
    if not is_key(name) or "/" in name:
        raise ValueError(f"name {name!r} cannot name a judge's rows: use letters, digits, dots and dashes")
    key = keys.judged_rows(sweep, table, name)
    store.write(key, parquet_bytes(arrow_rows(written, [_completed(written, sweep, row) for row in rows])), PARQUET)
    return key


def append(store: Store, sweep: str, table: str, row: Row, row_id: str | None = None) -> str:
    """Writes one row as an object of its own and returns its id; no two writers conflict.

    `sweep`, `rated_at` and its id are filled in; whoever may send a row twice gives the id, so that it is written once.
    Raises ValueError for a table of another lifetime, or an unknown column.
    """
    written = _table(table, "appended")
    now = datetime.now(UTC)
    row_id = row_id or f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
    completed = {**_completed(written, sweep, row), _id_column(written): row_id}
    arrow_rows(written, [completed])  # a value of another type is refused here, and not when the row is read
    text = json.dumps({name: _plain(value) for name, value in completed.items()})
    store.write(keys.appended_row(sweep, table, row_id), text.encode(), JSON)
    return row_id


def fold(store: Store, sweep: str, table: str) -> int:
    """Folds the rows added by people into one Parquet file, then removes the single objects; returns the number of rows.

    Rows are complete at every moment: one that stands in both places counts once. Two folds at once do no harm. Raises DamagedError where
    a file of folded rows cannot be read; then nothing is removed.
    """
    written = _table(table, "appended")
    files, single = appended_rows(store, sweep, written)
    folded = [_folded(store, key, written) for key in files]
    if not single and len(files) < 2:
        return sum(map(len, folded))
    id_column = _id_column(written)
    rows = {row[id_column]: row for row in [*(row for rows in folded for row in rows), *single]}
    name = hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16]
    target = keys.folded_rows(sweep, table, name)
    store.write(target, parquet_bytes(arrow_rows(written, [rows[row_id] for row_id in sorted(rows)])), PARQUET)
    for key in (*(keys.appended_row(sweep, table, row[id_column]) for row in single), *files):
        if key != target:
            store.delete(key)
    return len(rows)


def _folded(store: Store, key: str, table: Table) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = conform(read_parquet(store.read(key)), table.schema).to_pylist()
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise DamagedError(
            f"store {store.uri!r}: {key!r} cannot be read ({reason}); restore it from a backup, or delete it and lose the rows in it."
        ) from None
    return rows


def fold_judged(store: Store, sweep: str, table: str) -> None:
    """Merges the files that shards and judges' runs have left of a judged table into one, where there are many of them.

    Rows are complete at every moment: one that stands in two files counts once. Files of other programs, whose names are not
    hashes, stay as they are. Memory holds a row group.
    """
    written = _table(table, "judged")
    files = [key for key in judged_files(store, sweep, written) if CHUNK.fullmatch(key.rpartition("/")[2])]
    if len(files) <= MOST_JUDGED_FILES:
        return
    target = keys.judged_rows(sweep, table, hashlib.sha256("\n".join(files).encode()).hexdigest()[:16])
    with tempfile.TemporaryDirectory(prefix="dreamsweep-fold-") as scratch:
        merged = Path(scratch) / "table.parquet"
        concatenate(store, (Part(key, None) for key in files), written.schema, merged, written.rows_a_group)
        store.write_file(target, merged, PARQUET)
    for key in files:
        if key != target:
            store.delete(key)


def judged_files(store: Store, sweep: str, table: Table) -> list[str]:
    """Lists the keys of the files that judges wrote of a table."""
    return list(store.keys(keys.judged(sweep, table.name)))


def appended_rows(store: Store, sweep: str, table: Table) -> tuple[list[str], list[dict[str, Any]]]:
    """Returns the keys of a table's folded files, and the rows that are not folded yet."""
    for _ in range(LOOKS):
        listed = list(store.keys(keys.appended(sweep, table.name)))
        objects = list(ahead(store.get, [key for key in listed if keys.is_row(key)]))
        if None not in objects:  # else it was folded meanwhile
            single = zip(filter(keys.is_row, listed), objects, strict=True)
            rows = [row for key, data in single if (row := _row(table, key, data or b""))]
            return [key for key in listed if not keys.is_row(key)], rows
    raise StoreUnavailableError(f"store {store.uri!r}: the {table.name} of sweep {sweep!r} change all the time; try again.")


def arrow_rows(table: Table, rows: Sequence[Row]) -> pa.Table:
    """Returns rows as Arrow, in the table's schema."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=table.schema)


def _table(name: str, lifetime: str) -> Table:
    table = TABLES.get(name)
    if table is None or table.lifetime != lifetime:
        fitting = ", ".join(other.name for other in TABLES.values() if other.lifetime == lifetime)
        raise ValueError(f"table {name!r} is not {lifetime}; {lifetime} tables are: {fitting}")
    return table


def _id_column(table: Table) -> str:
    """Returns the key column of an appended table: its first."""
    name: str = table.schema.names[0]
    return name


def _completed(table: Table, sweep: str, row: Row) -> dict[str, Any]:
    """Returns the row with every column of the table."""
    if unknown := sorted(row.keys() - set(table.schema.names)):
        raise ValueError(f"table {table.name!r} has no column {unknown[0]!r}; its columns are: {', '.join(table.schema.names)}")
    now = {field.name: datetime.now(UTC) for field in table.schema if pa.types.is_timestamp(field.type)}
    return {**dict.fromkeys(table.schema.names), **now, **row, "sweep": sweep}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _row(table: Table, key: str, data: bytes) -> dict[str, Any] | None:
    """Reads a row; None, with a warning, where the object is damaged or no row of this table."""
    try:
        row = _typed(table, json.loads(data))
        arrow_rows(table, [row])
    except (ValueError, TypeError, AttributeError, RecursionError, pa.ArrowException):
        LOG.warning("skipped: %r is no row of the table %s", key, table.name)
        return None
    return row


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Converts a JSON row to the table's columns; columns that this version does not know are left out."""
    typed = {}
    for column in table.schema:
        value = row.get(column.name)
        typed[column.name] = datetime.fromisoformat(value) if value is not None and pa.types.is_timestamp(column.type) else value
    return typed
