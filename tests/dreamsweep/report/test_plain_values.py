"""Values of every type of DuckDB as JSON, CSV and a table: never an exception, and JSON says what the value was."""

import base64
import csv
import io
import json
import math
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dreamsweep.cli.print_table import print_csv, print_json, print_table
from dreamsweep.report.arrow_types import castable
from dreamsweep.report.plain_values import csv_text, json_text, plain

Output = pytest.CaptureFixture[str]


def answered(sql: str) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        answer = connection.execute(sql)
        with_casts = castable(answer, sql)
        return (answer if with_casts is None else connection.execute(with_casts)).to_arrow_table()


VALUES: dict[str, Any] = {
    "(SELECT sum(n) FROM range(3) numbers(n))": 3,
    "1::HUGEINT << 100": 1 << 100,
    "1.50::DECIMAL(5, 2)": 1.5,
    "true": True,
    "NULL": None,
    "'nan'::FLOAT": None,
    "'-inf'::DOUBLE": None,
    "['inf'::DOUBLE, 1]": [None, 1],
    "{'a': ['nan'::DOUBLE]}": {"a": [None]},
    "MAP {'a': 1, 'b': NULL}": {"a": 1, "b": None},
    "MAP {1: [2]}": {"1": [2]},
    "MAP {DATE '2020-01-01': 1}": {"2020-01-01": 1},
    "MAP {true: 1}": {"true": 1},
    "MAP {{'x': 1}: 1}": {'{"x": 1}': 1},
    "MAP {}": {},
    "INTERVAL '1 year 2 months 3 days 4 hours 5 minutes 6.5 seconds'": "P1Y2M3DT4H5M6.5S",
    "INTERVAL '-1 month -25 hours'": "P-1MT-25H",
    "INTERVAL '0 days'": "PT0S",
    "[INTERVAL '1 day']": ["P1D"],
    "DATE '2026-11-26'": "2026-11-26",
    "DATE '0044-03-15 (BC)'": "-043-03-15",
    "'infinity'::DATE": "infinity",
    "TIMESTAMP '2026-11-26 01:02:03'": "2026-11-26T01:02:03",
    "TIMESTAMPTZ '2026-11-26 01:02:03.25+01'": "2026-11-26T00:02:03.250000+00:00",
    "'2026-11-26 01:02:03.123456789'::TIMESTAMP_NS": "2026-11-26T01:02:03.123456789",
    "'2026-11-26 01:02:03'::TIMESTAMP_S": "2026-11-26T01:02:03",
    "'-infinity'::TIMESTAMP": "-infinity",
    "'infinity'::TIMESTAMPTZ": "infinity",
    "TIMESTAMP '290000-01-01 00:00:00'": "290000-01-01T00:00:00",
    "TIME '12:34:56.5'": "12:34:56.500000",
    "TIME '24:00:00'": "24:00:00",
    "'12:34:56.123456789'::TIME_NS": "12:34:56.123456789",
    "'12:34:56+02'::TIMETZ": "12:34:56+02",
    "'a\\x00\\xFF'::BLOB": base64.b64encode(b"a\x00\xff").decode(),
    "'101'::BIT": "101",
    "'6c577b9f-3805-4aca-a1fd-c33ea0b32e14'::UUID": "6c577b9f-3805-4aca-a1fd-c33ea0b32e14",
    "'a'::ENUM ('a', 'b')": "a",
    "['a'::ENUM ('a', 'b'), NULL]": ["a", None],
    "[1, 2]::INTEGER[2]": [1, 2],
    "[{'d': DATE '2026-11-26', 'm': MAP {1: 2.5}}]": [{"d": "2026-11-26", "m": {"1": 2.5}}],
    "union_value(a := [1])": [1],
    "[union_value(a := 1), union_value(a := NULL)]": [1, None],
    "row(1, 'x')": [1, "x"],
    "'\"quoted\", \\ and ü 🔥'": '"quoted", \\ and ü 🔥',
    "chr(27) || '[31m' || chr(155) || chr(8238)": "\x1b[31m\x9b\u202e",
}


