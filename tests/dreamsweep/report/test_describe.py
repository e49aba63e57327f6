"""`DESCRIBE`: each column with its description, and an engine's settings with theirs."""

from pathlib import Path

import pytest

from dreamsweep.errors import QueryError
from dreamsweep.report.query import query
from dreamsweep.spec import ENGINES
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.registry import TABLES
from tests.dreamsweep.sample_rows import publish_sample_rows


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    published = LocalStore(tmp_path)
    publish_sample_rows(published)
    return published


@pytest.mark.parametrize("statement", ["DESCRIBE trials", " describe TRIALS ;\n", 'DESC "trials"', "DESCRIBE TABLE trials"])
def test_every_column_is_described_on_a_short_line(store: LocalStore, statement: str) -> None:
    rows = query(store, statement).to_pylist()
    assert [row["column_name"] for row in rows] == TABLES["trials"].schema.names
    assert rows[3] == {"column_name": "prompt", "column_type": "VARCHAR", "description": "the prompt's text"}
    (strokes,) = (row for row in rows if row["column_name"] == "strokes")
    assert strokes["column_type"] == "STRUCT"
    assert strokes["description"] == "settings of the strokes engine; null for others; DESCRIBE trials.strokes lists them"
    assert max(len(row["column_type"]) for row in rows) < 90


def test_an_engine_s_settings_are_described(store: LocalStore) -> None:
    rows = {row["column_name"]: row for row in query(store, "DESCRIBE trials.strokes").to_pylist()}
    assert {name for name in rows if "." not in name} == set(ENGINES["strokes"].model_fields)
    assert rows["num_paths"]["column_type"] == "BIGINT"
    assert rows["num_paths"]["description"] == ENGINES["strokes"].model_fields["num_paths"].description
    assert rows["optimizer"]["column_type"] == "STRUCT" and rows["optimizer.name"]["column_type"] == "VARCHAR"


def test_other_statements_are_duckdb_s(store: LocalStore) -> None:
    assert query(store, "DESCRIBE SELECT prompt FROM trials").column_names[:3] == ["column_name", "column_type", "null"]
    assert query(store, "SELECT column_name FROM (DESCRIBE scores)")["column_name"].to_pylist() == TABLES["scores"].schema.names
    for statement in ("DESCRIBE nothing", "DESCRIBE trials.prompt"):
        with pytest.raises(QueryError, match="Catalog Error"):
            query(store, statement)
