"""Queries: the views, what goes wrong, S3, and every word of docs/query.md."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamsweep.errors import QueryError, StoreError, StoreUnavailableError
from dreamsweep.report import query as query_module
from dreamsweep.report.query import Limits, httpfs_extension, query
from dreamsweep.results.appended import append, write_judged
from dreamsweep.results.manifest import Manifest
from dreamsweep.results.publishing import gather, publish
from dreamsweep.spec import ENGINES, ImageFile
from dreamsweep.store import Store, keys, open_store
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.registry import TABLES
from dreamsweep.tables.schemas import engine_column
from tests.conftest import StrictServer
from tests.dreamsweep.sample_rows import PROMPTS, publish_sample_rows, sample_trial, stage_sample_rows
from tests.dreamsweep.tables.test_parquet import with_flipped_footer
from tests.s3_faults import Fault, FaultProxy, fault_proxy

DOC = (Path(__file__).parents[3] / "docs/query.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\*\*([^*]+)\*\*[^\n]*\n\n```sql\n([^`]+)```", DOC, re.MULTILINE)
PLAIN = re.findall(r"```sql duckdb\n(.+?)```", DOC, re.DOTALL)
(IN_S3,) = re.findall(r"```sql s3\n(.+?)```", DOC, re.DOTALL)
PER_TRIAL = "SELECT trial_id, count(*) AS iterations, max(judge) AS best FROM scores GROUP BY trial_id"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A folder `runs` with one published sweep, `demo`."""
    published = LocalStore(tmp_path / "runs")
    publish_sample_rows(published)
    return published


