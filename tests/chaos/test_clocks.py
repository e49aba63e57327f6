"""Runs on a machine whose clock jumps, forwards and backwards by up to a year, each time that it is looked at."""

from pathlib import Path

from dreamsweep.results.manifest import read_manifest
from dreamsweep.store import Store, open_store
from dreamsweep.tables.parquet import read_parquet
from tests.chaos.harness import Runs, differences


def test_a_run_whose_clock_jumps_and_that_is_killed_leaves_what_an_undisturbed_one_leaves(
    some_runs: Runs, calm: Store, tmp_path: Path
) -> None:
    store = str(tmp_path / "jumping")
    some_runs.kill(some_runs.start(store, clock=0), after=0.4)
    assert some_runs.run(store, clock=1) == 0
    assert differences(open_store(store), calm) == []
    times = ends_of_trials(Path(store))
    assert max(times) - min(times) > 3_000, "the clock did jump"


def ends_of_trials(folder: Path) -> list[float]:
    """Returns the times at which trials ended, in seconds since 1970."""
    store = open_store(str(folder))
    manifest = read_manifest(store, "t")
    assert manifest
    return [moment.timestamp() for key in manifest.tables["trials"] for moment in read_parquet(store.read(key))["finished_at"].to_pylist()]
