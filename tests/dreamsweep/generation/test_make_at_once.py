"""Shards made in several processes: what they leave, what a death, a stop and a kill of the whole cost, and how many at once pay."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamsweep.compute.images import decode_png
from dreamsweep.errors import DeviceError, UserError
from dreamsweep.generation import make_at_once
from dreamsweep.generation.events import Finished, ShardDone, ShardLost, ShardProgress, SweepEvent
from dreamsweep.generation.make_at_once import ATTEMPTS, PAYS_SECONDS, PROCESS_BYTES, devices_for
from dreamsweep.generation.make_here import SweepStoppedError
from dreamsweep.generation.run_sweep import IncompleteSweepError, run_sweep
from dreamsweep.report.query import query
from dreamsweep.results.manifest import done_shards
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, open_store
from tests.dreamsweep.generation.sweeps import small_sweep

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_weights")]
TOLERANCE = 2 / 255
"""Largest difference of a pixel between processes of different numbers of threads, which sum in another order."""


def sweep(**changes: Any) -> Sweep:
    return small_sweep(shard_size=1, **changes)


def run(store: Store, at_once: int, **changes: Any) -> list[SweepEvent]:
    return list(run_sweep(sweep(**changes), store, device="cpu", at_once=at_once))


def kinds(events: list[SweepEvent]) -> dict[str, int]:
    names = [type(event).__name__ for event in events]
    return {name: names.count(name) for name in ("ShardDone", "ShardLost", "ShardFailed", "Finished")}


def workers() -> list[int]:
    """Returns the process numbers of this process's workers, and not of servers that other tests have started."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    children = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    return [child for child in children if b"generation.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def checkpoints(store: Store) -> int:
    return sum(1 for key in store.keys("t/") if "checkpoint" in key)


def test_two_at_once_leave_what_one_after_the_other_leaves(tmp_path: Path) -> None:
    single, double = (open_store(str(tmp_path / name)) for name in ("one", "two"))
    run(single, 1)
    events = run(double, 2)
    assert kinds(events) == {"ShardDone": 4, "ShardLost": 0, "ShardFailed": 0, "Finished": 1}
    both_running = {event.progress.shard_id for event in events if isinstance(event, ShardProgress)}
    assert len(both_running) == 4 and workers() == []
    assert [event.done for event in events if isinstance(event, ShardDone)] == [1, 2, 3, 4]
    columns = "trial_id, iteration, guide, judge"
    rows = [query(store, f"SELECT {columns} FROM scores ORDER BY ALL").to_pydict() for store in (single, double)]
    assert rows[0]["trial_id"] == rows[1]["trial_id"] and rows[0]["iteration"] == rows[1]["iteration"]
    keys = [key for key in single.keys("t/pictures/") if key.endswith(".png")]
    assert keys == [key for key in double.keys("t/pictures/") if key.endswith(".png")]
    for key in keys:
        mine, other = (decode_png(store.read(key)).numpy() for store in (single, double))
        assert np.abs(mine - other).max() <= TOLERANCE


def killing(events: Iterator[SweepEvent], times: int) -> Iterator[SweepEvent]:
    """Passes events on, and kills a worker at the progress of a shard, so many times."""
    for event in events:
        if isinstance(event, ShardProgress) and event.progress.iteration and times:
            os.kill(workers()[0], signal.SIGKILL)
            times -= 1
        yield event


def test_a_shard_whose_process_is_killed_is_made_by_another_and_one_fewer_runs(tmp_path: Path) -> None:
    events = list(killing(run_sweep(sweep(), open_store(str(tmp_path)), device="cpu", at_once=2), times=1))
    assert kinds(events) == {"ShardDone": 4, "ShardLost": 1, "ShardFailed": 0, "Finished": 1}
    (lost,) = (event for event in events if isinstance(event, ShardLost))
    assert lost.attempt == 2 and "was killed, as where memory runs out: from now on, one shard fewer" in lost.reason
    assert isinstance(events[-1], Finished) and events[-1].manifest.done == 4


def test_a_shard_that_kills_its_processes_is_given_up_and_the_others_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doomed = ""
    begin = make_at_once._Worker.begin

    def begin_or_die(worker: Any, shard: Any) -> None:
        nonlocal doomed
        doomed = doomed or shard.shard_id
        begin(worker, shard)
        if shard.shard_id == doomed:
            worker.process.kill()

    monkeypatch.setattr(make_at_once._Worker, "begin", begin_or_die)
    store, events = open_store(str(tmp_path)), list[SweepEvent]()
    with pytest.raises(IncompleteSweepError, match=rf"1 shard failed, 3 of 4 trials are published; .* was killed.*\({ATTEMPTS} times\)"):
        events.extend(event for event in run_sweep(sweep(), store, device="cpu", at_once=2))
    assert sum(1 for _ in done_shards(store, "t")) == 3


