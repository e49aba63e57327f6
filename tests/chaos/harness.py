"""Runs of a small sweep that can be killed at any moment, and the comparison of what two stores hold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dreamsweep.results.manifest import done_shards, published_manifest, read_manifest
from dreamsweep.results.verification import verify
from dreamsweep.store import Store
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.parquet import read_parquet

ROOT = Path(__file__).parents[2]
SWEEP: dict[str, Any] = {
    "name": "t",
    "prompts": ["a red heart", "a rocket", "a green apple"],
    "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}],
    "iterations": 6,
    "snapshot_every": 2,
    "shard_size": 1,
}
EAGER = {"DREAMSWEEP_CHECKPOINT_SECONDS": "0", "DREAMSWEEP_PUBLISH_SECONDS": "0", "DREAMSWEEP_RETRY_SECONDS": "0.05"}
"""A checkpoint at each iteration and a publication after each shard: as many moments to be killed at as there can be."""
OF_TIME = {"seconds", "iterations_per_second", "finished_at", "elapsed", "warnings"}
"""Columns that differ between two runs; a warning says that a checkpoint was damaged."""


class Runs:
    """Runs of sweeps, each in a process of its own that is forked from one that has everything imported."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.codes: dict[int, int] = {}

    def start(self, store: str, sweep: dict[str, Any] = SWEEP, **request: Any) -> int:
        """Starts a run; returns its process id."""
        environment = {**EAGER, **request.pop("environment", {})}
        line = json.dumps({"store": store, "sweep": sweep, "environment": environment, **request})
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        while " " in (answer := self.process.stdout.readline().strip()):
            self._note(answer)
        return int(answer)

    def wait(self, pid: int) -> int:
        """Waits for a run's end; returns its exit code, or the negative number of the signal that killed it."""
        assert self.process.stdout
        while pid not in self.codes:
            self._note(self.process.stdout.readline().strip())
        return self.codes.pop(pid)

    def run(self, store: str, **request: Any) -> int:
        """Runs a sweep to its end; returns its exit code."""
        return self.wait(self.start(store, **request))

    def kill(self, pid: int, after: float) -> bool:
        """Kills a run after so many seconds; returns whether it was still alive."""
        time.sleep(after)
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"kill": pid}) + "\n")  # by its parent, which knows whether the id is still its own
        self.process.stdin.flush()
        return self.wait(pid) == -signal.SIGKILL

    def _note(self, answer: str) -> None:
        pid, _, code = answer.partition(" ")
        if not code:
            raise AssertionError("the process that forks has ended")
        self.codes[int(pid)] = int(code)


@contextmanager
def runs(errors: Path, **environment: str) -> Iterator[Runs]:
    """Starts the process that forks; what runs say of failures goes to a file."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    with errors.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=settings,
        )  # fmt: skip
        try:
            assert process.stdout and process.stdout.readline() == "ready\n", errors.read_text()
            yield Runs(process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(60)
            assert process.stdout
            process.stdout.close()


def differences(store: Store, calm: Store, sweep: str = "t", repaired: bool = False) -> list[str]:
    """Compares two stores bit for bit, times left out: what is lost, doubled, torn or other in the first one.

    The tables of a `repaired` sweep lie in another folder, which its manifest names.
    """
    lines = [f"{fault.state}: {fault.key}" for checked in verify(store, sweep) for fault in checked.faults]
    mine, other = (published_manifest(each, sweep) for each in (store, calm))
    if mine.model_copy(update={"tables": {}}) != other.model_copy(update={"tables": {}}) or (mine != other and not repaired):
        lines.append("the manifests differ")
    pictures, expected = ({key: each.read(key) for key in each.keys(f"{sweep}/pictures/")} for each in (store, calm))
    lines += [f"lost: {key}" for key in expected.keys() - pictures.keys()]
    lines += [f"nobody needs: {key}" for key in pictures.keys() - expected.keys()]
    lines += [f"other pixels: {key}" for key, data in expected.items() if pictures.get(key, data) != data]
    for table in ("trials", "scores", "embeddings", "files"):
        if rows(store, sweep, table) != rows(calm, sweep, table):
            lines.append(f"other rows: {table}")
    held = [trial for shard in done_shards(store, sweep) for trial in shard.trial_ids]
    if len(set(held)) < len(held):
        lines.append("a trial is staged twice")
    return lines


def rows(store: Store, sweep: str, table: str) -> list[str]:
    """Returns the published rows of a table, sorted, without their times."""
    manifest = read_manifest(store, sweep)
    assert manifest
    read = [read_parquet(store.read(key)) for key in manifest.tables[table]]
    plain = [row for part in read for row in part.drop_columns([name for name in part.column_names if name in OF_TIME]).to_pylist()]
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in plain)


def undisturbed(some: Runs, folder: Path, sweep: dict[str, Any] = SWEEP) -> LocalStore:
    """Runs the sweep without a disturbance; returns its store."""
    assert some.run(str(folder), sweep=sweep) == 0
    return LocalStore(folder)
