"""Real Prefect servers for the tests of flows: one for all, and one with its pages and services, and workers, for those that need them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deploy import GPU, SWEEPS, place, register
from flows.embedded import QUIET

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Prefect's own harness: an API with a database of its own, for this session."""
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as environment:
        for name, value in QUIET.items():
            environment.setenv(name, value)
        with prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with its pages, and a database of its own: its address."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_API_PORT": str(port),  # `--port` would not tell the pages
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        with _process("server", "start", log=home / "server.log"), temporary_settings({PREFECT_API_URL: settings["PREFECT_API_URL"]}):
            _wait_for(f"{address}/api/health", home / "server.log")
            yield address


@pytest.fixture
def deployed_store(full_server: str, tmp_path: Path) -> str:
    """Where deployed sweeps are kept."""
    at = place("process", str(tmp_path / "runs"), None, 2, None)
    list(register(at, []))
    return at.store


@pytest.fixture
def workers(deployed_store: str, tiny_weights: Path, tmp_path: Path) -> Iterator[None]:
    """One worker of each pool."""
    with (
        _process("worker", "start", "--pool", SWEEPS, log=tmp_path / "sweeps.log"),
        _process("worker", "start", "--pool", GPU, log=tmp_path / "gpu.log"),
    ):
        yield


def _process(*command: str, log: Path) -> "_Running":
    return _Running([sys.executable, "-m", "prefect", *command], log)


class _Running:
    """A command in a session of its own, ended with all that it started."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command, self.log = command, log

    def __enter__(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def __exit__(self, *raised: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _wait_for(url: str, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
