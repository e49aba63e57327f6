"""The tables: every column told, every setting typed, and rows that come back as they went."""

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamsweep.spec import ENGINES, DescentSpec, OptimizerSpec
from dreamsweep.store import open_store
from dreamsweep.tables.rows import ScoreRows, scores_table, trials_table
from dreamsweep.tables.schemas import SCORES, TRIALS, arrow_type, conform, engine_column
from tests.dreamsweep.sample_rows import PROMPTS, sample_rows, sample_trial


@pytest.mark.parametrize("schema", [TRIALS, SCORES])
def test_every_column_says_what_it_is(schema: pa.Schema) -> None:
    assert len(set(schema.names)) == len(schema.names)
    for column in schema:
        assert column.metadata[b"description"].decode().strip(), column.name


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_s_settings_are_a_typed_struct(name: str) -> None:
    settings = TRIALS.field(engine_column(name)).type
    assert [field.name for field in settings] == list(ENGINES[name].model_fields)
    assert settings.field("num_iter").type == pa.int64()
    if issubclass(ENGINES[name], DescentSpec):
        optimizer = settings.field("optimizer").type
        assert {field.name: field.type for field in optimizer} == {"name": pa.string(), "learning_rate": pa.float64()}
        assert settings.field("contrast").type == pa.float64()


def test_types_of_fields() -> None:
    assert arrow_type(int | None) == pa.int64()
    assert (arrow_type(Literal["a", "b"]), arrow_type(Literal[1, 2])) == (pa.string(), pa.int64())
    assert arrow_type(tuple[str, ...]) == pa.list_(pa.string())
    assert arrow_type(OptimizerSpec).num_fields == len(OptimizerSpec.model_fields)
    with pytest.raises(TypeError, match="complex"):
        arrow_type(complex)


@pytest.mark.parametrize("engine", [name for name, spec in ENGINES.items() if issubclass(spec, DescentSpec)])
def test_a_trial_comes_back_with_its_whole_spec(tmp_path: Path, engine: str) -> None:
    trial = sample_trial(PROMPTS[2], engine, "sgd", seed=7)
    record, _ = sample_rows(open_store(str(tmp_path)), "demo", "s1", trial)
    pq.write_table(trials_table("demo", [record]), tmp_path / "trials.parquet")
    table = pq.read_table(tmp_path / "trials.parquet")
    assert table.schema.equals(TRIALS)
    assert [f.metadata[b"description"] for f in table.schema] == [f.metadata[b"description"] for f in TRIALS]
    (row,) = table.to_pylist()
    assert type(trial.engine).model_validate(row[engine_column(engine)]) == trial.engine
    assert [row[engine_column(other)] for other in ENGINES if other != engine] == [None] * (len(ENGINES) - 1)
    assert (row["trial_id"], row["prompt"], row["seed"], row["optimizer"]) == (trial.id, PROMPTS[2], 7, "sgd")
    assert row["weights_sha256"] == [("starter-guide", "a" * 64), ("starter-judge", "b" * 64)]
    assert row["finished_at"] == record.finished_at
    assert row["warnings"] == ["too long"]


def test_marks_that_were_not_made_are_null_and_a_loss_that_diverged_is_nan(tmp_path: Path) -> None:
    _, rows = sample_rows(open_store(str(tmp_path)), "demo", "s1", sample_trial(), diverged_at=3)
    table = scores_table("demo", [rows])
    assert table.schema.equals(SCORES, check_metadata=True)
    assert table["judge"].to_pylist()[0] is None
    assert table["judge"].null_count == 2
    assert math.isnan(table["loss"].to_pylist()[2])
    assert table["iteration"].to_pylist() == [1, 2, 3]
    assert [uri is None for uri in table["snapshot_uri"].to_pylist()] == [True, False, True]


def test_no_rows_are_a_table_all_the_same() -> None:
    assert scores_table("demo", []).schema.equals(SCORES)
    assert trials_table("demo", []).schema.equals(TRIALS)
    none = np.array([], np.float32)
    assert scores_table("demo", [ScoreRows("t", none.astype(np.int32), none, none, none, none, none, [])]).num_rows == 0


def test_rows_of_another_version_take_this_one_s_columns(tmp_path: Path) -> None:
    record, _ = sample_rows(open_store(str(tmp_path)), "demo", "s1", sample_trial())
    table = trials_table("demo", [record])
    settings = table["strokes"].combine_chunks()
    older = pa.StructArray.from_arrays([settings.field("num_paths"), settings.field("engine")], ["num_paths", "engine"])
    table = table.drop_columns(["warnings", "strokes"]).append_column("strokes", older).append_column("new", pa.array([1]))
    conformed = conform(table, TRIALS)
    assert conformed.schema.equals(TRIALS)
    (row,) = conformed.to_pylist()
    assert row["warnings"] is None
    assert row["strokes"]["num_paths"] == 256
    assert row["strokes"]["max_width"] is None
    assert row["prompt"] == PROMPTS[0]
