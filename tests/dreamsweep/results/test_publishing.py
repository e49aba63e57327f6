"""Publishing while a sweep runs and at its end: what is named, what is written, what is kept."""

import io
import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dreamsweep.errors import StoreError
from dreamsweep.report.query import query
from dreamsweep.results import publishing
from dreamsweep.results.cleanup import garbage
from dreamsweep.results.manifest import Manifest, manifest_json, read_manifest, stage_shard
from dreamsweep.results.publishing import (
    check_name,
    gather,
    publish,
    publish_staged,
    publish_whole,
    published_trials,
    with_part_records,
)
from dreamsweep.results.sources import Seen
from dreamsweep.spec import Trial
from dreamsweep.store import Store, keys, open_store
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.parquet import is_whole
from dreamsweep.tables.rows import shard_tables
from tests.dreamsweep.sample_rows import sample_rows, sample_trial, stage_sample_rows
from tests.dreamsweep.tables.test_parquet import with_flipped_bit, with_flipped_footer

SPEC = "0" * 64
FIRST, SECOND, THIRD = ([sample_trial(seed=seed) for seed in pair] for pair in ((0, 1), (2, 3), (4, 5)))
COUNTS = (
    "SELECT (SELECT count(*) FROM trials) AS trials, (SELECT count(*) FROM scores) AS scores, (SELECT count(*) FROM embeddings) AS vectors"
)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs") if request.param == "local" else f"s3://{request.getfixturevalue('s3_bucket')}/p")


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "runs")


class Watched:
    """A store that lists the keys that are read and written."""

    def __init__(self, store: LocalStore) -> None:
        self.read_keys, self.written_keys = list[str](), list[str]()
        lists = {"get": self.read_keys, "read": self.read_keys, "read_file": self.read_keys}
        lists |= {"write": self.written_keys, "write_file": self.written_keys, "replace": self.written_keys}
        for name in dir(store):  # as attributes of its own: a runtime protocol looks no further since Python 3.12
            if not name.startswith("_"):
                member = getattr(store, name)
                setattr(self, name, self._listing(member, lists[name]) if name in lists else member)

    def _listing(self, method: Callable[..., Any], listed: list[str]) -> Callable[..., Any]:
        def call(key: str, *rest: Any) -> Any:
            listed.append(key)
            return method(key, *rest)

        return call


def ids(*groups: list[Trial]) -> list[str]:
    return [trial.id for group in groups for trial in group]


def counts(store: Store) -> tuple[int, int, int]:
    (row,) = query(store, COUNTS).to_pylist()
    return row["trials"], row["scores"], row["vectors"]


def staged(shard: str) -> set[str]:
    return {f"demo/staging/{shard}/{name}.parquet" for name in ("trials", "scores", "embeddings", "files")}


def test_a_night_is_seen_while_it_grows(store: Store) -> None:
    wanted = ids(FIRST, SECOND)
    assert publish_staged(store, "demo", wanted, SPEC) is None
    assert read_manifest(store, "demo") is None
    stage_sample_rows(store, "demo", "s1", FIRST)
    first = publish_staged(store, "demo", wanted, SPEC)
    assert first and first == read_manifest(store, "demo")
    assert first.files == staged("s1")
    assert counts(store) == (2, 12, 2)
    stage_sample_rows(store, "demo", "s2", SECOND)
    assert counts(store) == (2, 12, 2)
    second = publish_staged(store, "demo", wanted, SPEC)
    assert second and second.files == staged("s1") | staged("s2")
    assert counts(store) == (4, 24, 4)
    assert list(store.keys("demo/tables/")) == []
    whole = publish_whole(store, "demo", wanted, SPEC)
    assert with_part_records(whole) == set(store.keys("demo/tables/")) and len(whole.files) == 4
    assert counts(store) == (4, 24, 4)
    assert whole.model_copy(update={"tables": {}}) == second.model_copy(update={"tables": {}})


def test_a_run_that_was_cut_leaves_the_manifest_of_one_that_was_not(tmp_path: Path) -> None:
    cut, undisturbed = (LocalStore(tmp_path / name) for name in ("cut", "undisturbed"))
    wanted = ids(FIRST, SECOND)
    stage_sample_rows(cut, "demo", "s1", FIRST)
    publish_staged(cut, "demo", wanted, SPEC)
    stage_sample_rows(cut, "demo", "s1", FIRST)  # by a second worker that was slower
    stage_sample_rows(cut, "demo", "s2", SECOND)
    publish_staged(cut, "demo", wanted, SPEC)
    publish_whole(cut, "demo", wanted, SPEC)
    for shard, trials in (("s2", SECOND), ("s1", FIRST)):
        stage_sample_rows(undisturbed, "demo", shard, trials)
    publish_whole(undisturbed, "demo", wanted, SPEC)
    assert cut.read("demo/manifest.json") == undisturbed.read("demo/manifest.json")


