"""Views over the tables of published sweeps: columns as the schemas have them, addresses absolute, older formats included."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa

from dreamsweep.report.ranks import GAPS, RANKS, STANDINGS
from dreamsweep.results.appended import appended_rows, arrow_rows, judged_files
from dreamsweep.results.manifest import Manifest
from dreamsweep.spec import IMAGE_FIELDS
from dreamsweep.store import Store
from dreamsweep.tables.registry import Table
from dreamsweep.tables.schemas import ABSOLUTE, ADDRESS_SUFFIX, PLANNED_PICTURE

_OF_FORMAT_1 = (
    "SELECT sweep, trial_id, best_iteration AS iteration, judge_name AS perceptor, embedding AS vector FROM {source} "
    "WHERE embedding IS NOT NULL"
)
"""Embeddings as the first format kept them: in the trials."""
DERIVED = {"ranks": RANKS, "standings": STANDINGS, "gaps": GAPS}
"""Statement behind the view of each derived table."""
GLOB = re.compile(r"[*?[]")
"""Characters of a DuckDB pattern."""


def make_view(connection: duckdb.DuckDBPyConnection, store: Store, manifests: Sequence[Manifest], table: Table) -> None:
    """Makes the view of one table over these sweeps; those that a derived one is computed from must have been made.

    Raises duckdb.Error where a file cannot be read.
    """
    if table.lifetime == "derived":
        connection.execute(f"CREATE VIEW {table.name} AS {DERIVED[table.name]}")
        return
    if table.lifetime == "appended":
        _make_appended(connection, store, manifests, table)
        return
    if table.lifetime == "judged":
        files = [key for manifest in manifests for key in judged_files(store, manifest.sweep, table)]
    else:
        files = [key for manifest in manifests for key in manifest.tables.get(table.name, ())]
    sources = [f"(FROM {_parquet(store, files)})"] if files else []
    old = [key for manifest in manifests if manifest.format == 1 for key in manifest.tables["trials"]]
    if table.name == "embeddings" and old:
        sources.append(f"({_OF_FORMAT_1.format(source=_parquet(store, old))})")
    latest = ""
    if table.unique_by and sources:
        (time,) = (field.name for field in table.schema if pa.types.is_timestamp(field.type))
        latest = f"QUALIFY row_number() OVER (PARTITION BY {', '.join(table.unique_by)} ORDER BY {time} DESC) = 1"
    connection.execute(f"CREATE VIEW {table.name} AS SELECT * FROM ({_union(connection, store, table, sources)}) {latest}")


def quoted(text: str) -> str:
    """Returns the text as SQL spells it."""
    return "'" + text.replace("'", "''") + "'"


def addresses_below(store: Store, prefixes: Sequence[str]) -> list[str]:
    """Returns how DuckDB spells the addresses of folders in the store: as they are, and as patterns where that differs."""
    root = store.uri.rstrip("/") + "/"
    if not root.startswith("file:"):
        return [root + prefix for prefix in prefixes]
    plain = [unquote(urlsplit(root).path) + prefix for prefix in prefixes]
    return list(dict.fromkeys([*plain, *(GLOB.sub(r"[\g<0>]", folder) for folder in plain)]))


def _make_appended(connection: duckdb.DuckDBPyConnection, store: Store, manifests: Sequence[Manifest], table: Table) -> None:
    """Makes a table in memory: people's rows are few. One that was being folded stands in both places, and counts once."""
    parts = [appended_rows(store, manifest.sweep, table) for manifest in manifests]
    files = [key for keys, _ in parts for key in keys]
    sources = [f"(FROM {_parquet(store, files)})"] if files else []
    if single := [row for _, rows in parts for row in rows]:
        connection.register("_single_rows", arrow_rows(table, single))
        sources.append("(FROM _single_rows)")
    once = f"QUALIFY row_number() OVER (PARTITION BY {table.schema.names[0]}) = 1"
    connection.execute(f"CREATE TABLE {table.name} AS SELECT * FROM ({_union(connection, store, table, sources)}) {once}")
    if single:
        connection.unregister("_single_rows")


def _union(connection: duckdb.DuckDBPyConnection, store: Store, table: Table, sources: Sequence[str]) -> str:
    """Returns all rows of these sources in the columns of the table; none where there are no sources."""
    empty = connection.from_arrow(table.schema.empty_table())
    types = dict(zip(empty.columns, empty.types, strict=True))
    if not sources:
        return f"SELECT {', '.join(f'NULL::{kind} AS {quoted_name(name)}' for name, kind in types.items())} WHERE false"
    selects = []
    for source in sources:
        sample = connection.sql(f"SELECT * FROM {source} LIMIT 0")
        present = dict(zip(sample.columns, sample.types, strict=True))
        columns = [
            _column(store, name, present[name]) if name in present else f"NULL::{kind} AS {quoted_name(name)}"
            for name, kind in types.items()
        ]
        columns += [quoted_name(name) for name in present if name not in types and name != "embedding"]  # of another version
        selects.append(f"SELECT {', '.join(columns)} FROM {source}")
    return " UNION ALL BY NAME ".join(selects)


def quoted_name(name: str) -> str:
    """Returns a column's name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


def _column(store: Store, name: str, kind: Any) -> str:
    """Returns a column as it is, or its addresses made absolute: below the sweep's folder of this store, wherever they were written."""
    column = quoted_name(name)
    if pictures := [field for field, _ in kind.children if field in IMAGE_FIELDS] if kind.id == "struct" else []:
        return f"{_with_pictures(store, column, pictures)} AS {column}"
    if name == "artefacts":
        folder = f"{quoted(store.uri.rstrip('/') + '/')} || sweep || '/'"
        return f"map_from_entries([{{'k': file.key, 'v': {folder} || file.value}} for file in map_entries({column})]) AS {column}"
    if not name.endswith(ADDRESS_SUFFIX):
        return column
    relative = f"regexp_replace({column}, {quoted(ABSOLUTE)}, '\\1')"
    below = f"{quoted(store.uri.rstrip('/') + '/')} || sweep || '/' || {relative}"
    return f"CASE WHEN contains({relative}, '://') THEN {relative} ELSE {below} END AS {column}"


def _with_pictures(store: Store, column: str, pictures: Sequence[str]) -> str:
    """Returns an engine's settings, with the addresses of pictures that lie in the store made absolute."""
    updates = []
    for picture in pictures:
        path, pattern = f"{column}.{picture}.path", quoted(PLANNED_PICTURE)
        address = f"{quoted(store.uri.rstrip('/') + '/')} || sweep || '/' || regexp_extract({path}, {pattern}, 1)"
        absolute = f"CASE WHEN regexp_matches({path}, {pattern}) THEN {address} ELSE {path} END"
        updated = f"struct_update({column}.{picture}, path := {absolute})"
        updates.append(f"{picture} := CASE WHEN {column}.{picture} IS NOT NULL THEN {updated} END")
    return f"CASE WHEN {column} IS NOT NULL THEN struct_update({column}, {', '.join(updates)}) END"


def _parquet(store: Store, files: Sequence[str]) -> str:
    addresses = ", ".join(quoted(_address(store, key)) for key in files)
    return f"read_parquet([{addresses}], union_by_name = true, hive_partitioning = false)"


def _address(store: Store, key: str) -> str:
    """Returns a file as DuckDB finds it: in a folder, characters of patterns stand for themselves."""
    uri = store.uri_of(key)
    return GLOB.sub(r"[\g<0>]", unquote(urlsplit(uri).path)) if uri.startswith("file:") else uri
