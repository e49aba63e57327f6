"""Staging, gathering, publishing: whole states only, whatever dies in between."""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dreamsweep.errors import DamagedError, StoreError
from dreamsweep.report.query import query
from dreamsweep.results.manifest import (
    Manifest,
    ShardManifest,
    done_shards,
    manifest_json,
    published,
    read_manifest,
    read_shard_manifest,
    shard_is_done,
    spec_sha256,
    stage_shard,
)
from dreamsweep.results.publishing import gather, publish, with_part_records
from dreamsweep.spec import Prompt
from dreamsweep.store import Store, open_store
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.rows import shard_tables
from dreamsweep.tables.schemas import SCORES, TRIALS
from tests.dreamsweep.sample_rows import publish_sample_rows, sample_rows, sample_trial, stage_sample_rows
from tests.dreamsweep.tables.test_parquet import with_flipped_bit, with_flipped_footer

ROOT = Path(__file__).parents[3]
SPEC = "0" * 64
OLD = [sample_trial(seed=seed) for seed in (0, 1)]
NEW = [sample_trial(seed=seed) for seed in (2, 3)]


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs") if request.param == "local" else f"s3://{request.getfixturevalue('s3_bucket')}/p")


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "runs")


def rows_of(store: Store, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(store.read(key))).to_pylist()
    return rows


def test_a_sweep_s_way_from_shards_to_a_manifest(store: Store) -> None:
    assert read_manifest(store, "demo") is None
    assert list(published(store)) == []
    manifest = publish_sample_rows(store)
    assert read_manifest(store, "demo") == manifest
    assert list(published(store)) == [manifest]
    assert (manifest.trials, manifest.done, manifest.diverged, manifest.failed) == (24, 23, 1, 0)
    trials, scores = rows_of(store, manifest.tables["trials"][0]), rows_of(store, manifest.tables["scores"][0])
    assert len(trials) == 24
    assert manifest.scores == len(scores) == sum(row["iterations_done"] for row in trials) == 23 * 6 + 3
    assert {(row["trial_id"], row["iteration"]) for row in scores} == {
        (row["trial_id"], i + 1) for row in trials for i in range(row["iterations_done"])
    }
    assert [row["shard_id"] for row in trials] == sorted(row["shard_id"] for row in trials)
    assert pq.read_schema(io.BytesIO(store.read(manifest.tables["trials"][0]))).equals(TRIALS)
    parquet = pq.ParquetFile(io.BytesIO(store.read(manifest.tables["scores"][0])))
    assert parquet.schema_arrow.equals(SCORES)
    assert [f.metadata[b"description"] for f in parquet.schema_arrow] == [f.metadata[b"description"] for f in SCORES]
    assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"


def test_two_stores_and_two_orders_leave_the_same_manifest(tmp_path: Path, s3_bucket: str) -> None:
    stores = [open_store(str(tmp_path / "a")), open_store(str(tmp_path / "b")), open_store(f"s3://{s3_bucket}/elsewhere")]
    for at, store in enumerate(stores):
        for name, trials in sorted({"s1": OLD, "s2": NEW}.items(), reverse=bool(at % 2)):
            stage_sample_rows(store, "demo", name, trials)
        publish(store, gather(store, "demo", {t.id for t in OLD + NEW}, SPEC))
    first, *others = (store.read("demo/manifest.json") for store in stores)
    assert others == [first, first]