@pytest.fixture
def behind_proxy(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> Iterator[tuple[str, FaultProxy]]:
    """A published sweep in a bucket, which the environment reaches by way of a proxy: its store's address."""
    uri = f"s3://{s3_bucket}/p"
    publish_sample_rows(open_store(uri))
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as (address, proxy):
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        aws_settings.setenv("DREAMSWEEP_STORE_SECONDS", "100")
        aws_settings.setattr("dreamsweep.retry.FIRST_PAUSE", 0.0)
        yield uri, proxy


def tables_fail(proxy: FaultProxy, fault: Fault, times: int) -> None:
    """Lets so many requests for tables meet a fault."""
    proxy.choose = lambda method, path: fault if ".parquet" in path and proxy.met[fault] < times else None


@pytest.mark.parametrize("fault", ["busy", "reset", "truncated"])
def test_a_query_waits_for_the_end_of_an_outage(behind_proxy: tuple[str, FaultProxy], fault: Fault) -> None:
    uri, proxy = behind_proxy
    tables_fail(proxy, fault, 12)  # more than DuckDB tries by itself
    (row,) = query(open_store(uri), "SELECT count(*) AS n, (SELECT count(*) FROM scores) AS scores FROM trials").to_pylist()
    assert row["n"] > 0 and row["scores"] > 0 and proxy.met[fault] == 12


@pytest.mark.parametrize("fault", ["busy", "reset", "truncated"])
def test_the_page_s_query_does_not_wait(behind_proxy: tuple[str, FaultProxy], fault: Fault) -> None:
    uri, proxy = behind_proxy
    store = open_store(uri, patience=0)
    tables_fail(proxy, fault, 1_000)
    with pytest.raises(StoreUnavailableError, match=r"broke off the query .*; ask again later\.$"):
        query(store, "SELECT count(*) FROM trials")
    assert 0 < proxy.met[fault] < 12


def judge_again(store: LocalStore) -> None:
    """Writes what a judge says that holds the opposite of the first, of one prompt's pictures."""
    trials = query(store, "SELECT trial_id, judge_best FROM trials WHERE prompt = 'a red heart'").to_pylist()
    rows = [{"trial_id": row["trial_id"], "picture": "best.png", "judge": "taste", "score": -row["judge_best"]} for row in trials]
    write_judged(store, "demo", "judgements", rows, "taste")


def mark_by_hand(store: LocalStore) -> None:
    """Writes marks of two people: a picture that both pick, one that one of them rejects in the end, stars, a tag and a duel."""
    first, second, *_ = (row["trial_id"] for row in query(store, "SELECT trial_id FROM standings ORDER BY rank, trial_id").to_pylist())
    marks: list[tuple[str, str, str, float, str | None]] = [
        *(("anna", first, "pick", 1, None), ("ben", first, "pick", 1, None), ("anna", second, "pick", 1, None)),
        *(("ben", second, "pick", 1, None), ("ben", second, "pick", -1, None), ("anna", first, "stars", 4, None)),
        ("ben", second, "tag", 1, "odd"),
    ]
    for who, trial, kind, value, text in marks:
        append(store, "demo", "ratings", {"trial_id": trial, "kind": kind, "value": float(value), "text": text, "rated_by": who})
    ranked = "SELECT trial_id FROM standings JOIN trials USING (sweep, trial_id) WHERE prompt = 'a red heart' ORDER BY rank, trial_id"
    high, *_, low = (row["trial_id"] for row in query(store, ranked).to_pylist())
    for winner in ("right", "left"):
        append(store, "demo", "duels", {"left_trial_id": high, "right_trial_id": low, "winner": winner, "rated_by": "anna"})


def sorted_rows(table: pa.Table) -> list[tuple[object, ...]]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


def test_trials_and_their_scores(store: LocalStore) -> None:
    (row,) = query(
        store, "SELECT count(*) AS n, count(DISTINCT trial_id) AS t, min(iteration) AS lo, max(iteration) AS hi FROM scores"
    ).to_pylist()
    assert row == {"n": 141, "t": 24, "lo": 1, "hi": 6}
    table = query(
        store, "SELECT any_value(iterations_done) = count(*) AS same FROM trials JOIN scores USING (trial_id) GROUP BY trial_id"
    ).to_pylist()
    assert [row["same"] for row in table] == [True] * 24
    assert query(store, "SELECT DISTINCT prompt FROM trials ORDER BY 1")["prompt"].to_pylist() == sorted(PROMPTS)
    settings = query(store, "SELECT DISTINCT strokes.optimizer.name AS name FROM trials WHERE strokes IS NOT NULL ORDER BY 1")
    assert settings["name"].to_pylist() == ["adagrad", "adam", "sgd"]


def test_addresses_of_artefacts_are_absolute(store: LocalStore) -> None:
    rows = query(store, "SELECT trial_id, artefacts FROM trials WHERE engine = 'strokes' AND sweep = 'demo' ORDER BY trial_id").to_pylist()
    assert rows
    for row in rows:
        assert dict(row["artefacts"]) == {"strokes.svg": f"{store.uri}/demo/pictures/{row['trial_id']}/strokes.svg"}
    (row, *_) = query(store, "SELECT artefacts FROM trials WHERE engine = 'dalle'").to_pylist()
    assert dict(row["artefacts"]) == {}


def test_every_published_sweep_and_no_other(store: LocalStore) -> None:
    publish_sample_rows(store, "second")
    stage_sample_rows(store, "unpublished", "s1", [sample_trial(seed=9)])
    counts = query(store, "SELECT sweep, count(*) AS n FROM trials GROUP BY sweep ORDER BY sweep").to_pylist()
    assert counts == [{"sweep": "demo", "n": 24}, {"sweep": "second", "n": 24}]


def test_nothing_is_published_yet(tmp_path: Path) -> None:
    for folder in ("never-made", "."):
        with pytest.raises(QueryError, match=r"has no published sweep to ask; run one first: dreamsweep run"):
            query(open_store(str(tmp_path / folder)), "SELECT 1")


def test_of_a_sweep_that_has_begun_the_error_says_so(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write(keys.sweep_file("night"), b"name: night")
    with pytest.raises(QueryError, match=r"sweep 'night' has begun and nothing of it is published yet; .* \(dreamsweep status night "):
        query(store, "SELECT 1 FROM trials")


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELEC 1", "Parser Error: syntax error at or near \"SELEC\"; correct the statement at 'LINE 1: SELEC 1'."),
        (
            "SELECT * FROM trial",
            "Catalog Error: Table with name trial does not exist; "
            "the tables are trials, scores, embeddings, files, judgements, set_scores, ratings, duels, ranks, standings, gaps.",
        ),
        ("SELECT trial_i FROM scores", 'Candidate bindings: "trial_id"'),
        ("SELECT trial_i FROM scores", "DESCRIBE trials and DESCRIBE scores list the columns."),
        ("SELECT strokes.paths FROM trials", "DESCRIBE trials and DESCRIBE scores list the columns."),
        ("SELECT sum(prompt) FROM trials", "Binder Error: No function matches"),
        (
            "FROM 'nowhere.parquet'",
            "published sweeps of the store and nothing else: for more, use dreamsweep query --unsafe.",
        ),
        ("SELECT prompt::int FROM trials", "Conversion Error: Could not convert string"),
        ("", "the query is empty; try: SELECT"),
        ("  -- only a remark", "the query is empty; try: SELECT"),
    ],
)
def test_a_wrong_question_gets_one_line(store: LocalStore, monkeypatch: pytest.MonkeyPatch, sql: str, sentence: str) -> None:
    monkeypatch.setattr(query_module, "PAUSE", 0.0)
    with pytest.raises(QueryError) as caught:
        query(store, sql)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "DESC."))


