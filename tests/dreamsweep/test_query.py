"""Queries: the views, what goes wrong, S3, and every word of docs/query.md."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamsweep import query as query_module
from dreamsweep.errors import QueryError, StoreError
from dreamsweep.manifest import Manifest, gather, publish
from dreamsweep.query import httpfs_extension, query
from dreamsweep.spec import ENGINES
from dreamsweep.store import Store, open_store
from dreamsweep.store.local import LocalStore
from dreamsweep.tables import SCORES, TRIALS, engine_column
from tests.conftest import StrictServer
from tests.dreamsweep.made import PROMPTS, made_shard, made_sweep, made_trial

DOC = (Path(__file__).parents[2] / "docs/query.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\*\*([^*]+)\*\*[^\n]*\n\n```sql\n([^`]+)```", DOC, re.MULTILINE)
PLAIN = re.findall(r"```sql duckdb\n(.+?)```", DOC, re.DOTALL)
(IN_S3,) = re.findall(r"```sql s3\n(.+?)```", DOC, re.DOTALL)
PER_TRIAL = "SELECT trial_id, count(*) AS iterations, max(judge) AS best FROM scores GROUP BY trial_id"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A folder `runs` with one published sweep, `demo`."""
    made = LocalStore(tmp_path / "runs")
    made_sweep(made)
    return made


def sorted_rows(table: pa.Table) -> list[tuple[object, ...]]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


def test_trials_and_their_scores(store: LocalStore) -> None:
    (row,) = query(
        store, "SELECT count(*) AS n, count(DISTINCT trial_id) AS t, min(iteration) AS lo, max(iteration) AS hi FROM scores"
    ).to_pylist()
    assert row == {"n": 141, "t": 24, "lo": 1, "hi": 6}
    asked = query(
        store, "SELECT any_value(iterations_done) = count(*) AS same FROM trials JOIN scores USING (trial_id) GROUP BY trial_id"
    ).to_pylist()
    assert [row["same"] for row in asked] == [True] * 24
    assert query(store, "SELECT DISTINCT prompt FROM trials ORDER BY 1")["prompt"].to_pylist() == sorted(PROMPTS)
    settings = query(store, "SELECT DISTINCT strokes.optimizer.name AS name FROM trials WHERE strokes IS NOT NULL ORDER BY 1")
    assert settings["name"].to_pylist() == ["adagrad", "adam", "sgd"]


def test_every_published_sweep_and_no_other(store: LocalStore) -> None:
    made_sweep(store, "second")
    made_shard(store, "unpublished", "s1", [made_trial(seed=9)])
    told = query(store, "SELECT sweep, count(*) AS n FROM trials GROUP BY sweep ORDER BY sweep").to_pylist()
    assert told == [{"sweep": "demo", "n": 24}, {"sweep": "second", "n": 24}]


def test_nothing_is_published_yet(tmp_path: Path) -> None:
    for folder in ("never-made", "."):
        with pytest.raises(QueryError, match=r"has no published sweep to ask; run one first: dreamsweep run"):
            query(open_store(str(tmp_path / folder)), "SELECT 1")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELEC 1", "Parser Error: syntax error at or near \"SELEC\"; mend the statement at 'LINE 1: SELEC 1'."),
        ("SELECT * FROM trial", "Catalog Error: Table with name trial does not exist; the tables are trials and scores."),
        ("SELECT trial_i FROM scores", 'Candidate bindings: "trial_id"'),
        ("SELECT trial_i FROM scores", "DESCRIBE trials and DESCRIBE scores tell the columns."),
        ("SELECT strokes.paths FROM trials", "DESCRIBE trials and DESCRIBE scores tell the columns."),
        ("SELECT sum(prompt) FROM trials", "Binder Error: No function matches"),
        ("FROM 'nowhere.parquet'", "No files found that match"),
        ("SELECT prompt::int FROM trials", "Conversion Error: Could not convert string"),
        ("", "the query is empty; try: SELECT"),
        ("  -- only a remark", "the query is empty; try: SELECT"),
    ],
)
def test_a_wrong_question_gets_one_line(store: LocalStore, monkeypatch: pytest.MonkeyPatch, sql: str, told: str) -> None:
    monkeypatch.setattr(query_module, "PAUSE", 0.0)
    with pytest.raises(QueryError) as caught:
        query(store, sql)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "DESC."))


