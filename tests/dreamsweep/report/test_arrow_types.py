"""Names and types of answers: duplicates are numbered as by DuckDB itself, and what Arrow lacks is text."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.report.arrow_types import castable, distinct_names


def answered(sql: str) -> pa.Table:
    with duckdb.connect() as connection:
        answer = connection.execute(sql)
        with_casts = castable(answer, sql)
        return (answer if with_casts is None else connection.execute(with_casts)).to_arrow_table()


@given(st.lists(st.sampled_from(["a", "A", "a_1", "A_2", "b", "a_1_1", "ä", "Ä"]), min_size=1, max_size=8))
def test_columns_are_named_as_duckdb_names_those_of_a_subquery(names: list[str]) -> None:
    columns = ", ".join(f'{number} AS "{name}"' for number, name in enumerate(names))
    with duckdb.connect() as connection:
        subquery = connection.execute(f"FROM (SELECT {columns})").to_arrow_table()
        assert distinct_names(connection.execute(f"SELECT {columns}").to_arrow_table()).equals(subquery)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("'101'::BIT", "101"),
        ("340282366920938463463374607431768211455::UHUGEINT", "340282366920938463463374607431768211455"),
        ("'123456789012345678901234567890123456789012'::BIGNUM", "123456789012345678901234567890123456789012"),
        ("'12:34:56+02'::TIMETZ", "12:34:56+02"),
        ("1::VARIANT", "1"),
        ("['1'::BIT]", ["1"]),
        ("['1'::BIT]::BIT[1]", ["1"]),
        ("{'a b': ['1'::BIT]}", {"a b": ["1"]}),
        ("MAP{'a': '1'::BIT}", [("a", "1")]),
        ("union_value(a := '1'::BIT)", "1"),
    ],
)
def test_types_that_arrow_lacks_are_text(value: str, text: object) -> None:
    assert answered(f"SELECT 'ä;' AS n, {value} AS v ORDER BY 1; -- the; end").to_pylist() == [{"n": "ä;", "v": text}]


def test_other_statements_and_types_are_left_as_they_are() -> None:
    with duckdb.connect() as connection:
        for sql in ("SELECT 1::HUGEINT, row(1, 2), 'a'::ENUM('a'), 1.5::DECIMAL(5, 2), uuid()", "CREATE TABLE t AS SELECT '1'::BIT AS b"):
            assert castable(connection.execute(sql), sql) is None


def test_the_last_of_several_statements_is_cast_and_the_others_run_once() -> None:
    assert answered("CREATE TABLE t (b BIT); INSERT INTO t VALUES ('11'); FROM t").to_pylist() == [{"b": "11"}]
