"""Runs that are killed at random moments, and disks that fill up: what is left in the end is what an undisturbed run leaves."""

import random
from pathlib import Path

import pytest

from dreamsweep.store import Store, open_store
from tests.chaos.harness import Runs, differences


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(1, 5))])
def test_a_run_that_is_killed_again_and_again_loses_nothing(seed: int, some_runs: Runs, calm: Store, tmp_path: Path) -> None:
    draw, store = random.Random(seed), str(tmp_path / "torn")
    killed = 0
    for _ in range(5):
        killed += some_runs.kill(some_runs.start(store), after=draw.uniform(0.02, 0.8))
    assert killed and some_runs.run(store) == 0
    assert differences(open_store(store), calm) == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(1, 3))])
def test_two_runs_at_once_of_which_one_is_killed_leave_what_one_leaves(seed: int, some_runs: Runs, calm: Store, tmp_path: Path) -> None:
    store, draw = str(tmp_path / "shared"), random.Random(seed)
    both = [some_runs.start(store) for _ in range(2)]
    some_runs.kill(both[0], after=draw.uniform(0.1, 0.8))
    assert some_runs.wait(both[1]) == 0 and some_runs.run(store) == 0
    assert differences(open_store(store), calm) == []


FULL = [("ENOSPC", 20), *(pytest.param("ENOSPC", writes, marks=pytest.mark.chaos) for writes in (1, 5, 9, 14, 31, 40))]


@pytest.mark.parametrize(("error", "writes"), [*FULL, *(pytest.param("EROFS", writes, marks=pytest.mark.chaos) for writes in (9, 20))])
def test_a_disk_that_is_full_or_can_only_be_read_stops_a_run_and_tears_nothing(
    error: str, writes: int, some_runs: Runs, calm: Store, tmp_path: Path
) -> None:
    store = str(tmp_path / "full")
    assert some_runs.run(store, writes=writes, error=error) in (1, 2)
    assert some_runs.run(store) == 0
    assert differences(open_store(store), calm) == []