def test_a_missing_or_damaged_table_is_named(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_module, "PAUSE", 0.0)
    (key,) = (key for key in store.keys("demo/tables/") if key.endswith("scores.parquet"))
    store.write(key, b"no Parquet")
    with pytest.raises(QueryError, match=r"scores\.parquet.*it is missing or damaged, and running its sweep again makes it anew"):
        query(store, "SELECT 1")
    store.delete(key)
    with pytest.raises(QueryError, match=r"scores\.parquet.*it is missing or damaged"):
        query(store, "SELECT 1")


def test_a_question_is_asked_again_when_tables_are_replaced_under_it(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, trial, calls = query_module.connect, made_trial(seed=5), list[int]()

    def late(asked: Store, manifests: list[Manifest]) -> duckdb.DuckDBPyConnection:
        calls.append(len(manifests))
        if len(calls) == 1:
            made_shard(store, "demo", "z9", [trial])
            publish(store, gather(store, "demo", lambda _: True, "c" * 64))
        return connect(asked, manifests)

    monkeypatch.setattr(query_module, "connect", late)
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 25}]
    assert calls == [1, 1]


def test_sweeps_of_versions_with_other_settings(store: LocalStore) -> None:
    manifest = made_sweep(store, "older")
    path = store.folder / manifest.trials_key
    table = pq.read_table(path)
    settings = table["strokes"].combine_chunks()
    names = ["engine", "num_paths"]
    older = pa.StructArray.from_arrays([settings.field(n) for n in names] + [settings.field("canvas")], [*names, "gone"])
    pq.write_table(table.drop_columns(["warnings", "strokes"]).append_column("strokes", older), path)
    told = "SELECT sweep, max(strokes.max_width) AS width, max(strokes.gone) AS gone, count(warnings) AS w FROM trials GROUP BY sweep"
    assert query(store, f"{told} ORDER BY sweep").to_pylist() == [
        {"sweep": "demo", "width": 10.0, "gone": None, "w": 24},
        {"sweep": "older", "width": None, "gone": 224, "w": 0},
    ]


@pytest.mark.parametrize("folder", ["a [b] *c? 'q'", "ünïcode 100%", "{x,y}"])
def test_folders_with_names_that_sql_and_patterns_use(tmp_path: Path, folder: str) -> None:
    store = open_store(str(tmp_path / folder))
    made_sweep(store)
    assert query(store, "SELECT count(*) AS n FROM scores").to_pylist() == [{"n": 141}]


def test_s3_with_a_user_s_credentials(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer, tmp_path: Path) -> None:
    aws_settings.setenv("AWS_ENDPOINT_URL", strict_s3.address)
    aws_settings.setenv("AWS_ACCESS_KEY_ID", strict_s3.writer[0])
    aws_settings.setenv("AWS_SECRET_ACCESS_KEY", strict_s3.writer[1])
    there, here = open_store(f"s3://{strict_s3.bucket}/with space/ü"), open_store(str(tmp_path))
    assert made_sweep(there) == made_sweep(here)
    assert sorted_rows(query(there, PER_TRIAL)) == sorted_rows(query(here, PER_TRIAL))
    with pytest.raises(QueryError, match="the tables are trials and scores"):
        query(there, "SELECT * FROM nothing")
    (row,) = query(there, "SELECT secret_string FROM duckdb_secrets()").to_pylist()
    assert strict_s3.writer[1] not in str(row)
    for name, value in (("AWS_SECRET_ACCESS_KEY", "another's secret"), ("AWS_ACCESS_KEY_ID", "nobody")):
        aws_settings.setenv(name, value)
        with pytest.raises(StoreError, match="access denied") as caught:
            query(open_store(there.uri), PER_TRIAL)
        assert "secret'" not in str(caught.value)


def test_an_s3_secret_is_not_told_when_duckdb_refuses_it(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"s3://{s3_bucket}")
    made_sweep(store)
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    monkeypatch.setattr(query_module, "_quoted", lambda text: text)  # so that what is said to DuckDB is no SQL
    with pytest.raises(StoreError, match="DuckDB cannot use its S3 settings") as caught:
        query(store, "SELECT 1")
    assert "a-secret" not in str(caught.value)


