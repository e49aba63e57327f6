"""Descriptions of the tables' columns, as `DESCRIBE trials` shows them, and of an engine's settings (`DESCRIBE trials.strokes`)."""

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from dreamsweep.report.views import quoted_name
from dreamsweep.spec import ENGINES
from dreamsweep.tables.registry import TABLES
from dreamsweep.tables.schemas import engine_column

_STATEMENT = re.compile(r'\s*(?:DESCRIBE|DESC)\s+(?:TABLE\s+)?"?(\w+)"?(?:\."?(\w+)"?)?\s*;?\s*', re.IGNORECASE)
_COLUMNS = pa.schema([(name, pa.string()) for name in ("column_name", "column_type", "description")])
Row = tuple[str, str, str | None]
"""Name of a column or a setting, its DuckDB type, and its description; None for a column of another version."""


def description(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table | None:
    """Returns the answer to `DESCRIBE trials` or `DESCRIBE trials.strokes`, a row for each column or setting; None for other statements.

    The view of the table must have been made.
    """
    match = _STATEMENT.fullmatch(sql)
    if match is None or match[1].lower() not in TABLES:
        return None
    name, column = match[1].lower(), (match[2] or "").lower()
    engines = {engine_column(engine): engine for engine in ENGINES} if name == "trials" else {}
    if column and column not in engines:
        return None
    types = {row[0]: row[1] for row in connection.sql(f"SELECT * FROM {name} LIMIT 0").description}
    rows = _settings(engines[column], types[column]) if column else _columns(name, types, engines)
    return pa.Table.from_pylist([dict(zip(_COLUMNS.names, row, strict=True)) for row in rows], schema=_COLUMNS)


def _columns(name: str, types: dict[str, DuckDBPyType], engines: dict[str, str]) -> Iterator[Row]:
    texts = {field.name: field.metadata[b"description"].decode() for field in TABLES[name].schema}
    for column, kind in types.items():
        if column in engines and kind.id == "struct":
            yield column, "STRUCT", f"{texts[column]}; DESCRIBE {name}.{quoted_if_needed(column)} lists them"
        else:
            yield column, str(kind), texts.get(column)


def _settings(engine: str, kind: Any) -> Iterator[Row]:
    """Yields the settings of an engine; those of its optimizer each on a line."""
    fields = ENGINES[engine].model_fields
    for setting, inner in kind.children:
        info = fields.get(setting)
        text = "the engine's name" if setting == "engine" else info.description if info else None
        if inner.id == "struct":
            yield setting, "STRUCT", text
            yield from ((f"{setting}.{part}", str(part_kind), None) for part, part_kind in inner.children)
        else:
            yield setting, str(inner), text


def quoted_if_needed(name: str) -> str:
    """Returns a name as SQL needs it: in quotes unless it is plain."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted_name(name)