def test_a_publish_reads_what_is_new_and_copies_nothing(local: LocalStore) -> None:
    wanted, seen = ids(FIRST, SECOND), Seen()
    watched: Any = Watched(local)
    stage_sample_rows(local, "demo", "s1", FIRST)
    publish_staged(watched, "demo", wanted, SPEC, seen)
    assert watched.read_keys == ["demo/manifest.json", "demo/staging/s1/manifest.json"]
    stage_sample_rows(local, "demo", "s2", SECOND)
    watched.read_keys.clear()
    watched.written_keys.clear()
    publish_staged(watched, "demo", wanted, SPEC, seen)
    assert watched.read_keys == ["demo/manifest.json", "demo/staging/s2/manifest.json"]
    assert watched.written_keys == ["demo/manifest.json"]
    publish_staged(watched, "demo", wanted, SPEC, seen)
    assert watched.written_keys == ["demo/manifest.json"]


def test_only_wanted_trials_are_published_and_each_once(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", [*FIRST, SECOND[0]])
    stage_sample_rows(local, "demo", "s2", SECOND)
    manifest = publish_staged(local, "demo", [FIRST[0].id, *ids(SECOND)], SPEC)
    assert manifest and published_trials(local, manifest) == {FIRST[0].id, *ids(SECOND)}
    assert counts(local) == (3, 18, 3) == (manifest.trials, manifest.scores, 3)
    again = publish_staged(local, "demo", [FIRST[0].id, *ids(SECOND)], SPEC)
    assert again == manifest
    assert publish_whole(local, "demo", [FIRST[0].id, *ids(SECOND)], SPEC).generation == manifest.generation
    assert counts(local) == (3, 18, 3)


def test_a_shard_staged_again_leaves_published_files_alone(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    manifest = publish_staged(local, "demo", ids(FIRST, SECOND), SPEC)
    assert manifest
    before = {key: local.read(key) for key in manifest.files}
    stage_sample_rows(local, "demo", "s1", SECOND)
    assert {key: local.read(key) for key in manifest.files} == before
    assert counts(local) == (2, 12, 2)
    assert {entry.key for entry in garbage(local, float("inf"), staging=True, alive_since=0.0)} & manifest.files == set()
    later = publish_staged(local, "demo", ids(FIRST, SECOND), SPEC)
    assert later and later.files == {f"demo/staging/s1/{name}-2.parquet" for name in ("trials", "scores", "embeddings", "files")}
    assert counts(local) == (4, 24, 4)
    gone = {(entry.kind, entry.key) for entry in garbage(local, float("inf"), alive_since=0.0)}
    assert gone == {("tables", key) for key in staged("s1")}


def test_rows_that_were_staged_again_replace_those_gathered(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    first = publish_whole(local, "demo", ids(FIRST), SPEC)
    restage_later(local)
    second = publish_whole(local, "demo", ids(FIRST), SPEC)
    assert first.generation == second.generation
    assert not first.files & second.files
    assert set(local.keys("demo/tables/")) == with_part_records(second)
    assert query(local, "SELECT DISTINCT device FROM trials").to_pylist() == [{"device": "another"}]


def restage_later(store: LocalStore) -> None:
    """Stages the first shard again, as a run with more to keep would."""
    rows = [sample_rows(store, "demo", "s1", trial) for trial in FIRST]
    later = [replace(record, device="another", finished_at=record.finished_at + timedelta(days=1)) for record, _ in rows]
    stage_shard(store, "demo", "s1", shard_tables("demo", later, [scores for _, scores in rows]))


def test_staged_rows_that_a_manifest_names_are_no_garbage(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    manifest = publish_staged(local, "demo", ids(FIRST), SPEC)
    assert manifest
    assert list(garbage(local, float("inf"), staging=True, alive_since=0.0)) == []
    publish_whole(local, "demo", ids(FIRST), SPEC)
    gone = {entry.key for entry in garbage(local, float("inf"), staging=True, alive_since=0.0)}
    assert gone == staged("s1") | {"demo/staging/s1/manifest.json"}


def test_published_trials_outlive_their_staged_rows(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    first = publish_whole(local, "demo", ids(FIRST), SPEC)
    for key in list(local.keys("demo/staging/")):
        local.delete(key)
    stage_sample_rows(local, "demo", "s2", SECOND)
    grown = publish_staged(local, "demo", ids(FIRST, SECOND), SPEC)
    assert grown and grown.files == first.files | staged("s2")
    assert counts(local) == (4, 24, 4)
    whole = publish_whole(local, "demo", ids(FIRST, SECOND), SPEC)
    assert whole.generation == grown.generation and len(whole.files) == 4
    assert counts(local) == (4, 24, 4)


def test_a_large_sweep_is_extended_by_a_file_until_there_are_many(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "EXTEND_ROWS", 12)
    monkeypatch.setattr(publishing, "EXTEND_SHARE", 1.0)
    monkeypatch.setattr(publishing, "MOST_FILES", 3)
    files = []
    trials = [sample_trial(seed=seed) for seed in range(10)]
    for number in range(5):
        stage_sample_rows(local, "demo", f"s{number}", trials[2 * number : 2 * number + 2])
        watched: Any = Watched(local)
        manifest = gather(watched, "demo", {t.id for t in trials[: 2 * number + 2]}, SPEC)
        publish(local, manifest)
        files.append(len(manifest.tables["trials"]))
        tables = {key for key in watched.read_keys if key.endswith("scores.parquet")}
        assert tables == (
            {f"demo/staging/s{number}/scores.parquet"}
            if files[-1] > 1
            else {f"demo/staging/s{n}/scores.parquet" for n in range(number + 1)}
        )
        assert counts(local) == (2 * number + 2, 12 * number + 12, 2 * number + 2)
    assert files == [1, 2, 3, 1, 2]
    small = gather(LocalStore(local.folder), "demo", {t.id for t in trials}, SPEC)
    assert small == read_manifest(local, "demo")


def test_another_file_under_the_same_name_loses_nothing(store: Store) -> None:
    stage_sample_rows(store, "demo", "s1", [*FIRST, *SECOND])
    assert check_name(store, "demo", ids(FIRST)) == ids(FIRST)
    publish_whole(store, "demo", ids(FIRST, SECOND), SPEC)
    assert check_name(store, "demo", ids(FIRST, SECOND, THIRD)) == ids(FIRST, SECOND, THIRD)
    with pytest.raises(StoreError, match=r"sweep 'demo': 3 trials of another .* --add .* --replace .* another name"):
        check_name(store, "demo", [FIRST[0].id, *ids(THIRD)])
    assert check_name(store, "demo", ids(THIRD), "replace") == ids(THIRD)
    added = check_name(store, "demo", ids(THIRD), "add")
    assert list(added)[:2] == ids(THIRD) and set(added) == set(ids(FIRST, SECOND, THIRD))
    stage_sample_rows(store, "demo", "s3", THIRD)
    assert publish_whole(store, "demo", added, SPEC).trials == 6
    assert publish_whole(store, "demo", ids(THIRD), SPEC).trials == 2


def test_two_publishers_of_staged_rows_lose_nothing(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    replaced, wanted = local.replace, ids(FIRST, SECOND)

    def after_another(*given: Any) -> bool:
        monkeypatch.setattr(local, "replace", replaced)
        stage_sample_rows(local, "demo", "s2", SECOND)
        publish_staged(LocalStore(local.folder), "demo", wanted, SPEC)
        return replaced(*given)

    monkeypatch.setattr(local, "replace", after_another)
    manifest = publish_staged(local, "demo", wanted, SPEC)
    assert manifest == read_manifest(local, "demo") and manifest and manifest.trials == 4


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FIRST_PAUSE", 0.0)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("names_new_versions", [False, True])
@pytest.mark.parametrize("is_published", [False, True])
@pytest.mark.parametrize("publishes", [publish_staged, publish_whole])
def test_a_store_that_never_takes_the_manifest_is_named(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, publishes: Callable[..., Any], is_published: bool, names_new_versions: bool
) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    before = publish_whole(local, "demo", ids(FIRST), SPEC) if is_published else None
    stage_sample_rows(local, "demo", "s2", SECOND)
    refused = list[str | None]()
    monkeypatch.setattr(local, "replace", lambda key, data, version, content_type: refused.append(version))
    if names_new_versions:
        numbers = itertools.count()
        monkeypatch.setattr(local, "version", lambda key: str(next(numbers)))
    with pytest.raises(StoreError, match=r"'demo/manifest.json' was refused 8 times in a row .* 'dreamsweep doctor --store"):
        publishes(local, "demo", ids(FIRST, SECOND), SPEC)
    assert len(refused) == publishing.REFUSALS
    assert read_manifest(local, "demo") == before


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("publishes", [publish_staged, publish_whole])
def test_refusals_by_others_who_publish_are_not_counted(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, publishes: Callable[..., Any]
) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    stage_sample_rows(local, "demo", "s2", SECOND)
    replaced, refusals = local.replace, itertools.count(1)

    def after_another(key: str, data: bytes, *given: Any) -> bool:
        if (number := next(refusals)) <= 3 * publishing.REFUSALS:
            another = Manifest.model_validate_json(data).model_copy(update={"spec_sha256": f"{number:064x}"})
            local.write(key, manifest_json(another))
        return replaced(key, data, *given)

    monkeypatch.setattr(local, "replace", after_another)
    publishes(local, "demo", ids(FIRST, SECOND), SPEC)
    manifest = read_manifest(local, "demo")
    assert manifest and manifest.trials == 4 and manifest.spec_sha256 == SPEC
    assert next(refusals) == 3 * publishing.REFUSALS + 2


def test_two_runs_that_publish_shard_by_shard_both_finish(store: Store) -> None:
    trials = [sample_trial(seed=seed) for seed in range(12)]
    failures, begin = list[BaseException](), threading.Barrier(2)

    def run(mine: list[Trial]) -> None:
        try:
            own = open_store(str(store.uri).removeprefix("file://"))
            begin.wait(60)
            for trial in mine:
                stage_sample_rows(own, "demo", f"s{trial.id}", [trial])
                publish_staged(own, "demo", ids(trials), SPEC)
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=run, args=(trials[half::2],)) for half in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manifest = read_manifest(store, "demo")
    assert not failures and manifest and manifest.trials == len(trials)


def test_gathered_files_hold_relative_addresses(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", FIRST)
    manifest: Manifest = publish_whole(local, "demo", ids(FIRST), SPEC)
    table = pq.read_table(io.BytesIO(local.read(manifest.tables["trials"][0])))
    assert set(table["best_uri"].to_pylist()) == {f"pictures/{trial.id}/best.png" for trial in FIRST}
    assert {row["best_uri"] for row in query(local, "SELECT best_uri FROM trials").to_pylist()} == {
        local.uri_of(keys.picture("demo", trial.id, "best.png")) for trial in FIRST
    }


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], with_flipped_bit, with_flipped_footer], ids=["cut", "flipped", "footer"]
)
@pytest.mark.parametrize("table", ["trials", "scores", "embeddings"])
def test_a_damaged_table_is_written_again_from_staged_rows(local: LocalStore, table: str, damage: Callable[[bytes], bytes]) -> None:
    stage_sample_rows(local, "s", "a", FIRST)
    before = publish_whole(local, "s", ids(FIRST), SPEC)
    rows = query(local, f"FROM {table} ORDER BY ALL").to_pylist()
    (key,) = before.tables[table]
    local.write(key, damage(local.read(key)))
    assert not is_whole(local, key)
    assert check_name(local, "s", ids(FIRST)) == ids(FIRST), "nor does it block the next run"
    after = publish_whole(local, "s", ids(FIRST), SPEC)
    assert after == read_manifest(local, "s") and after.generation == before.generation
    assert all(is_whole(local, named) for named in after.files)
    assert query(local, f"FROM {table} ORDER BY ALL").to_pylist() == rows
    assert publish_whole(local, "s", ids(FIRST), SPEC) == after, "once it is whole, nothing is written"


def test_rows_beside_a_damaged_table_are_not_lost_where_nothing_of_them_is_staged(local: LocalStore) -> None:
    stage_sample_rows(local, "s", "a", FIRST)
    (key,) = publish_whole(local, "s", ids(FIRST), SPEC).tables["scores"]
    for staged in list(local.keys("s/staging/")):
        local.delete(staged)
    local.write(key, b"no table")
    stage_sample_rows(local, "s", "b", SECOND)
    with pytest.raises(StoreError, match="is not what was written"):
        publish_whole(local, "s", ids(FIRST, SECOND), SPEC)
    manifest = read_manifest(local, "s")
    assert manifest and manifest.trials == len(FIRST)