def test_a_missing_or_damaged_table_is_named(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_module, "PAUSE", 0.0)
    (key,) = (key for key in store.keys("demo/tables/") if key.endswith("scores.parquet"))
    whole = store.read(key)
    store.write(key, b"no Parquet")
    with pytest.raises(QueryError, match=r"scores\.parquet.*it is missing or damaged, and running its sweep again writes it anew"):
        query(store, "SELECT 1")
    store.delete(key)
    with pytest.raises(QueryError, match=r"scores\.parquet.*it is missing or damaged"):
        query(store, "SELECT 1")
    store.write(key, with_flipped_footer(whole))
    with pytest.raises(QueryError, match=r"a table of the store is damaged: `dreamsweep verify` names it, and running its sweep again"):
        query(store, "SELECT 1")


@pytest.mark.parametrize("damage", ["no Parquet", "missing"])
def test_of_all_sweeps_one_with_a_damaged_table_is_skipped_with_a_warning(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    monkeypatch.setattr(query_module, "PAUSE", 0.0)
    publish_sample_rows(store, "other")
    (key,) = (key for key in store.keys("demo/tables/") if key.endswith("trials.parquet"))
    store.delete(key) if damage == "missing" else store.write(key, damage.encode())
    assert query(store, "SELECT DISTINCT sweep FROM trials").to_pylist() == [{"sweep": "other"}]
    assert "skipped: sweep 'demo' has a table that cannot be read" in caplog.text and key in caplog.text
    with pytest.raises(QueryError, match=r"trials\.parquet.*it is missing or damaged"):
        query(store, "SELECT 1 FROM trials", "demo")


@pytest.mark.parametrize("content", ["garbage", "{}", "outside"])
def test_an_invalid_manifest_is_skipped_with_a_warning(store: LocalStore, caplog: pytest.LogCaptureFixture, content: str) -> None:
    text = store.read("demo/manifest.json").decode()
    store.write("bad/manifest.json", (text.replace('"demo/', '"../demo/') if content == "outside" else content).encode())
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 24}]
    assert "skipped" in caplog.text and "bad/manifest.json" in caplog.text
    store.delete("demo/manifest.json")
    with pytest.raises(StoreError, match="bad/manifest"):
        query(store, "SELECT 1")


def test_a_question_is_asked_again_when_tables_are_replaced_under_it(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, trial, calls = query_module.connect, sample_trial(seed=5), list[int]()

    def late(wanted: Store, manifests: list[Manifest], *, unsafe: bool, limits: Limits | None) -> duckdb.DuckDBPyConnection:
        calls.append(len(manifests))
        if len(calls) == 1:
            stage_sample_rows(store, "demo", "z9", [trial])
            publish(store, gather(store, "demo", lambda _: True, "c" * 64))
        return connect(wanted, manifests, unsafe=unsafe, limits=limits)

    monkeypatch.setattr(query_module, "connect", late)
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 25}]
    assert calls == [1, 1]


