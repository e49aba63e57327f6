"""What can go and what stays; that whatever goes, a reader and a rerun find what they need."""

import os
import time
from pathlib import Path

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.expand import Shard
from dreamsweep.garbage import garbage
from dreamsweep.manifest import gather, publish, read_manifest
from dreamsweep.planned import write_shard
from dreamsweep.query import query
from dreamsweep.store import Store, open_store
from dreamsweep.store.local import PARTIAL, LocalStore
from tests.dreamsweep.made import made_shard, made_sweep, made_trial

LATER = time.time() + 3600
"""Everything was written before."""
STRAY = made_trial(seed=77)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs") if request.param == "local" else f"s3://{request.getfixturevalue('s3_bucket')}/p")


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "runs")


def found(store: Store, before: float = LATER, staging: bool = False) -> set[tuple[str, str]]:
    return {(one.kind, one.key) for one in garbage(store, before, staging=staging, alive_since=before)}


def age(store: LocalStore, key: str, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(store.folder / key, (then, then))


def with_pictures(store: Store, sweep: str, trial: str) -> str:
    for name in ("000002.png", "best.png", "final.png"):
        store.write(f"{sweep}/pictures/{trial}/{name}", b"pixels", "image/png")
    return f"{sweep}/pictures/{trial}/"


def test_nothing_that_a_manifest_or_a_staged_shard_names_can_go(store: Store) -> None:
    made_sweep(store)
    made_shard(store, "waits", "s1", [STRAY])
    (ids,) = [query(store, "SELECT trial_id FROM trials")["trial_id"].to_pylist()]
    for trial in ids:
        with_pictures(store, "demo", trial)
    with_pictures(store, "waits", STRAY.id)
    store.write("demo/summary/contact-sheet.png", b"pixels")
    store.write("demo/sweep.yaml", b"name: demo")
    assert found(store) == set()


def test_what_killed_and_changed_runs_leave_can_go(store: Store) -> None:
    manifest = made_sweep(store)
    store.write("demo/tables/0123456789abcdef/trials.parquet", b"rows")
    stray = with_pictures(store, "demo", STRAY.id)
    store.write("demo/staging/s9/checkpoint.safetensors", b"state")
    store.write("demo/staging/s9/progress.json", b"{}")
    write_shard(store, Shard(shard_id="s9", sweep="demo", trials=(STRAY,)))
    told = found(store)
    assert told == {
        ("tables", "demo/tables/0123456789abcdef/trials.parquet"),
        ("checkpoints", "demo/staging/s9/checkpoint.safetensors"),
        ("checkpoints", "demo/staging/s9/progress.json"),
        ("planned", "demo/planned/s9.json"),
        *(("pictures", f"{stray}{name}") for name in ("000002.png", "best.png", "final.png")),
    }
    for one in list(garbage(store, LATER, alive_since=LATER)):
        one.remove()
    assert found(store) == set()
    assert read_manifest(store, "demo") == manifest
    assert query(store, "SELECT count(*) AS n FROM scores")["n"].to_pylist() == [141]


def test_what_is_young_stays(local: LocalStore) -> None:
    made_sweep(local)
    stray = with_pictures(local, "demo", STRAY.id)
    for name in ("000002.png", "best.png"):
        age(local, stray + name, days=8)
    week_ago = time.time() - 7 * 86_400
    assert found(local, week_ago) == {("pictures", stray + "000002.png"), ("pictures", stray + "best.png")}


def test_the_pictures_of_a_shard_that_may_still_go_on_stay(local: LocalStore) -> None:
    stray = with_pictures(local, "demo", STRAY.id)
    age(local, stray + "000002.png", days=8)
    local.write("demo/staging/s9/checkpoint.safetensors", b"state")
    week_ago = time.time() - 7 * 86_400
    assert found(local, week_ago) == set()
    age(local, "demo/staging/s9/checkpoint.safetensors", days=8)
    assert found(local, week_ago) == {("pictures", stray + "000002.png"), ("checkpoints", "demo/staging/s9/checkpoint.safetensors")}


def test_staging_goes_only_when_asked_for_and_published(store: Store) -> None:
    made_sweep(store)
    made_shard(store, "demo", "s9", [STRAY])
    gone = {key.split("/")[2] for kind, key in found(store, staging=True) if kind == "staging"}
    assert gone == {"s1", "s2", "s3", "d1"}
    order = [one.key.rpartition("/")[2] for one in garbage(store, LATER, staging=True, alive_since=LATER)]
    assert order == ["manifest.json", "scores.parquet", "trials.parquet"] * 4
    for one in list(garbage(store, LATER, staging=True, alive_since=LATER)):
        one.remove()
    assert query(store, "SELECT count(*) AS n FROM trials")["n"].to_pylist() == [24]
    publish(store, gather(store, "demo", {STRAY.id}, "0" * 64))
    assert query(store, "SELECT count(*) AS n FROM trials")["n"].to_pylist() == [1]


def test_only_the_sweeps_that_are_asked_for(store: Store) -> None:
    for sweep in ("one", "two"):
        with_pictures(store, sweep, STRAY.id)
    assert {one.sweep for one in garbage(store, LATER, lambda sweep: sweep != "two")} == {"one"}


def test_what_cut_off_writes_leave(local: LocalStore) -> None:
    made_sweep(local)
    (local.folder / "demo" / f"{PARTIAL}0").write_bytes(b"half")
    assert found(local) == {("unfinished", f"demo/{PARTIAL}0")}


def test_beside_a_manifest_that_cannot_be_read_nothing_goes(store: Store) -> None:
    with_pictures(store, "demo", STRAY.id)
    store.write("demo/manifest.json", b"{")
    with pytest.raises(StoreError, match="is no manifest of dreamsweep"):
        found(store)


def test_a_sweep_under_way_is_left_alone_however_young_the_rest_may_go(store: Store) -> None:
    with_pictures(store, "demo", STRAY.id)
    store.write("demo/staging/s9/checkpoint.safetensors", b"state")
    assert list(garbage(store, LATER)) == []
    store.delete("demo/staging/s9/checkpoint.safetensors")
    write_shard(store, Shard(shard_id="s9", sweep="demo", trials=(STRAY,)))
    assert list(garbage(store, LATER)) == []
    made_shard(store, "demo", "s9", [STRAY])
    assert [one.key for one in garbage(store, LATER)] == ["demo/planned/s9.json"]


def test_staged_rows_stay_while_a_run_may_gather_them(store: Store) -> None:
    made_sweep(store)
    assert {one.kind for one in garbage(store, LATER, staging=True)} == {"staging"}
    store.write("demo/staging/s9/checkpoint.safetensors", b"state")
    assert list(garbage(store, LATER, staging=True)) == []