def test_httpfs_comes_from_its_package_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert httpfs_extension().is_file()
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    with pytest.raises(QueryError, match=r"pip install duckdb-extension-httpfs==9\.9\.9"):
        httpfs_extension()


@pytest.mark.parametrize(("name", "schema"), [("trials", TRIALS), ("scores", SCORES)])
def test_the_documented_columns_are_the_real_ones(store: LocalStore, name: str, schema: pa.Schema) -> None:
    section = DOC.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    told = {field.name: field.metadata[b"description"].decode() for field in schema}
    engines = set(map(engine_column, ENGINES))
    described = query(store, f"DESCRIBE {name}").to_pylist()
    real = [(r["column_name"], "STRUCT" if r["column_name"] in engines else r["column_type"], told[r["column_name"]]) for r in described]
    assert documented == real
    assert [field.name for field in schema] == [row[0] for row in real]


def test_there_are_questions() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize(("question", "sql"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_a_documented_question_is_answered(store: LocalStore, tiny_weights: Path, question: str, sql: str) -> None:
    answer = query(store, sql)
    assert answer.num_rows > 0, question
    assert all(column.null_count < len(column) for column in answer.columns), question


def test_some_answers(store: LocalStore) -> None:
    sql = dict(QUESTIONS)
    best = query(store, sql["The best picture of each prompt"]).to_pylist()
    assert {row["prompt"] for row in best} == set(PROMPTS)
    wins = query(store, sql["Which optimizer wins, prompt by prompt"]).to_pylist()
    assert all(row["adam"] > row["adagrad"] > row["sgd"] for row in wins)
    assert len(query(store, sql["The curve of the best trial"])) == 6
    (whole,) = query(store, sql["Is everything there: trials × iterations of each sweep"]).to_pylist()
    assert whole == {"sweep": "demo", "trials": 24, "iterations": 141, "score_rows": 141}
    (failed,) = query(store, sql["What failed, and why"]).to_pylist()
    assert (failed["status"], failed["optimizer"]) == ("diverged", "sgd")


def test_the_curve_s_worst_fall_and_a_night_s_cost(store: LocalStore) -> None:
    sql = dict(QUESTIONS)
    fell = query(store, next(sql[q] for q in sql if q.startswith("Where the curve fell"))).to_pylist()
    assert [row["fell"] for row in fell] == sorted(row["fell"] for row in fell)
    (night,) = query(store, next(sql[q] for q in sql if q.startswith("What a night costs"))).to_pylist()
    seconds = query(store, "SELECT sum(seconds) AS s FROM trials")["s"].to_pylist()[0]
    assert night["trials"] == 24 and night["hours"] == round(seconds / 3600, 2)


def test_texts_are_embedded_by_the_judge(store: LocalStore, tiny_weights: Path) -> None:
    asked = "SELECT list_cosine_similarity(embed('a red heart', 'starter-judge'), embed('a red heart', 'starter-judge')) AS same"
    (row,) = query(store, asked).to_pylist()
    assert row["same"] == pytest.approx(1)
    with pytest.raises(QueryError, match="there is no judge 'nobody'; give it the column judge_name"):
        query(store, "SELECT embed('a red heart', 'nobody')")


@pytest.mark.parametrize("sql", PLAIN)
def test_plain_duckdb_answers_the_same(store: LocalStore, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    monkeypatch.chdir(store.folder.parent)
    with duckdb.connect() as plain:
        assert sorted_rows(plain.execute(sql).to_arrow_table()) == sorted_rows(query(store, PER_TRIAL))


def test_plain_duckdb_answers_the_same_over_s3(s3_bucket: str, s3_server: str) -> None:
    store = open_store(f"s3://{s3_bucket}/runs")
    made_sweep(store)
    sql = IN_S3.replace("INSTALL httpfs; LOAD httpfs", f"LOAD '{httpfs_extension()}'")
    sql = sql.replace("localhost:9000", s3_server.removeprefix("http://")).replace("s3://bucket/", f"s3://{s3_bucket}/")
    with duckdb.connect() as plain:
        assert sorted_rows(plain.execute(sql).to_arrow_table()) == sorted_rows(query(store, PER_TRIAL))