def test_sweeps_of_versions_with_other_settings(store: LocalStore) -> None:
    manifest = publish_sample_rows(store, "older")
    path = store.folder / manifest.tables["trials"][0]
    table = pq.read_table(path)
    settings = table["strokes"].combine_chunks()
    names = ["engine", "num_paths"]
    older = pa.StructArray.from_arrays([settings.field(n) for n in names] + [settings.field("canvas")], [*names, "gone"])
    pq.write_table(table.drop_columns(["warnings", "strokes"]).append_column("strokes", older), path)
    sql = "SELECT sweep, max(strokes.max_width) AS width, max(strokes.gone) AS gone, count(warnings) AS w FROM trials GROUP BY sweep"
    assert query(store, f"{sql} ORDER BY sweep").to_pylist() == [
        {"sweep": "demo", "width": 10.0, "gone": None, "w": 24},
        {"sweep": "older", "width": None, "gone": 224, "w": 0},
    ]


@pytest.mark.parametrize("folder", ["a [b] *c? 'q'", "ünïcode 100%", "{x,y}"])
def test_folders_with_names_that_sql_and_patterns_use(tmp_path: Path, folder: str) -> None:
    store = open_store(str(tmp_path / folder))
    publish_sample_rows(store)
    assert query(store, "SELECT count(*) AS n FROM scores").to_pylist() == [{"n": 141}]


NEIGHBOURS = [("a*b", "axb"), ("a?b", "axb"), ("a[b]c", "abc"), ("a[!x]b", "ayb"), ("a[*]b", "a*b"), ("a]b", "a]c"), ("{a,b}", "a")]


@pytest.mark.parametrize(("folder", "neighbour"), NEIGHBOURS)
def test_a_neighbour_that_a_pattern_would_match_is_not_read(tmp_path: Path, folder: str, neighbour: str) -> None:
    store, other = open_store(str(tmp_path / folder)), open_store(str(tmp_path / neighbour))
    assert publish_sample_rows(store) == publish_sample_rows(other), "the same keys in both"
    sql = "SELECT count(*) AS n, count(DISTINCT split_part(best_uri, '/demo/', 1)) AS stores FROM trials"
    assert query(store, sql).to_pylist() == query(other, sql).to_pylist() == [{"n": 24, "stores": 1}]


@pytest.mark.parametrize(("prefix", "neighbour"), NEIGHBOURS)
def test_nor_in_a_bucket(s3_bucket: str, prefix: str, neighbour: str) -> None:
    store, other = open_store(f"s3://{s3_bucket}/{prefix}"), open_store(f"s3://{s3_bucket}/{neighbour}")
    publish_sample_rows(store)
    publish_sample_rows(other)
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 24}]
    assert query(other, "SELECT count(*) AS n FROM scores").to_pylist() == [{"n": 141}]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_bucket_on_this_machine_is_not_asked_through_a_proxy(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(variable, proxy)
    store = open_store(f"s3://{s3_bucket}/runs")
    publish_sample_rows(store)
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 24}]


def test_nor_through_a_socks_proxy_that_httpx_can_use(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.environment._is_usable", lambda proxy: True)  # as with the package socksio
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
    store = open_store(f"s3://{s3_bucket}/runs")
    publish_sample_rows(store)
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 24}]


def test_addresses_of_a_store_that_was_moved(store: LocalStore, tmp_path: Path) -> None:
    trial = sample_trial(seed=9)
    for name, path in (("remote", f"{store.uri}/remote/planned/ab12.image"), ("here", "/home/somebody/photo.png")):
        picture = trial.engine.model_copy(update={"init_image": ImageFile(path=path, sha256="ab12")})
        stage_sample_rows(store, name, "s1", [trial.model_copy(update={"engine": picture})])
        publish(store, gather(store, name, lambda _: True, "c" * 64))
    (key,) = (key for key in store.keys("remote/tables/") if key.endswith("trials.parquet"))
    inside = pq.read_table(store.folder / key).to_pylist()[0]
    assert inside["strokes"]["init_image"]["path"] == "planned/ab12.image"
    assert inside["final_uri"] == keys.picture_address(inside["trial_id"], "final.png")
    moved = open_store(str(store.folder.rename(tmp_path / "moved %20 [x]")))
    sql = "SELECT sweep, strokes.init_image.path AS path, final_uri, artefacts FROM trials WHERE sweep <> 'demo' ORDER BY sweep"
    here, remote = query(moved, sql).to_pylist()
    assert (here["path"], remote["path"]) == ("/home/somebody/photo.png", f"{moved.uri}/remote/planned/ab12.image")
    assert remote["final_uri"] == f"{moved.uri}/remote/pictures/{inside['trial_id']}/final.png"
    assert remote["artefacts"] == [("strokes.svg", f"{moved.uri}/remote/pictures/{inside['trial_id']}/strokes.svg")]
    assert str(store.folder) not in str(query(moved, "FROM trials").to_pylist())