def test_what_a_manifest_depends_on(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    stage_sample_rows(local, "demo", "s2", NEW)
    ids = {t.id for t in OLD + NEW}
    manifests = [
        gather(local, "demo", ids, SPEC),
        gather(local, "demo", ids, "1" * 64),
        gather(local, "demo", {OLD[0].id}, SPEC),
    ]
    assert len({m.generation for m in manifests}) == 3
    assert manifests[0].generation in manifests[0].tables["trials"][0]
    assert gather(local, "demo", ids.__contains__, SPEC) == manifests[0]


def test_a_trial_that_two_shards_hold_is_gathered_once(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", [*OLD, NEW[0]])
    stage_sample_rows(local, "demo", "s2", [NEW[0], NEW[1]])
    manifest = gather(local, "demo", {t.id for t in [OLD[1], *NEW]}, SPEC)
    assert [row["trial_id"] for row in rows_of(local, manifest.tables["trials"][0])] == [OLD[1].id, NEW[0].id, NEW[1].id]
    assert (manifest.trials, manifest.scores) == (3, 18)
    assert len(rows_of(local, manifest.tables["scores"][0])) == 18


def test_a_shard_is_done_when_its_manifest_is_there(local: LocalStore) -> None:
    ids = [t.id for t in OLD]
    assert not shard_is_done(local, "demo", "s1", ids)
    stage_sample_rows(local, "demo", "s1", OLD)
    assert shard_is_done(local, "demo", "s1", ids)
    assert shard_is_done(local, "demo", "s1", ids[:1])
    assert not shard_is_done(local, "demo", "s1", [*ids, NEW[0].id])
    assert [shard.trial_ids for shard in done_shards(local, "demo")] == [tuple(ids)]
    local.delete("demo/staging/s1/manifest.json")
    assert not shard_is_done(local, "demo", "s1", ids)
    assert list(done_shards(local, "demo")) == []


def test_staging_a_shard_again_keeps_its_other_trials(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    stage_sample_rows(local, "demo", "s1", [OLD[1], NEW[0]], diverged=[OLD[1].id])
    (shard,) = done_shards(local, "demo")
    assert shard.trial_ids == (OLD[1].id, NEW[0].id, OLD[0].id)
    assert shard.statuses == ("diverged", "done", "done")
    assert shard.scores == (3, 6, 6)
    manifest = gather(local, "demo", set(shard.trial_ids), SPEC)
    assert (manifest.trials, manifest.diverged, manifest.scores) == (3, 1, 15)


@pytest.mark.parametrize("damage", [with_flipped_bit, with_flipped_footer])
def test_staging_a_shard_again_beside_a_damaged_table_is_refused(local: LocalStore, damage: Callable[[bytes], bytes]) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    (key,) = (key for key in local.keys("demo/staging/s1/") if key.endswith("scores.parquet"))
    local.write(key, damage(local.read(key)))
    with pytest.raises(DamagedError, match=rf"'{key}' is not what was written .*dreamsweep verify demo --repair"):
        stage_sample_rows(local, "demo", "s1", NEW)
    (shard,) = done_shards(local, "demo")
    assert shard.trial_ids == tuple(trial.id for trial in OLD)


def test_scores_of_a_trial_that_is_not_in_the_shard(local: LocalStore) -> None:
    (record, _), (_, other) = (sample_rows(local, "demo", "s1", trial) for trial in OLD)
    with pytest.raises(ValueError, match="all scores must belong to one"):
        stage_shard(local, "demo", "s1", shard_tables("demo", [record], [other]))


def test_nothing_to_gather(store: Store) -> None:
    with pytest.raises(StoreError, match="holds nothing of sweep 'demo' to gather: none of its shards is done"):
        gather(store, "demo", {"x"}, SPEC)


def test_publishing_removes_what_it_replaces_and_only_that(store: Store) -> None:
    stage_sample_rows(store, "demo", "s1", OLD)
    first = gather(store, "demo", {t.id for t in OLD}, SPEC)
    publish(store, first)
    publish_sample_rows(store, "other")
    stage_sample_rows(store, "demo", "s2", NEW)
    second = gather(store, "demo", {t.id for t in OLD + NEW}, SPEC)
    assert read_manifest(store, "demo") == first
    publish(store, second)
    assert list(store.keys("demo/tables/")) == sorted(with_part_records(second))
    assert [m.sweep for m in published(store)] == ["demo", "other"]
    assert len(list(store.keys("other/tables/"))) == 5


def test_gathering_again_what_is_published_writes_nothing(local: LocalStore) -> None:
    manifest = publish_sample_rows(local)
    watched: Any = Failing(local, at=0)
    assert gather(watched, "demo", lambda _: True, manifest.spec_sha256) == manifest
    publish(watched, manifest)
    assert watched.changes == 0


def test_of_two_who_publish_the_second_looks_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_sample_rows(store, "demo", "s1", OLD)
    stage_sample_rows(store, "demo", "s2", NEW)
    mine = gather(store, "demo", {t.id for t in OLD}, SPEC)
    theirs = gather(store, "demo", {t.id for t in OLD + NEW}, SPEC)
    replace = store.replace

    def after_another(*given: Any) -> bool:
        monkeypatch.setattr(store, "replace", replace)
        publish(store, theirs)  # and removes the tables of mine
        return replace(*given)

    monkeypatch.setattr(store, "replace", after_another)
    with pytest.raises(StoreError, match="another run of it must have published its own"):
        publish(store, mine)
    assert read_manifest(store, "demo") == theirs
    assert set(store.keys("demo/tables/")) == with_part_records(theirs)


def test_two_who_publish_at_once_leave_a_whole_sweep(local: LocalStore, tmp_path: Path) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    stage_sample_rows(local, "demo", "s2", NEW)
    some, every = {t.id for t in OLD}, {t.id for t in OLD + NEW}
    allowed = {gather(local, "demo", some, SPEC).generation: 2, gather(local, "demo", every, SPEC).generation: 4}
    publishers = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHES_TWENTY_TIMES, str(local.folder), ",".join(wanted)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        for wanted in (some, every)
    ]
    assert [publisher.wait(600) for publisher in publishers] == [0, 0]
    assert_whole(local, allowed)


def test_tables_that_went_are_not_published(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    manifest = gather(local, "demo", {t.id for t in OLD}, SPEC)
    local.delete(manifest.tables["scores"][0])
    with pytest.raises(StoreError, match="another run of it must have published its own"):
        publish(local, manifest)
    assert read_manifest(local, "demo") is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\x00", b'{"shard_id": 1'])
def test_a_damaged_manifest_is_named(local: LocalStore, damage: bytes) -> None:
    publish_sample_rows(local)
    local.write("demo/manifest.json", damage)
    with pytest.raises(StoreError, match=r"'demo/manifest\.json' is no manifest of dreamsweep .*; repair it with: dreamsweep verify"):
        read_manifest(local, "demo")
    local.write("demo/staging/s1/manifest.json", damage)
    with pytest.raises(StoreError, match=r"'demo/staging/s1/manifest\.json' is no manifest"):
        list(done_shards(local, "demo"))


def test_a_damaged_table_is_named(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    whole = local.read("demo/staging/s1/scores.parquet")
    for damage in (b"", whole[: len(whole) // 2]):
        local.write("demo/staging/s1/scores.parquet", damage)
        with pytest.raises(StoreError, match=r"'demo/staging/s1/scores\.parquet' is not what was written .*; repair it with"):
            gather(local, "demo", {t.id for t in OLD}, SPEC)
    local.delete("demo/staging/s1/scores.parquet")
    with pytest.raises(StoreError, match=r"holds no 'demo/staging/s1/scores\.parquet'"):
        gather(local, "demo", {t.id for t in OLD}, SPEC)


def test_rows_that_their_manifest_does_not_tell_of(local: LocalStore) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    stage_sample_rows(local, "demo", "s2", NEW)
    local.write("demo/staging/s1/scores.parquet", local.read("demo/staging/s2/scores.parquet"))
    by_hand = read_shard_manifest(local, "demo", "s1")
    assert by_hand
    local.write("demo/staging/s1/manifest.json", manifest_json(by_hand.model_copy(update={"contents": {}})))
    with pytest.raises(StoreError, match=r"hold 12 rows .* say 18"):
        gather(local, "demo", {OLD[0].id, NEW[0].id, NEW[1].id}, SPEC)


def test_no_room_for_temporary_files(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(LocalStore, "read_file", full)
    with pytest.raises(StoreError, match="No space left on device; set TMPDIR to a folder with room"):
        gather(local, "demo", {t.id for t in OLD}, SPEC)


CHANGES = {"write", "write_file", "replace", "delete"}


class Failing:
    """A store whose n-th change fails, before or after it is made, and with it every later call: a process that died there."""

    def __init__(self, store: LocalStore, at: int, after: bool = False) -> None:
        self.at, self.after, self.changes = at, after, 0
        for name in dir(store):  # as attributes of its own: a runtime protocol looks no further since Python 3.12
            if not name.startswith("_"):
                member = getattr(store, name)
                setattr(self, name, self._counted(member) if name in CHANGES else member)

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def change(*given: Any) -> Any:
            self.changes += 1
            if self.at and (self.changes > self.at or (self.changes == self.at and not self.after)):
                raise ConnectionAbortedError("died")
            answer = method(*given)
            if self.changes == self.at:
                raise ConnectionAbortedError("died")
            return answer

        return change


def grow(store: Any) -> None:
    """What a rerun with two more trials does after they are generated."""
    stage_sample_rows(store, "demo", "s2", NEW)
    publish(store, gather(store, "demo", {t.id for t in OLD + NEW}, SPEC))


def assert_whole(store: LocalStore, allowed: dict[str, int]) -> None:
    """Readers see one of the allowed generations, and all of its rows."""
    manifest = read_manifest(store, "demo")
    assert manifest is not None
    assert allowed[manifest.generation] == manifest.trials
    sql = "SELECT (SELECT count(*) FROM trials) AS t, (SELECT count(*) FROM scores) AS s, (SELECT sum(iterations_done) FROM trials) AS i"
    (row,) = query(store, sql).to_pylist()
    assert (row["t"], row["s"], row["i"]) == (manifest.trials, manifest.scores, manifest.scores)


@pytest.mark.parametrize("after", [False, True])
def test_whichever_change_fails_readers_see_the_old_or_the_new_and_a_rerun_mends_it(tmp_path: Path, after: bool) -> None:
    def begun(name: str) -> tuple[LocalStore, Manifest]:
        store = LocalStore(tmp_path / name)
        stage_sample_rows(store, "demo", "s1", OLD)
        manifest = gather(store, "demo", {t.id for t in OLD}, SPEC)
        publish(store, manifest)
        return store, manifest

    whole, old = begun("whole")
    counted = Failing(whole, at=0)
    grow(counted)
    new = read_manifest(whole, "demo")
    assert new is not None
    assert counted.changes == 16  # 4 tables, manifest; 4 tables, their record, manifest, 5 deletions
    for at in range(1, counted.changes + 1):
        store, _ = begun(f"fails-{at}")
        with pytest.raises(ConnectionAbortedError):
            grow(Failing(store, at, after))
        assert_whole(store, {old.generation: 2, new.generation: 4})
        grow(store)
        assert store.read("demo/manifest.json") == whole.read("demo/manifest.json")
        assert list(store.keys("demo/tables/")) == list(whole.keys("demo/tables/"))


PUBLISHES_FOR_EVER = """
import random
import sys
import time
from pathlib import Path
from dreamsweep.results.publishing import gather, publish
from dreamsweep.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
while True:
    for wanted in sys.argv[2:]:
        publish(store, gather(store, "demo", set(wanted.split(",")), "0" * 64))
        time.sleep(random.choice([0.01, 0.05, 1.0]))  # a reader on a busy machine comes to its end sometimes
"""


PUBLISHES_TWENTY_TIMES = """
import sys
from pathlib import Path
from dreamsweep.errors import DamagedError, StoreError
from dreamsweep.results.publishing import gather, publish
from dreamsweep.store.local import LocalStore
store, wanted = LocalStore(Path(sys.argv[1])), set(sys.argv[2].split(","))
for attempt in range(20):
    try:
        publish(store, gather(store, "demo", wanted, "0" * 64))
    except StoreError as error:
        assert "another run of it" in str(error), error
while True:
    try:
        publish(store, gather(store, "demo", wanted, "0" * 64))
        break
    except StoreError:
        pass
"""


def test_readers_beside_a_publisher_and_after_its_death_see_whole_states(local: LocalStore, tmp_path: Path) -> None:
    stage_sample_rows(local, "demo", "s1", OLD)
    stage_sample_rows(local, "demo", "s2", NEW)
    some, every = {t.id for t in OLD}, {t.id for t in OLD + NEW}
    allowed = {gather(local, "demo", some, SPEC).generation: 2, gather(local, "demo", every, SPEC).generation: 4}
    publish(local, gather(local, "demo", some, SPEC))
    seen = set[str]()
    for round_ in range(3):
        command = [sys.executable, "-c", PUBLISHES_FOR_EVER, str(local.folder), ",".join(some), ",".join(every)]
        publisher = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)})
        try:
            time.sleep(random.Random(round_).uniform(1.5, 2.5))
            reads, end = 0, time.monotonic() + 300
            while reads < 10 or (len(seen) < 2 and time.monotonic() < end):
                reads += 1
                manifest = read_manifest(local, "demo")
                assert manifest is not None
                seen.add(manifest.generation)
                (row,) = query(
                    local, "SELECT count(DISTINCT trials.trial_id) AS t, count(*) AS s FROM trials JOIN scores USING (trial_id)"
                ).to_pylist()
                assert row in ({"t": 2, "s": 12}, {"t": 4, "s": 24})
        finally:
            publisher.send_signal(signal.SIGKILL)
            publisher.wait()
        assert_whole(local, allowed)
    assert seen == set(allowed)


def test_manifests_are_plain_json(local: LocalStore) -> None:
    manifest = publish_sample_rows(local)
    fields = json.loads(local.read("demo/manifest.json"))
    assert len(fields.pop("checksum")) == 64 and fields == manifest.model_dump(mode="json")
    content = json.loads(local.read("demo/staging/s1/manifest.json"))
    assert ShardManifest.model_validate(content).shard_id == "s1"
    text = local.read("demo/manifest.json").decode()
    assert not any(word in text for word in (str(local.folder), os.uname().nodename, "file:"))


def test_the_digest_of_a_spec_is_of_its_content() -> None:
    assert spec_sha256(Prompt(text="a")) == spec_sha256(Prompt.model_validate({"text": " a "})) != spec_sha256(Prompt(text="b"))


def test_the_benchmark_of_gathering_runs() -> None:
    command = [sys.executable, "benchmarks/gather.py", "--rows", "2_000", "--trials", "20", "--shards", "3"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "gathered 2,000 score rows and 20 trials" in answer.stdout


@pytest.mark.parametrize("key", ["demo/manifest.json", "demo/staging/s1/manifest.json"])
def test_a_flipped_bit_that_leaves_valid_json_is_noticed(local: LocalStore, key: str) -> None:
    publish_sample_rows(local)
    data = local.read(key)
    at = data.index(b'"weights"') + data[data.index(b'"weights"') :].index(b"aaaa")
    local.write(key, data[:at] + b"c" + data[at + 1 :])
    with pytest.raises(DamagedError, match="is not what was written"):
        [read_manifest(local, "demo"), *done_shards(local, "demo")]
    local.write(key, re.sub(rb',\s*"checksum": "\w+"', b"", local.read(key)))
    assert read_manifest(local, "demo") and len(list(done_shards(local, "demo"))) == 4, "those of earlier versions have none"
