"""`dreamsweep run` as people run it: a process with an embedded API, stopped and killed at bad moments."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dreamsweep.errors import StoreError
from dreamsweep.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_weights")]

SWEEP = {
    "name": "t",
    "prompts": ["a red heart", "a green apple", "a rocket"],
    "engines": [
        {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2},
        {"engine": "dalle", "image_size": 32, "cutouts": 2},
    ],
    "iterations": 40,
    "snapshot_every": 10,
    "shard_size": 2,
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home, kept for the module so that Prefect makes its database once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def start(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts the command in a session of its own, on the sweep above."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "XDG_", "DREAMSWEEP_STORE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
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
    """To Ctrl-C, even where the tests run in the background, whose children do not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def servers(home: Path) -> list[int]:
    """Embedded APIs whose home is this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"flows.embedded" in (folder / "cmdline").read_bytes() and f"HOME={home}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for(met: Callable[[], object], process: "subprocess.Popen[str]", seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def nobody_is_left(home: Path) -> bool:
    end = time.monotonic() + 20
    while servers(home) and time.monotonic() < end:
        time.sleep(0.1)
    return not servers(home)


def test_it_is_quiet_and_says_where_things_are(start: Start, home: Path, tmp_path: Path) -> None:
    process = start()
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "t: starting…"
    assert "t: 6 trials done" in out
    for line in lines:
        if line.startswith(("  contact sheet", "  curves", "  pictures", "  trials", "  scores")):
            assert (tmp_path / line[17:]).exists(), line
    assert nobody_is_left(home)


def test_killed_at_three_moments_it_leaves_what_an_undisturbed_run_leaves(start: Start, home: Path, tmp_path: Path) -> None:
    calm, torn = open_store(str(tmp_path / "calm")), open_store(str(tmp_path / "torn"))
    assert start("--store", "calm").wait(300) == 0
    moments: list[Callable[[], object]] = [
        lambda: list(torn.keys("t/pictures/")),  # in the midst of the first shard
        lambda: len([key for key in torn.keys("t/staging/") if key.endswith("manifest.json")]) >= 2,  # between shards
        lambda: list(torn.keys("t/tables/")),  # tables are there, the manifest perhaps not
    ]
    for moment in moments:
        process = start("--store", "torn")
        wait_for(moment, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert nobody_is_left(home)
    process = start("--store", "torn")
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert torn.read("t/manifest.json") == calm.read("t/manifest.json")
    pictures = [key for key in calm.keys("t/pictures/") if key.endswith(".png")]
    assert [key for key in torn.keys("t/pictures/") if key.endswith(".png")] == pictures
    assert all(torn.read(key) == calm.read(key) for key in pictures)


def test_a_configured_api_is_used_and_none_started(prefect_server: None, start: Start, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    process = start()
    while process.poll() is None:
        assert not servers(home)
        time.sleep(0.5)
    assert process.returncode == 0
    with get_client(sync_client=True) as client:
        assert "t" in {run.name for run in client.read_flow_runs(sort=FlowRunSort.NAME_ASC, limit=50)}


def test_a_configured_api_that_does_not_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    process = start()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert err.startswith("dreamsweep: Prefect's API at http://127.0.0.1:9/api does not answer (ConnectError);")
    assert err.count("\n") == 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_how_to_go_on(sent: signal.Signals, start: Start, home: Path, tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({**SWEEP, "iterations": 100_000}))
    process = start("--store", "stopped", file="long.yaml")
    store = open_store(str(tmp_path / "stopped"))
    wait_for(lambda: list(store.keys("t/pictures/")), process)
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert err == "Stopped. To go on where it stopped: dreamsweep run long.yaml --store stopped\n"
    assert nobody_is_left(home)
    with pytest.raises(StoreError):
        store.read("t/manifest.json")


def test_a_truncated_weight_file_is_one_sentence(start: Start, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_weights, damaged)
    dvae = damaged / "starter-dvae.safetensors"
    dvae.write_bytes(dvae.read_bytes()[:-100])
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(damaged))
    process = start()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert err.startswith("dreamsweep: weights 'starter-dvae': ")
    assert "damaged" in err
    assert err.count("\n") == 1