def test_told_to_stop_every_process_saves_a_checkpoint_and_the_next_run_goes_on(tmp_path: Path) -> None:
    store, seen = open_store(str(tmp_path)), set[str]()
    events = run_sweep(sweep(iterations=20_000), store, device="cpu", at_once=2, stop=lambda: len(seen) == 2)
    with pytest.raises(SweepStoppedError):
        seen.update(event.progress.shard_id for event in events if isinstance(event, ShardProgress) and event.progress.iteration)
    assert checkpoints(store) == 2 and workers() == []

    again = run_sweep(sweep(iterations=20_000), store, device="cpu", at_once=2)
    first: dict[str, str] = {}
    while len(first) < 2:
        progress = next(event.progress for event in again if isinstance(event, ShardProgress))
        first.setdefault(progress.shard_id, progress.status)
    assert first == dict.fromkeys(seen, "resumed")
    again.close()  # type: ignore[attr-defined]
    assert workers() == []  # of a caller that stops iterating


UNGUARDED = """
import dreamsweep as ds
strokes = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
sweep = {"name": "t", "prompts": ["a red heart", "a rocket"], "engines": [strokes], "iterations": ITERATIONS, "shard_size": 1}
print("begun", flush=True)
print(ds.run(sweep, STORE, at_once=2, progress=False).trials().num_rows)
"""


def script(folder: Path, iterations: int) -> "subprocess.Popen[str]":
    """Starts a script of two shards at once, without `if __name__ == "__main__"`, as in a notebook."""
    path = folder / "script.py"
    path.write_text(UNGUARDED.replace("ITERATIONS", str(iterations)).replace("STORE", repr(str(folder / "runs"))))
    return subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True)


def test_a_script_without_a_guard_is_run_once(tmp_path: Path) -> None:
    out, _ = script(tmp_path, 3).communicate(timeout=600)
    assert out == "begun\n2\n"


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_killed_it_leaves_no_process_behind(tmp_path: Path) -> None:
    process, store = script(tmp_path, 100_000), open_store(str(tmp_path / "runs"))
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(lambda: len(tasks.read_text().split()) == 2)
    children = tasks.read_text().split()
    until(lambda: len([key for key in store.keys("t/pictures/") if key.endswith(".png")]) >= 2)
    process.kill()
    process.communicate()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert checkpoints(store) == 2  # each saved one before it ended


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.compute.threads.usable_cpus", lambda: 4)
    monkeypatch.setattr(make_at_once, "memory", lambda: 100 * PROCESS_BYTES)
    monkeypatch.delenv("DREAMSWEEP_SHARDS_AT_ONCE", raising=False)


@pytest.mark.usefixtures("four_cpus")
def test_as_many_as_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_for("cpu", None, PAYS_SECONDS) == ["cpu"] * 4
    assert devices_for("cpu", None, PAYS_SECONDS - 1) == ["cpu"]  # soon over
    assert devices_for("cpu", None, None) == ["cpu"]  # published weights
    assert devices_for("cpu", 3, None) == ["cpu"] * 3
    monkeypatch.setattr(make_at_once, "memory", lambda: 3 * PROCESS_BYTES - 1)
    assert devices_for("cpu", None, PAYS_SECONDS) == ["cpu"] * 2
    monkeypatch.setattr(make_at_once, "memory", lambda: 0)
    assert devices_for("cpu", None, PAYS_SECONDS) == ["cpu"]
    monkeypatch.setenv("DREAMSWEEP_SHARDS_AT_ONCE", "2")
    monkeypatch.setattr(make_at_once, "memory", lambda: 100 * PROCESS_BYTES)
    assert devices_for("cpu", None, PAYS_SECONDS) == ["cpu"]  # one of two already
    monkeypatch.setenv("DREAMSWEEP_SHARDS_AT_ONCE", "many")
    with pytest.raises(UserError, match="'many' is no count"):
        devices_for("cpu", None, PAYS_SECONDS)


@pytest.mark.usefixtures("four_cpus")
def test_a_process_for_each_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices_for("auto", None, None) == ["cuda:0", "cuda:1"]
    assert devices_for("cuda", 3, None) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_for("cuda", 1, None) == ["cuda"]
    assert devices_for("cuda:1", None, PAYS_SECONDS) == ["cuda:1"]
    assert devices_for("cuda:1", 2, None) == ["cuda:1"] * 2


@pytest.mark.usefixtures("four_cpus")
def test_on_windows_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.compute.devices.resolve_device", lambda _: "cpu")
    monkeypatch.setattr(os, "name", "nt")
    assert devices_for("cpu", None, PAYS_SECONDS) == ["cpu"]
    with pytest.raises(UserError, match="--at-once 2: Windows"):
        devices_for("cpu", 2, None)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="'tpu' is not there"):
        devices_for("tpu", 2, None)


def test_memory_is_the_machine_s() -> None:
    assert 2**29 < make_at_once.memory() < 2**45


def test_the_last_shard_has_the_threads_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads a process would draw other last bits than one: a run that finds one shard left must not give it both."""
    numbers: list[str] = []
    start = subprocess.Popen

    def note(command: list[str], **more: Any) -> Any:
        numbers.append(more["env"]["DREAMSWEEP_SHARDS_AT_ONCE"])
        return start(command, **more)

    store, strokes = open_store(str(tmp_path)), [{"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}]
    run(store, 1, prompts=["a red heart"], engines=strokes)
    monkeypatch.setattr(subprocess, "Popen", note)
    events = run(store, 2, prompts=["a red heart", "a green apple"], engines=strokes)
    assert kinds(events)["ShardDone"] == 1 and numbers == ["2"]