@pytest.mark.parametrize("value", VALUES)
def test_json_says_what_the_value_was(value: str, capsys: Output) -> None:
    answer = answered(f"SELECT {value} AS v")
    print_json(answer)
    printed = capsys.readouterr().out
    assert json.loads(printed) == [{"v": VALUES[value]}]
    assert not any(letter in printed for letter in "\x1b\x9b\u202e"), "nothing that a terminal would obey"
    print_csv(answer)
    print_table(answer, Console(file=io.StringIO(), width=80))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("NULL", ""),
        ("true", "true"),
        ("0.5::DOUBLE", "0.5"),
        ("1e-7::DOUBLE", "1e-07"),
        ("'nan'::DOUBLE", "nan"),
        ("1.50::DECIMAL(5, 2)", "1.50"),
        ("1::HUGEINT << 100", "1267650600228229401496703205376"),
        ("['a', 'b']", '["a", "b"]'),
        ("MAP {'a': 1}", '{"a": 1}'),
        ("INTERVAL '90 seconds'", "PT1M30S"),
        ("TIMESTAMP '2026-11-26 01:02:03'", "2026-11-26T01:02:03"),
        ("'ab'::BLOB", "YWI="),
    ],
)
def test_csv_has_one_field_a_value(value: str, field: str, capsys: Output) -> None:
    print_csv(answered(f"SELECT {value} AS v, 1 AS last"))
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [["v", "last"], [field, "1"]]


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "BOOLEAN": st.booleans(),
    "BIGINT": st.integers(-(1 << 63), (1 << 63) - 1),
    "HUGEINT": st.integers(-(10**38) + 1, 10**38 - 1),
    "DECIMAL(38,10)": st.decimals(-(10**27), 10**27, places=10),
    "DOUBLE": st.floats(),
    "VARCHAR": st.text(st.characters(exclude_categories=["Cs"])),
}


@st.composite
def typed_values(draw: st.DrawFn, depth: int = 2) -> tuple[str, Any]:
    """A type of DuckDB and a value of it: what Python parses its JSON to, numbers as Decimal."""
    shape = draw(st.sampled_from(["scalar", "list", "map", "struct"] if depth else ["scalar"]))
    if shape == "scalar":
        kind = draw(st.sampled_from(list(SCALARS)))
        return kind, draw(st.none() | SCALARS[kind])
    if shape == "struct":
        members = draw(st.lists(typed_values(depth - 1), min_size=1, max_size=3))
        return (
            f"STRUCT({', '.join(f'm{number} {kind}' for number, (kind, _) in enumerate(members))})",
            {f"m{number}": value for number, (_, value) in enumerate(members)},
        )
    kind, value = draw(typed_values(depth - 1))
    if shape == "list":
        return f"{kind}[]", draw(st.sampled_from([[], [value], [None, value]]))
    return f"MAP(VARCHAR, {kind})", dict.fromkeys(draw(st.lists(SCALARS["VARCHAR"], max_size=2, unique=True)), value)


def arrow_type(kind: str) -> pa.DataType:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT NULL::{kind} AS v").to_arrow_table().schema.field("v").type


def as_arrow(value: Any, kind: pa.DataType) -> Any:
    """A Python value as `pa.array` takes it: a map as pairs."""
    if value is None:
        return None
    if pa.types.is_map(kind):
        return [(key, as_arrow(entry, kind.item_type)) for key, entry in value.items()]
    if pa.types.is_list(kind):
        return [as_arrow(entry, kind.value_type) for entry in value]
    if pa.types.is_struct(kind):
        return {field.name: as_arrow(value[field.name], field.type) for field in kind}
    return value


def finite(value: Any) -> Any:
    """A value with null for what JSON lacks."""
    match value:
        case float():
            return Decimal(repr(value)) if math.isfinite(value) else None
        case bool() | None | str():
            return value
        case int() | Decimal():
            return Decimal(value)
        case list():
            return [finite(entry) for entry in value]
        case _:
            return {key: finite(entry) for key, entry in value.items()}


@given(typed_values())
def test_any_value_comes_back_from_json_and_is_printed(typed: tuple[str, Any]) -> None:
    kind, value = typed
    arrow = arrow_type(kind)
    array = pa.array([as_arrow(value, arrow)], arrow)
    (found_again,) = plain(array)
    assert json.loads(json_text(found_again), parse_float=Decimal, parse_int=Decimal) == finite(value)
    assert isinstance(csv_text(found_again), str)
    print_table(pa.table({"v": array}), Console(file=io.StringIO(), force_terminal=True, width=40))
