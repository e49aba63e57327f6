"""Answers of DuckDB as Arrow tables: types that Arrow lacks are cast to text, and no two columns have one name."""

from typing import Any

import duckdb
import pyarrow as pa

from dreamsweep.report.views import quoted_name

AS_TEXT = {"bignum", "bit", "geometry", "time with time zone", "uhugeint", "variant"}
"""Types that DuckDB cannot export to Arrow, or exports as bytes or numbers that no longer say what they were."""


def castable(answer: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """Returns the statement with such columns cast to text, nested ones too; None where there are none, or it is no query."""
    types = [kind for _, kind, *_ in answer.description or ()]
    casts = [_spelling(kind) for kind in types]
    if all(cast == str(kind) for cast, kind in zip(casts, types, strict=True)):
        return None
    statement = answer.extract_statements(sql)[-1]
    if statement.type != duckdb.StatementType.SELECT:
        return None
    columns = [
        f"CAST(#{n} AS {cast}) AS {quoted_name(column[0])}"
        for n, (column, cast) in enumerate(zip(answer.description, casts, strict=True), 1)
    ]
    return f"SELECT {', '.join(columns)} FROM (\n{_without_semicolon(statement.query)}\n)"


def distinct_names(table: pa.Table) -> pa.Table:
    """Returns the table with columns of one name numbered as DuckDB numbers them in a subquery: `trial_id`, `trial_id_1`.

    Capital and small letters of ASCII are the same to DuckDB.
    """
    names, repeats = list[str](), dict[bytes, int]()
    for name in table.column_names:
        new, low = name, name.encode().lower()  # bytes: of ASCII alone
        while new.encode().lower() in repeats:
            new = f"{name}_{repeats[low]}"
            repeats[low] += 1
        repeats[new.encode().lower()] = 1
        names.append(new)
    return table.rename_columns(names)


def _without_semicolon(sql: str) -> str:
    """Returns a statement up to its semicolon; one in a text or a comment is none."""
    text = sql.encode()
    ends = (offset for offset, kind in duckdb.tokenize(sql) if kind == duckdb.token_type.operator and text[offset : offset + 1] == b";")
    return text[: next(ends, len(text))].decode()


def _spelling(kind: Any) -> str:
    """Returns the type as SQL spells it, with VARCHAR for what Arrow lacks."""
    match kind.id:
        case "list":
            return f"{_spelling(kind.children[0][1])}[]"
        case "array":
            return f"{_spelling(kind.children[0][1])}[{kind.children[1][1]}]"
        case "map":
            return f"MAP({_spelling(kind.children[0][1])}, {_spelling(kind.children[1][1])})"
        case "struct" if all(name for name, _ in kind.children):
            return f"STRUCT({_members(kind.children)})"
        case "union":
            return f"UNION({_members(kind.children[1:])})"  # the first is the tag
        case text if text in AS_TEXT:
            return "VARCHAR"
        case _:
            return str(kind)


def _members(children: list[tuple[str, Any]]) -> str:
    return ", ".join(f"{quoted_name(name)} {_spelling(kind)}" for name, kind in children)
