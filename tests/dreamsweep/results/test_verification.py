"""Verification: what is whole passes, each damage is named with its object, and a repair leaves nothing damaged behind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dreamsweep.compute.images import png_bytes
from dreamsweep.errors import StoreError
from dreamsweep.results.manifest import Manifest, done_shards, published_manifest, read_manifest, read_shard_manifest, stage_shard
from dreamsweep.results.publishing import publish_staged, publish_whole
from dreamsweep.results.repair import Repaired, repair
from dreamsweep.results.verification import Fault, verify
from dreamsweep.store import keys
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.contents import content_of
from dreamsweep.tables.rows import TrialFile, shard_tables
from tests.dreamsweep.sample_rows import sample_rows, sample_trial

SHARDS = {"a": [sample_trial(seed=0), sample_trial(seed=1)], "b": [sample_trial(seed=2)]}
IDS = [trial.id for trials in SHARDS.values() for trial in trials]
SPEC = "c" * 64
PNG = png_bytes(torch.zeros(3, 8, 8, dtype=torch.uint8), "{}")


def stage(store: LocalStore, shard: str, names: tuple[str, ...] = ("best.png", "final.png", "film.webp")) -> None:
    """Stages a shard with files of its trials, as a run does. Their rows name further pictures, which are written as well."""
    rows = [sample_rows(store, "demo", shard, trial) for trial in SHARDS[shard]]
    files = []
    for trial in SHARDS[shard]:
        for name in (*names, "strokes.svg", *(keys.snapshot_name(at) for at in (2, 4, 6))):
            store.write(keys.picture("demo", trial.id, name), PNG)
            files.append(TrialFile(trial.id, name, content_of(PNG)))
    stage_shard(store, "demo", shard, shard_tables("demo", [r for r, _ in rows], [s for _, s in rows], files))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "runs")
    for shard in SHARDS:
        stage(store, shard)
    publish_whole(store, "demo", IDS, SPEC)
    return store


def faults(store: LocalStore) -> list[Fault]:
    return [fault for checked in verify(store, "demo") for fault in checked.faults]


def flipped(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {"cut": lambda data: data[: len(data) // 2], "flipped": flipped, "empty": lambda data: b""}


def test_what_is_whole_passes(store: LocalStore) -> None:
    checked = list(verify(store, "demo"))
    assert not any(source.faults for source in checked)
    assert [source.source for source in checked[:3]] == ["manifest", "a", "b"] and len(checked) == checked[0].sources == 4
    # 1 manifest, 4 tables of each shard and of the part, 7 files of each trial
    assert sum(source.objects for source in checked) == 1 + 3 * 4 + 3 * 7


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("table", ["trials", "scores", "embeddings", "files"])
def test_a_damaged_gathered_table_is_named_and_written_again_from_staged_rows(store: LocalStore, table: str, damage: str) -> None:
    before = published_manifest(store, "demo")
    (key,) = before.tables[table]
    store.write(key, DAMAGES[damage](store.read(key)))
    (fault,) = faults(store)
    assert (fault.key, fault.kind, fault.state) == (key, "table", "damaged")
    assert repair(store, "demo", [fault]) == Repaired(True, (), ())
    assert not faults(store)
    after = published_manifest(store, "demo")
    assert after.model_copy(update={"tables": {}}) == before.model_copy(update={"tables": {}}) and not after.files & before.files


def test_a_bit_that_no_page_checksum_covers_is_noticed(store: LocalStore) -> None:
    (key,) = published_manifest(store, "demo").tables["trials"]
    data = store.read(key)
    at = data.rindex(b"pandas") if b"pandas" in data else len(data) - 40  # in the footer
    store.write(key, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert [fault.key for fault in faults(store)] == [key]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2, "tables": {}}'])
def test_an_invalid_manifest_is_written_again_from_staged_shards_and_stored_tables(store: LocalStore, content: bytes) -> None:
    before = published_manifest(store, "demo")
    for key in list(store.keys("demo/staging/b/")):
        store.delete(key)
    store.write("demo/manifest.json", content)
    (fault,) = faults(store)
    assert (fault.key, fault.kind) == ("demo/manifest.json", "manifest")
    assert repair(store, "demo", [fault]).published
    after = published_manifest(store, "demo")
    assert (after.trials, after.scores, after.pictures_sha256) == (3, before.scores, before.pictures_sha256)
    assert not faults(store)


def test_an_invalid_manifest_with_nothing_behind_it_goes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("demo/manifest.json", b"{")
    assert repair(store, "demo", faults(store)) == Repaired(False, (), ())
    assert read_manifest(store, "demo") is None


def test_a_manifest_of_a_newer_format_is_no_damage(store: LocalStore) -> None:
    store.write("demo/manifest.json", json.dumps({"format": 99}).encode())
    with pytest.raises(StoreError, match="written by a newer dreamsweep"):
        faults(store)


@pytest.mark.parametrize("damage", [*DAMAGES, "missing"])
@pytest.mark.parametrize("name", ["manifest.json", "scores.parquet", "files.parquet"])
def test_a_damaged_staged_shard_is_marked_to_be_made_again(store: LocalStore, name: str, damage: str) -> None:
    key = f"demo/staging/a/{name}"
    if damage == "missing":
        if name == "manifest.json":
            pytest.skip("a shard without a manifest is not staged")
        store.delete(key)
    else:
        store.write(key, DAMAGES[damage](store.read(key)))
    (fault,) = faults(store)
    assert (fault.key, fault.kind, fault.owner) == (key, "staged", "a")
    before = published_manifest(store, "demo")
    assert repair(store, "demo", [fault]) == Repaired(False, ("a",), ())
    assert published_manifest(store, "demo") == before and not faults(store)
    assert [shard.trial_ids for shard in done_shards(store, "demo")] == [(), (IDS[2],)]
    stage(store, "a")  # as the next run does
    shard = read_shard_manifest(store, "demo", "a")
    assert shard and shard.revision == 2 and "demo/staging/a/scores-2.parquet" in shard.files
    assert publish_whole(store, "demo", IDS, SPEC).trials == 3 and not faults(store)


def test_staged_files_that_a_manifest_names_are_not_touched_by_a_shard_made_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    stage(store, "a")
    manifest = publish_staged(store, "demo", IDS, SPEC)
    assert manifest
    named = {key: store.read(key) for key in manifest.files}
    store.delete(keys.picture("demo", IDS[0], "best.png"))
    assert repair(store, "demo", faults(store)) == Repaired(False, ("a",), ())
    stage(store, "a")
    assert named == {key: store.read(key) for key in named}


@pytest.mark.parametrize("name", ["best.png", "final.png", "film.webp", "000004.png", "strokes.svg"])
@pytest.mark.parametrize("damage", [*DAMAGES, "missing"])
def test_a_damaged_file_of_a_trial_has_its_shard_made_again(store: LocalStore, name: str, damage: str) -> None:
    key = keys.picture("demo", IDS[1], name)
    if damage == "missing":
        store.delete(key)
    else:
        store.write(key, DAMAGES[damage](store.read(key)))
    (fault,) = faults(store)
    assert (fault.key, fault.kind, fault.owner) == (key, "picture", IDS[1])
    assert fault.state == ("missing" if damage == "missing" else "damaged")
    assert repair(store, "demo", [fault]) == Repaired(False, ("a",), ())
    assert [fault.key for fault in faults(store)] == [key], "the published rows name it until the shard is made again"
    stage(store, "a")
    publish_whole(store, "demo", IDS, SPEC)
    assert not faults(store)


def test_files_of_trials_that_are_no_longer_staged_are_checked_by_the_published_rows(store: LocalStore) -> None:
    for key in list(store.keys("demo/staging/")):
        store.delete(key)
    store.write(keys.picture("demo", IDS[0], "best.png"), b"no picture")
    (fault,) = faults(store)
    assert repair(store, "demo", [fault]) == Repaired(False, (), (IDS[0],))


def test_stores_of_earlier_versions_are_checked_as_far_as_they_tell(store: LocalStore) -> None:
    manifest = published_manifest(store, "demo")
    for key in [*store.keys("demo/staging/"), *(key for key in store.keys("demo/tables/") if key.endswith((".json", "files.parquet")))]:
        store.delete(key)
    older: Manifest = manifest.model_copy(update={"tables": {k: v for k, v in manifest.tables.items() if k != "files"}})
    store.write("demo/manifest.json", older.model_dump_json().encode())
    assert not faults(store)
    best, final, film = (keys.picture("demo", IDS[0], name) for name in ("best.png", "final.png", "film.webp"))
    store.write(best, flipped(PNG))
    store.write(final, PNG[:-20])
    store.delete(film)
    assert {fault.key: fault.state for fault in faults(store)} == {best: "damaged", final: "damaged", film: "missing"}


def test_a_sweep_that_is_not_there(store: LocalStore) -> None:
    for name in ("dem", "..", "a/b"):
        with pytest.raises(StoreError, match="has nothing of a sweep"):
            list(verify(store, name))
