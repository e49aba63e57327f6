"""What a store tells of a sweep that is being made."""

from pathlib import Path

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.results.handoff import Progress, write_progress
from dreamsweep.results.status import every_status, sweep_status
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_shards_are_made_or_run_or_wait(store: Store) -> None:
    for shard in "abcd":
        store.write(f"t/planned/{shard}.json", b"{}")
    store.write("t/planned/0.image", b"a picture is no shard")
    store.write("t/staging/a/manifest.json", b"{}")
    progress = Progress(shard_id="b", engine="strokes", iteration=3, iterations=9, trials=2, best=0.5, iterations_per_second=1.5)
    write_progress(store, "t", progress)
    status = sweep_status(store, "t")
    assert (status.staged, status.running, status.waiting) == (1, (progress,), 2)
    store.write("t/staging/b/manifest.json", b"{}")
    assert sweep_status(store, "t").staged == 2 and not sweep_status(store, "t").running


def test_shards_that_were_given_up_are_told_apart(store: Store) -> None:
    store.write("t/planned/a.json", b"{}")
    write_progress(store, "t", Progress("a", "strokes", 3, 9, 2, None, 1.5, "given up"))
    status = sweep_status(store, "t")
    assert (status.running, status.waiting, status.given_up, status.manifest) == ((), 0, 1, None)


def test_what_is_published_is_told(store: Store) -> None:
    publish_sample(store, name="t")
    manifest = sweep_status(store, "t").manifest
    assert manifest and manifest.done == 12


def test_every_sweep_is_told_of(store: Store) -> None:
    assert [*every_status(store)] == []
    for name in ("t", "u"):
        store.write(f"{name}/sweep.yaml", b"name: t")
    store.write("t/planned/a.json", b"{}")
    store.write("something-else/notes.txt", b"")
    assert [(status.sweep, status.waiting) for status in every_status(store)] == [("t", 1), ("u", 0)]


def test_a_sweep_that_has_only_begun_is_known(store: Store) -> None:
    store.write("t/sweep.yaml", b"name: t")
    assert sweep_status(store, "t").staged == 0
    with pytest.raises(StoreError, match=r"sweep 'u': store .* knows nothing of it"):
        sweep_status(store, "u")


def test_a_name_that_is_nearly_right_is_told(store: Store) -> None:
    publish_sample(store, name="nightly-2026-11-20")
    with pytest.raises(StoreError, match="did you mean 'nightly-2026-11-20'"):
        sweep_status(store, "nightly-2026-11-2")
