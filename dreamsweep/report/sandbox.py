"""Limits of queries: one statement that reads published sweeps, no other files, settings or secrets (docs/query.md, `--unsafe`)."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import duckdb

from dreamsweep.errors import QueryError
from dreamsweep.report.views import addresses_below, quoted
from dreamsweep.results.manifest import Manifest
from dreamsweep.store import Store, keys

READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
READS = {"select", "from", "with", "values", "table", "describe", "desc", "show", "summarize", "pivot", "unpivot", "("}
"""First words of statements that read; what EXPLAIN may explain, as EXPLAIN ANALYZE runs it."""
REFUSED = {
    *("copy_database", "import_database", "json_execute_serialized_sql", "query", "query_table"),
    *("enable_logging", "enable_profile", "enable_profiling", "write_log"),
}
"""Functions that run further statements, or write files of their own; the first would hide the second from this check."""
UNSAFE = "use dreamsweep query --unsafe"


def lock(connection: duckdb.DuckDBPyConnection, store: Store, manifests: Sequence[Manifest]) -> None:
    """Restricts a connection to the folders of these sweeps, for good: no other file or server, no variable of Python, no setting.

    Extensions and secrets must have been loaded.
    """
    folders = addresses_below(store, [keys.folder(manifest.sweep) for manifest in manifests])
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET allowed_directories = [{', '.join(map(quoted, folders))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def refuse_all_but_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuses everything but one statement that reads. Raises QueryError, and duckdb.Error where the text is no SQL.

    A PIVOT without a list of its values is two statements to DuckDB, of which the first makes a type.
    """
    tokens = list(_tokens(sql))
    for (token, is_name), (following, _) in pairwise(tokens):
        if is_name and following == "(" and token in REFUSED:
            raise QueryError(f"the query calls {token}(), which runs statements or writes files of its own; leave it out, or {UNSAFE}.")
    statements = connection.extract_statements(sql)
    types = [statement.type for statement in statements if statement.query or statement.type != duckdb.StatementType.CREATE]
    if len(types) > 1 and types[0] != duckdb.StatementType.TRANSACTION:
        raise QueryError(f"the query has {len(types)} statements; ask one at a time, or {UNSAFE}.")
    if other := [kind for kind in types if kind not in READING]:
        word = "this statement" if other[0] == duckdb.StatementType.TRANSACTION else other[0].name
        raise QueryError(f"a query only reads, and {word} does more: ask with SELECT, or {UNSAFE}.")
    if types == [duckdb.StatementType.EXPLAIN] and _explained(tokens) not in READS:
        raise QueryError(f"a query only reads: EXPLAIN takes a SELECT here, or {UNSAFE}.")


def _tokens(sql: str) -> Iterator[tuple[str, bool]]:
    """Yields a statement's tokens in small letters, and whether each may be a name; comments are left out."""
    text = sql.encode()
    for (start, kind), (end, _) in pairwise([*duckdb.tokenize(sql), (len(text), duckdb.token_type.comment)]):
        token = text[start:end].decode(errors="replace").strip().lower()
        if kind != duckdb.token_type.comment:
            is_name = kind in (duckdb.token_type.identifier, duckdb.token_type.keyword)
            yield re.sub(r"\s*(--.*|/\*.*)", "", token, flags=re.DOTALL).strip('"') if is_name else token[:1], is_name


def _explained(tokens: Sequence[tuple[str, bool]]) -> str:
    """Returns the first word of what EXPLAIN explains: it stands after ANALYZE and options in brackets."""
    words = [token for token, _ in tokens]
    words = words[words.index("explain") + 1 :]
    if words[:1] == ["analyze"]:
        words = words[1:]
    if words[:1] == ["("] and ")" in words and words[1:2] and words[1] not in READS:
        words = words[words.index(")") + 1 :]
    return words[0] if words else ""
