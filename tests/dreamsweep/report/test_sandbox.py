"""Attacks by SQL: a query reads published sweeps, and neither other files nor settings nor the S3 secret."""

from pathlib import Path

import pytest

from dreamsweep.errors import QueryError
from dreamsweep.report.query import Session, query
from dreamsweep.store import open_store
from dreamsweep.store.local import LocalStore
from tests.conftest import StrictServer
from tests.dreamsweep.sample_rows import publish_sample_rows

UNSAFE = "use dreamsweep query --unsafe"
SECRET = "what-nobody-may-read"
ATTACKS = [
    "SELECT content FROM read_text('{folder}/private.txt')",
    "SELECT content FROM read_text('{folder}/runs/demo/../../private.txt')",
    "FROM read_csv('{folder}/private.txt')",
    "FROM read_json('{folder}/private.txt')",
    "FROM sniff_csv('{folder}/private.txt')",
    "FROM glob('{folder}/*')",
    "FROM '{folder}/private.txt'",
    "FROM '{folder}/private.csv'",
    "SELECT content FROM read_text('{folder}/runs/.env')",
    "COPY (SELECT 1) TO '{folder}/written.csv'",
    "COPY (SELECT 1) TO '{folder}/runs/demo/manifest.json' (FORMAT csv)",
    "COPY (PIVOT trials ON engine USING count(*)) TO '{folder}/written.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/runs/demo/written.csv'",
    "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{folder}/runs/demo/written.csv'",
    "EXPLAIN /* SELECT */ ANALYZE COPY (SELECT 1) TO '{folder}/runs/demo/written.csv'",
    "EXPORT DATABASE '{folder}/written'",
    "IMPORT DATABASE '{folder}'",
    "PRAGMA import_database('{folder}')",
    "ATTACH '{folder}/written.db'",
    "INSTALL spatial",
    "LOAD '{folder}/private.txt'",
    "SELECT 1; SELECT 2",
    "PIVOT trials ON engine USING count(*); SELECT 1",
    "CREATE TYPE mine AS ENUM ('a'); SELECT 1",
    "CREATE TABLE mine AS SELECT 1",
    "SET lock_configuration = false",
    "SET enable_external_access = true",
    "RESET allowed_directories",
    "PRAGMA enable_profiling",
    "CALL enable_logging('HTTP')",
    "FROM enable_logging('QueryLog', storage = 'file', storage_path = '{folder}/runs/demo/written')",
    "FROM system.main.\"Enable_Logging\" /* a remark */ ('HTTP')",
    "FROM enable_profiling(format = 'json', save_location = '{folder}/runs/demo/written.json')",
    "FROM query('FROM enable_' || 'logging()')",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "PRAGMA json_execute_serialized_sql('x')",
    "FROM variable_of_python",
    "CREATE SECRET (TYPE http, BEARER_TOKEN 'x')",
    "FROM 'http://127.0.0.1:9/x.parquet'",
]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A folder `runs` with one published sweep, and beside it what a query must not read."""
    for name in ("private.txt", "private.csv", "schema.sql", "load.sql"):
        (tmp_path / name).write_text(SECRET)
    published = LocalStore(tmp_path / "runs")
    publish_sample_rows(published)
    (tmp_path / "runs/.env").write_text(SECRET)
    return published


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_and_changes_nothing(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str) -> None:
    monkeypatch.chdir(tmp_path)
    before, variable_of_python = files_below(tmp_path), [SECRET]
    with pytest.raises(QueryError) as caught:
        query(store, attack.format(folder=tmp_path))
    assert SECRET not in str(caught.value) and variable_of_python
    assert "\n" not in str(caught.value)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("COPY trials TO 'x'", f"a query only reads, and COPY does more: ask with SELECT, or {UNSAFE}."),
        ("SELECT 1; SELECT 2", f"the query has 2 statements; ask one at a time, or {UNSAFE}."),
        ("EXPLAIN ANALYZE COPY trials TO 'x'", f"a query only reads: EXPLAIN takes a SELECT here, or {UNSAFE}."),
        ("FROM '/etc/x.csv'", f"a query reads the published sweeps of the store and nothing else: for more, {UNSAFE}."),
        ("FROM query('SELECT 1')", "the query calls query(), which runs statements or writes files of its own; leave it out"),
    ],
)
def test_a_refusal_says_what_to_do(store: LocalStore, sql: str, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        query(store, sql)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        ";SELECT 1 -- a remark; and another",
        "PIVOT trials ON engine USING count(*) GROUP BY prompt",
        "PIVOT trials ON engine IN ('strokes') USING count(*) GROUP BY prompt",
        "EXPLAIN SELECT * FROM trials",
        "EXPLAIN ANALYZE (SELECT 1)",
        "EXPLAIN (FORMAT json) SELECT 1",
        "SUMMARIZE trials",
        "SHOW TABLES",
        "PRAGMA table_info('trials')",
        "SELECT 'query (x)' AS query FROM trials",
        "SELECT format('{}', current_setting('TimeZone'))",
        "FROM duckdb_secrets()",
    ],
)
def test_what_reads_is_answered(store: LocalStore, sql: str) -> None:
    assert query(store, sql).num_columns


def test_unsafe_allows_what_duckdb_can_do(store: LocalStore, tmp_path: Path) -> None:
    target = tmp_path / "trials.csv"
    query(store, f"SET memory_limit = '1GB'; COPY (SELECT trial_id FROM trials) TO '{target}'", unsafe=True)
    assert len(target.read_text().splitlines()) == 25
    assert query(store, f"SELECT count(*) AS n FROM '{target}'", unsafe=True).to_pylist() == [{"n": 24}]


def test_one_sweep_s_session_reads_no_other_sweep(store: LocalStore) -> None:
    publish_sample_rows(store, "second")
    (key,) = (key for key in store.keys("second/tables/") if key.endswith("trials.parquet"))
    address = store.folder / key
    assert query(store, f"SELECT count(*) AS n FROM '{address}'").to_pylist() == [{"n": 24}]
    with pytest.raises(QueryError, match="reads the published sweeps"):
        query(store, f"SELECT count(*) AS n FROM '{address}'", "demo")


def test_sessions_of_the_page_have_the_same_limits(store: LocalStore, tmp_path: Path) -> None:
    with Session(store) as session, pytest.raises(Exception, match="file system operations are disabled"):
        session.connection.execute(f"SELECT content FROM read_text('{tmp_path}/private.txt')")


IN_S3 = [
    "SELECT current_setting('s3_secret_access_key') AS x, current_setting('s3_session_token') AS y",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
]


@pytest.mark.parametrize("sql", IN_S3)
def test_the_s3_secret_cannot_be_printed(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer, sql: str) -> None:
    aws_settings.setenv("AWS_ENDPOINT_URL", strict_s3.address)
    aws_settings.setenv("AWS_ACCESS_KEY_ID", strict_s3.writer[0])
    aws_settings.setenv("AWS_SECRET_ACCESS_KEY", strict_s3.writer[1])
    store = open_store(f"s3://{strict_s3.bucket}/sandbox")
    publish_sample_rows(store)
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 24}]
    assert strict_s3.writer[1] not in str(query(store, sql).to_pylist())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT content FROM read_text('s3://{bucket}/other.txt')",
        "FROM glob('s3://{bucket}/*')",
        "FROM duckdb_secrets(redact = false)",
        "COPY (SELECT 1) TO 's3://{bucket}/runs/demo/manifest.json' (FORMAT csv)",
        "SELECT content FROM read_text('s3://{bucket}/runs/demo/manifest.json?s3_endpoint=127.0.0.1:9')",
    ],
)
def test_nor_is_anything_else_of_the_bucket_read_or_written(s3_bucket: str, sql: str) -> None:
    store, outside = open_store(f"s3://{s3_bucket}/runs"), open_store(f"s3://{s3_bucket}")
    publish_sample_rows(store)
    outside.write("other.txt", SECRET.encode())
    manifest = store.read("demo/manifest.json")
    with pytest.raises(QueryError) as caught:
        query(store, sql.format(bucket=s3_bucket))
    assert SECRET not in str(caught.value) and "127.0.0.1:9'" not in str(caught.value).replace("s3_endpoint=127.0.0.1:9'", "")
    assert store.read("demo/manifest.json") == manifest
