"""What can go and what stays; that whatever goes, a reader and a rerun find what they need."""

import os
import time
from pathlib import Path

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.planning.expand import Shard
from dreamsweep.report.query import query
from dreamsweep.results.cleanup import ALIVE_SECONDS, garbage, now_of
from dreamsweep.results.handoff import write_shard
from dreamsweep.results.manifest import read_manifest
from dreamsweep.results.publishing import gather, publish
from dreamsweep.spec import Judging, Keep
from dreamsweep.store import Store, keys, open_store
from dreamsweep.store.local import PARTIAL, LocalStore
from tests.conftest import StrictServer
from tests.dreamsweep.sample_rows import publish_sample_rows, sample_trial, stage_sample_rows

LATER = time.time() + 3600
"""Everything was written before."""
STRAY = sample_trial(seed=77)
KEEP, JUDGING = Keep(snapshot_every=0, films=("webp",)), Judging(judge="starter-judge", judge_every=10)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs") if request.param == "local" else f"s3://{request.getfixturevalue('s3_bucket')}/p")


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "runs")


def leftovers(store: Store, before: float = LATER, staging: bool = False) -> set[tuple[str, str]]:
    return {(entry.kind, entry.key) for entry in garbage(store, before, staging=staging, alive_since=before)}


def age(store: LocalStore, key: str, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(store.folder / key, (then, then))


def with_pictures(store: Store, sweep: str, trial: str) -> str:
    for name in ("000002.png", "best.png", "final.png"):
        store.write(f"{sweep}/pictures/{trial}/{name}", b"pixels", "image/png")
    return f"{sweep}/pictures/{trial}/"


def test_nothing_that_a_manifest_or_a_staged_shard_names_can_go(store: Store) -> None:
    publish_sample_rows(store)
    stage_sample_rows(store, "waits", "s1", [STRAY])
    (ids,) = [query(store, "SELECT trial_id FROM trials")["trial_id"].to_pylist()]
    for trial in ids:
        with_pictures(store, "demo", trial)
    with_pictures(store, "waits", STRAY.id)
    store.write("demo/summary/contact-sheet.png", b"pixels")
    store.write("demo/summary/trials.parquet", b"rows")
    store.write("demo/sweep.yaml", b"name: demo")
    assert leftovers(store) == set()


def test_what_killed_and_changed_runs_leave_can_go(store: Store) -> None:
    manifest = publish_sample_rows(store)
    store.write("demo/tables/0123456789abcdef/trials.parquet", b"rows")
    stray = with_pictures(store, "demo", STRAY.id)
    store.write("demo/staging/s9/checkpoint.safetensors", b"state")
    store.write("demo/staging/s9/progress.json", b"{}")
    write_shard(store, Shard(shard_id="s9", sweep="demo", trials=(STRAY,), keep=KEEP, judging=JUDGING))
    listed = leftovers(store)
    assert listed == {
        ("tables", "demo/tables/0123456789abcdef/trials.parquet"),
        ("checkpoints", "demo/staging/s9/checkpoint.safetensors"),
        ("checkpoints", "demo/staging/s9/progress.json"),
        ("planned", "demo/planned/s9.json"),
        *(("pictures", f"{stray}{name}") for name in ("000002.png", "best.png", "final.png")),
    }
    for entry in list(garbage(store, LATER, alive_since=LATER)):
        entry.remove()
    assert leftovers(store) == set()
    assert read_manifest(store, "demo") == manifest
    assert query(store, "SELECT count(*) AS n FROM scores")["n"].to_pylist() == [141]


def test_what_is_young_stays(local: LocalStore) -> None:
    publish_sample_rows(local)
    stray = with_pictures(local, "demo", STRAY.id)
    for name in ("000002.png", "best.png"):
        age(local, stray + name, days=8)
    week_ago = time.time() - 7 * 86_400
    assert leftovers(local, week_ago) == {("pictures", stray + "000002.png"), ("pictures", stray + "best.png")}


def test_the_pictures_of_a_shard_that_may_still_go_on_stay(local: LocalStore) -> None:
    stray = with_pictures(local, "demo", STRAY.id)
    age(local, stray + "000002.png", days=8)
    local.write("demo/staging/s9/checkpoint.safetensors", b"state")
    week_ago = time.time() - 7 * 86_400
    assert leftovers(local, week_ago) == set()
    age(local, "demo/staging/s9/checkpoint.safetensors", days=8)
    assert leftovers(local, week_ago) == {("pictures", stray + "000002.png"), ("checkpoints", "demo/staging/s9/checkpoint.safetensors")}


def test_staging_goes_only_when_asked_for_and_published(store: Store) -> None:
    publish_sample_rows(store)
    stage_sample_rows(store, "demo", "s9", [STRAY])
    gone = {key.split("/")[2] for kind, key in leftovers(store, staging=True) if kind == "staging"}
    assert gone == {"s1", "s2", "s3", "d1"}
    order = [entry.key.rpartition("/")[2] for entry in garbage(store, LATER, staging=True, alive_since=LATER)]
    assert order == ["manifest.json", "embeddings.parquet", "files.parquet", "scores.parquet", "trials.parquet"] * 4
    for entry in list(garbage(store, LATER, staging=True, alive_since=LATER)):
        entry.remove()
    assert query(store, "SELECT count(*) AS n FROM trials")["n"].to_pylist() == [24]
    publish(store, gather(store, "demo", {STRAY.id}, "0" * 64))
    assert query(store, "SELECT count(*) AS n FROM trials")["n"].to_pylist() == [1]


def test_states_stay_as_long_as_their_shards_are_staged(store: Store) -> None:
    publish_sample_rows(store)
    stage_sample_rows(store, "demo", "s9", [STRAY])
    states = {shard: keys.state("demo", "l1", 200, shard) for shard in ("s1", "s9", "gone")}
    for key in states.values():
        store.write(key, b"state")
    assert leftovers(store) == {("states", states["gone"])}
    assert {key for kind, key in leftovers(store, staging=True) if kind == "states"} == {states["gone"], states["s1"]}


def test_only_the_sweeps_that_are_asked_for(store: Store) -> None:
    for sweep in ("one", "two"):
        with_pictures(store, sweep, STRAY.id)
    assert {entry.sweep for entry in garbage(store, LATER, lambda sweep: sweep != "two")} == {"one"}


def test_what_cut_off_writes_leave(local: LocalStore) -> None:
    publish_sample_rows(local)
    (local.folder / "demo" / f"{PARTIAL}0").write_bytes(b"half")
    assert leftovers(local) == {("unfinished", f"demo/{PARTIAL}0")}


@pytest.mark.parametrize("damaged", ["demo/manifest.json", "demo/staging/s1/manifest.json"])
def test_a_sweep_whose_manifest_cannot_be_read_is_named_and_left_alone_and_the_rest_goes(store: Store, damaged: str) -> None:
    publish_sample_rows(store)
    for sweep in ("demo", "other"):
        with_pictures(store, sweep, STRAY.id)
    store.write(damaged, b"{")
    skipped: list[tuple[str, StoreError]] = []
    listed = list(garbage(store, LATER, alive_since=LATER, skipped=lambda *pair: skipped.append(pair)))
    assert {entry.sweep for entry in listed} == {"other"}
    assert [sweep for sweep, _ in skipped] == ["demo"] and damaged in str(skipped[0][1])


def test_files_of_other_programs_block_nothing(store: Store) -> None:
    for key in ("demo/states/x.txt", "demo/states/a/b.safetensors", "demo/staging/x", "demo/tables/x", "demo/pictures/x", "x/y/z/w"):
        store.write(key, b"another program's")
    assert {key for _, key in leftovers(store)} == {"demo/tables/x", "demo/pictures/x"}


def test_a_sweep_under_way_is_left_alone_however_young_the_rest_may_go(store: Store) -> None:
    with_pictures(store, "demo", STRAY.id)
    store.write("demo/staging/s9/checkpoint.safetensors", b"state")
    assert list(garbage(store, LATER)) == []
    store.delete("demo/staging/s9/checkpoint.safetensors")
    write_shard(store, Shard(shard_id="s9", sweep="demo", trials=(STRAY,), keep=KEEP, judging=JUDGING))
    assert list(garbage(store, LATER)) == []
    stage_sample_rows(store, "demo", "s9", [STRAY])
    assert [entry.key for entry in garbage(store, LATER)] == ["demo/planned/s9.json"]


def test_staged_rows_stay_while_a_run_may_gather_them(store: Store) -> None:
    publish_sample_rows(store)
    assert {entry.kind for entry in garbage(store, LATER, staging=True)} == {"staging"}
    store.write("demo/staging/s9/checkpoint.safetensors", b"state")
    assert list(garbage(store, LATER, staging=True)) == []


@pytest.mark.parametrize("days", [-30, 30])
def test_a_wrong_clock_lets_no_running_shard_look_abandoned(days: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    store.write(keys.checkpoint("demo", "s1"), b"of a shard under way")
    monkeypatch.setattr("dreamsweep.results.cleanup.time.time", lambda: real() + days * 86_400)
    now = now_of(store)
    assert now <= real() + 5 and list(store.folders()) == ["demo"], "the store's clock counts, and nothing is left of the question"
    assert not list(garbage(store, now - 7 * 86_400, alive_since=now - ALIVE_SECONDS))
    assert [entry.kind for entry in garbage(store, time.time() + 60 * 86_400, alive_since=real() + 60)] == ["checkpoints"]


def test_without_the_right_to_write_this_machine_s_clock_counts(strict_s3: StrictServer, aws_settings: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ENDPOINT_URL": strict_s3.address,
        "ACCESS_KEY_ID": strict_s3.reader[0],
        "SECRET_ACCESS_KEY": strict_s3.reader[1],
    }.items():
        aws_settings.setenv(f"AWS_{name}", value)
    before = time.time()
    assert before <= now_of(open_store(f"s3://{strict_s3.bucket}/p")) <= time.time()
