"""`dreamsweep up` as a person starts and stops it: all parts answer, one that is killed comes back, and nothing is left running."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from dreamsweep.cli.tied import descendants
from tests.dreamsweep.cli.command import _listens

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]
SWEEP = {"name": "hearts-{date}", "prompts": ["a red heart"], "engines": ["strokes"], "schedule": {"cron": "0 2 1 1 *"}}


class Up:
    """The command, and the lines that it has printed."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "up.log"
        with self.log.open("wb") as output:
            command = [sys.executable, "-m", "dreamsweep", "up", "hearts.yaml", "--port", "0", "--review-port", "0"]
            self.process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, preexec_fn=_listens)

    def line(self, pattern: str) -> "re.Match[str]":
        """Waits for a line of a pattern."""
        end = time.monotonic() + 900
        while time.monotonic() < end and self.process.poll() is None:
            if match := re.search(pattern, self.log.read_text(), re.MULTILINE):
                return match
            time.sleep(0.2)
        pytest.fail(f"no line {pattern!r}: {self.log.read_text()}")


@pytest.fixture
def start(tmp_path: Path, migrated_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Up]]:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "XDG_", "DREAMSWEEP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / ".prefect").mkdir()
    shutil.copyfile(migrated_database, tmp_path / ".prefect" / "prefect.db")
    (tmp_path / "hearts.yaml").write_text(yaml.safe_dump(SWEEP))
    started: list[Up] = []

    def up() -> Up:
        started.append(Up(tmp_path))
        return started[-1]

    yield up
    for each in started:
        each.process.kill()  # its parts end by themselves
        each.process.wait()


def test_all_of_it_starts_and_ends_together(start: Callable[[], Up]) -> None:
    up = start()
    up.line("^Ctrl-C stops all of it")
    assert up.line(r"^Next:     hearts, \w+ \d{4}-01-01 02:00 UTC$")
    for name, path in (("Prefect", "/api/health"), ("Review", "/")):
        address = up.line(rf"^{name}:\s+(http://127.0.0.1:\d+)$")[1]
        assert httpx.get(f"{address}{path}", trust_env=False).is_success
    parts = descendants(up.process.pid)
    command = b"\0".join((b"-m", b"prefect", b"worker", b"start", b"--pool", b"gpu"))
    worker = next(part for part in reversed(parts) if command in Path(f"/proc/{part}/cmdline").read_bytes())
    os.kill(worker, signal.SIGKILL)
    up.line(r"^The worker of the pool gpu ended \(exit code 137\); it is started again\.$")
    parts += descendants(up.process.pid)
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(600) == 0
    assert up.log.read_text().endswith("\nStopped; nothing is left running.\n")
    assert not [part for part in parts if Path(f"/proc/{part}/cmdline").exists()]


def test_nothing_outlives_a_command_that_is_killed(start: Callable[[], Up]) -> None:
    up = start()
    up.line("^Ctrl-C stops all of it")
    parts = descendants(up.process.pid)
    assert len(parts) >= 7
    up.process.kill()
    up.process.wait()
    end = time.monotonic() + 600
    while (left := [part for part in parts if Path(f"/proc/{part}/cmdline").exists()]) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left
