"""`dreamsweep run` as people run it: a process without Prefect, stopped and killed at bad moments."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dreamsweep.results.manifest import read_manifest
from dreamsweep.store import Store, open_store
from tests.dreamsweep.cli.command import SWEEP, Start, start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_weights")]

__all__ = ["start"]


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[str]", seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def an_undisturbed_run(start: Start, folder: Path) -> Store:
    """Is quiet and says where things are; returns its store."""
    process = start()
    out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[0] == "t: starting…"
    assert "t: 6 trials done" in out
    places = {line[2:17].strip(): folder / line[17:] for line in out.splitlines() if line.startswith("  ")}
    assert all(places[name].exists() for name in ("contact sheet", "curves", "pictures", "trials"))
    assert not (folder / ".prefect").exists()
    return open_store(str(folder / "runs"))


def test_killed_at_three_moments_it_leaves_what_an_undisturbed_run_leaves(start: Start, tmp_path: Path) -> None:
    calm, torn = an_undisturbed_run(start, tmp_path), open_store(str(tmp_path / "torn"))
    moments: list[Callable[[], object]] = [
        lambda: list(torn.keys("t/pictures/")),  # in the midst of the first shard
        lambda: len([key for key in torn.keys("t/staging/") if key.endswith("manifest.json")]) >= 2,  # between shards
        lambda: len([key for key in torn.keys("t/staging/") if key.endswith("manifest.json")]) >= 4,  # while it is published
    ]
    for moment in moments:
        process = start("--store", "torn")
        wait_for(moment, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start("--store", "torn")
    _, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (0, "")
    assert torn.read("t/manifest.json") == calm.read("t/manifest.json")
    pictures = [key for key in calm.keys("t/pictures/") if key.endswith(".png")]
    assert [key for key in torn.keys("t/pictures/") if key.endswith(".png")] == pictures
    assert all(torn.read(key) == calm.read(key) for key in pictures)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_keeps_a_checkpoint_and_says_how_to_go_on(sent: signal.Signals, start: Start, tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({**SWEEP, "iterations": 100_000}))
    process = start("--store", "stopped", file="long.yaml")
    store = open_store(str(tmp_path / "stopped"))
    wait_for(lambda: list(store.keys("t/pictures/")), process)
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    _, err = process.communicate(timeout=900)
    assert process.returncode == 130
    assert err == "Stopped. To go on where it stopped: dreamsweep run long.yaml --store stopped\n"
    assert [key for key in store.keys("t/staging/") if key.endswith("checkpoint.safetensors")]
    assert read_manifest(store, "t") is None, "no shard is done"


def test_a_truncated_weight_file_is_one_sentence(start: Start, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_weights, damaged)
    dvae = damaged / "starter-dvae.safetensors"
    dvae.write_bytes(dvae.read_bytes()[:-100])
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(damaged))
    process = start()
    _, err = process.communicate(timeout=900)
    assert process.returncode == 2
    assert err.startswith("dreamsweep: weights 'starter-dvae': ")
    assert "damaged" in err
    assert err.count("\n") == 1