def test_columns_of_one_name_are_all_there(store: LocalStore) -> None:
    answer = query(store, "SELECT t.trial_id, s.trial_id, s.iteration FROM trials t JOIN scores s USING (trial_id) ORDER BY ALL LIMIT 1")
    assert answer.column_names == ["trial_id", "trial_id_1", "iteration"]
    (row,) = answer.to_pylist()
    assert row["trial_id"] == row["trial_id_1"]
    joined = query(store, "SELECT * FROM trials JOIN scores USING (trial_id)").column_names
    assert len(set(joined)) == len(joined) and {"sweep_1", "learning_rate_1"} <= set(joined)


def test_bytes_that_are_no_text_are_refused(store: LocalStore) -> None:
    with pytest.raises(QueryError, match=r"^the query holds bytes that are not UTF-8; write it in UTF-8\.$"):
        query(store, "SELECT '\udcff'")


def test_s3_with_a_user_s_credentials(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer, tmp_path: Path) -> None:
    aws_settings.setenv("AWS_ENDPOINT_URL", strict_s3.address)
    aws_settings.setenv("AWS_ACCESS_KEY_ID", strict_s3.writer[0])
    aws_settings.setenv("AWS_SECRET_ACCESS_KEY", strict_s3.writer[1])
    remote, local = open_store(f"s3://{strict_s3.bucket}/with space/ü"), open_store(str(tmp_path))
    assert publish_sample_rows(remote) == publish_sample_rows(local)
    assert sorted_rows(query(remote, PER_TRIAL)) == sorted_rows(query(local, PER_TRIAL))
    with pytest.raises(
        QueryError, match="the tables are trials, scores, embeddings, files, judgements, set_scores, ratings, duels, ranks, standings, gaps"
    ):
        query(remote, "SELECT * FROM nothing")
    (row,) = query(remote, "SELECT secret_string FROM duckdb_secrets()").to_pylist()
    assert strict_s3.writer[1] not in str(row)
    for name, value in (("AWS_SECRET_ACCESS_KEY", "another's secret"), ("AWS_ACCESS_KEY_ID", "nobody")):
        aws_settings.setenv(name, value)
        with pytest.raises(StoreError, match="access denied") as caught:
            query(open_store(remote.uri), PER_TRIAL)
        assert "secret'" not in str(caught.value)


def test_an_s3_secret_is_not_told_when_duckdb_refuses_it(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"s3://{s3_bucket}")
    publish_sample_rows(store)
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    monkeypatch.setattr(query_module, "quoted", lambda text: text)  # so that what is said to DuckDB is no SQL
    with pytest.raises(StoreError, match="DuckDB cannot use its S3 settings") as caught:
        query(store, "SELECT 1")
    assert "a-secret" not in str(caught.value)


def test_httpfs_comes_from_its_package_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert httpfs_extension().is_file()
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    with pytest.raises(QueryError, match=r"pip install duckdb-extension-httpfs==9\.9\.9"):
        httpfs_extension()


@pytest.mark.parametrize("name", TABLES)
def test_the_documented_columns_are_the_real_ones(store: LocalStore, name: str) -> None:
    schema = TABLES[name].schema
    section = DOC.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    texts = {field.name: field.metadata[b"description"].decode() for field in schema}
    engines = set(map(engine_column, ENGINES))
    described = query(store, f"DESCRIBE {name}").to_pylist()
    real = [(r["column_name"], "STRUCT" if r["column_name"] in engines else r["column_type"], texts[r["column_name"]]) for r in described]
    assert documented == real
    assert [field.name for field in schema] == [row[0] for row in real]


