"""`dreamsweep run` as a process of its own, for tests that stop it, kill it, or read what it prints."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

SWEEP = {
    "name": "t",
    "prompts": ["a red heart", "a green apple", "a rocket"],
    "engines": [
        {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2},
        {"engine": "dalle", "image_size": 32, "cutouts": 2},
    ],
    "iterations": 20,
    "snapshot_every": 5,
    "shard_size": 2,
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts the command in a session of its own, on the sweep above."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "XDG_", "DREAMSWEEP_STORE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    started = []

    def run(*arguments: str, file: str = "sweep.yaml") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "dreamsweep", "run", file, *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path, start_new_session=True, preexec_fn=_listens)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        with process:  # closes its pipes
            pass


def _listens() -> None:
    """Has Ctrl-C heard, even where the tests run in the background, whose children do not hear it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
