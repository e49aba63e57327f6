"""What the tests of faults share: the process that forks their runs, and a store that nothing has disturbed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamsweep.store.local import LocalStore
from tests.chaos.harness import Runs, runs, undisturbed


@pytest.fixture(scope="session")
def chaos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="session")
def some_runs(chaos_folder: Path, _tiny_weights: Path) -> Iterator[Runs]:
    """Runs with weights of a few kilobytes."""
    with runs(chaos_folder / "errors.txt", DREAMSWEEP_STARTER_WEIGHTS=str(_tiny_weights)) as process:
        yield process


@pytest.fixture(scope="session")
def calm(some_runs: Runs, chaos_folder: Path) -> LocalStore:
    """A store after a run that nothing disturbed."""
    return undisturbed(some_runs, chaos_folder / "calm")