def test_there_are_questions() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize(("question", "sql"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_a_documented_question_is_answered(store: LocalStore, tiny_weights: Path, question: str, sql: str) -> None:
    judge_again(store)
    mark_by_hand(store)
    answer = query(store, sql)
    assert answer.num_rows > 0, question
    assert all(column.null_count < len(column) for column in answer.columns), question


def test_a_judge_that_says_the_opposite_disagrees(store: LocalStore) -> None:
    judge_again(store)
    (row,) = query(store, dict(QUESTIONS)["How far two judges agree within each prompt"]).to_pylist()
    assert row == {"first": "starter-judge", "second": "taste", "trials": 8, "agreement": -1.0}


def test_what_people_marked(store: LocalStore) -> None:
    mark_by_hand(store)
    sql = dict(QUESTIONS)
    (picked,) = query(store, sql["Pictures that two reviewers picked"]).to_pylist()
    assert picked["picked_by"] == ["anna", "ben"]
    (pair,) = query(store, sql["How often two reviewers agree"]).to_pylist()
    assert pair == {"one": "anna", "other": "ben", "pictures": 2, "agree": 0.5}
    ranks = query(store, sql["Whether people pick what the judges rank first"]).to_pylist()
    assert sum(row["picked"] for row in ranks) == 3 and sum(row["rejected"] for row in ranks) == 1
    starred = query(store, sql["Pictures with four stars or more, or a tag"]).to_pylist()
    assert [(row["rated_by"], row["stars"], row["tags"]) for row in starred] == [("anna", 4, None), ("ben", None, ["odd"])]
    (judge,) = query(store, sql["How often each judge prefers what people preferred in duels"]).to_pylist()
    assert judge == {"rated_by": "anna", "judge": "starter-judge", "duels": 1, "agrees": 1.0}


def test_some_answers(store: LocalStore) -> None:
    sql = dict(QUESTIONS)
    best = query(store, sql["The best picture of each prompt"]).to_pylist()
    assert {row["prompt"] for row in best} == set(PROMPTS)
    wins = query(store, sql["Which optimizer wins, prompt by prompt"]).to_pylist()
    assert {row["prompt"] for row in wins} == set(PROMPTS)
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
    sql = "SELECT list_cosine_similarity(embed('a red heart', 'starter-judge'), embed('a red heart', 'starter-judge')) AS same"
    (row,) = query(store, sql).to_pylist()
    assert row["same"] == pytest.approx(1)
    with pytest.raises(QueryError, match=r"^embed: there is no judge 'nobody'; give it the column judge_name\.$"):
        query(store, "SELECT embed('a red heart', 'nobody')")


def test_another_package_s_judge_embeds_no_texts(store: LocalStore, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_module, "judge_names", lambda: ("starter-judge", "sharpness"))
    sentence = r"^embed: judge 'sharpness' of another package embeds no texts; leave its rows out, as by WHERE perceptor <> 'sharpness'\.$"
    with pytest.raises(QueryError, match=sentence):
        query(store, "SELECT embed('a red heart', 'sharpness')")
    of_both = "FROM (VALUES ('starter-judge'), ('sharpness')) judges(perceptor)"
    assert len(query(store, f"SELECT embed('a heart', perceptor) AS v {of_both} WHERE perceptor <> 'sharpness'")) == 1


@pytest.mark.parametrize("sql", PLAIN)
def test_plain_duckdb_answers_the_same(store: LocalStore, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    monkeypatch.chdir(store.folder.parent)
    with duckdb.connect() as plain:
        assert sorted_rows(plain.execute(sql).to_arrow_table()) == sorted_rows(query(store, PER_TRIAL))


def test_plain_duckdb_answers_the_same_over_s3(s3_bucket: str, s3_server: str) -> None:
    store = open_store(f"s3://{s3_bucket}/runs")
    publish_sample_rows(store)
    sql = IN_S3.replace("INSTALL httpfs; LOAD httpfs", f"LOAD '{httpfs_extension()}'")
    sql = sql.replace("localhost:9000", s3_server.removeprefix("http://")).replace("s3://bucket/", f"s3://{s3_bucket}/")
    with duckdb.connect() as plain:
        assert sorted_rows(plain.execute(sql).to_arrow_table()) == sorted_rows(query(store, PER_TRIAL))
