"""Real Prefect servers for tests of flows: a plain one, and one with pages and services, both once a session.

Prefect's migrations take ten seconds of CPU for each new database. They run once a test run; every server starts from a copy.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from dreamsweep.flows import GPU, SWEEPS
from dreamsweep.flows.deploy import place, register
from dreamsweep.flows.local_server import QUIET
from tests.conftest import shared_folder

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: a database on a disk that other tests keep busy is soon locked for too long."""


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's SQLite database after its migrations, made once for all processes of a test run. Copy it, never use it."""
    database = shared_folder(tmp_path_factory) / "migrated.db"
    with FileLock(database.with_suffix(".lock")):
        if not database.exists():
            home = tmp_path_factory.mktemp("migrations")
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            environment = {**os.environ, **QUIET, "PREFECT_HOME": str(home), "PYTHONWARNINGS": "ignore"}
            subprocess.run(command, env=environment, check=True, capture_output=True)
            assert [file.name for file in home.glob("prefect.db*")] == ["prefect.db"]  # no write-ahead log to copy beside it
            os.replace(home / "prefect.db", database)
    return database


@pytest.fixture(scope="session")
def prefect_server(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prefect's own harness: an API with a database of its own, for this session."""
    from prefect.testing.utilities import prefect_test_harness

    folder = tmp_path_factory.mktemp("harness")
    shutil.copyfile(migrated_database, folder / "prefect-test.db")
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr("prefect.testing.utilities.mkdtemp", lambda: str(folder))  # where the harness looks for its database
        for name, value in QUIET.items():
            environment.setenv(name, value)
        with prefect_test_harness(server_startup_timeout=600):
            yield


@pytest.fixture(scope="session")
def _full_server(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server with its pages: the settings of its clients, workers and flow runs."""
    home = tmp_path_factory.mktemp("prefect")
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else home, prefix="prefect-of-tests-") as database:
        shutil.copyfile(migrated_database, Path(database, "prefect.db"))
        yield from _serve(home, Path(database, "prefect.db"))


def _serve(home: Path, database: Path) -> Iterator[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # beside other tests, a disk or a core may be busy for long
        "PREFECT_SERVER_API_PORT": str(port),  # `--port` would not tell the pages
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # as in docker/compose.yaml
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "P90D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "3",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    with _process("server", "start", log=home / "server.log", environment=settings):
        _wait_for(f"{address}/api/health", home / "server.log")
        yield settings


@pytest.fixture
def full_server(_full_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Prefect server with its pages, which this process and what it starts use: its address.

    It is the same one for the whole session, so tests look for sweeps by names of their own.
    """
    for name, value in _full_server.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: _full_server["PREFECT_API_URL"]}):
        yield _full_server["PREFECT_API_URL"].removesuffix("/api")


@pytest.fixture
def deployed_store(full_server: str, tmp_path: Path) -> Iterator[str]:
    """The store of deployed sweeps. Schedules, and flow runs that have not ended, go with it: another test's workers would run them."""
    at = place("process", str(tmp_path / "runs"), None, 2, None)
    list(register(at, []))
    yield at.store
    list(register(at, [], prune=True))
    with get_client(sync_client=True) as client:
        for flow_run in client.read_flow_runs():
            if flow_run.state is None or not flow_run.state.is_final():
                client.delete_flow_run(flow_run.id)


@pytest.fixture
def workers(deployed_store: str, tiny_weights: Path, tmp_path: Path) -> Iterator[None]:
    """One worker of each pool."""
    with (
        _process("worker", "start", "--pool", SWEEPS, log=tmp_path / "sweeps.log"),
        _process("worker", "start", "--pool", GPU, log=tmp_path / "gpu.log"),
    ):
        yield


def _process(*command: str, log: Path, environment: Mapping[str, str] | None = None) -> "_Running":
    return _Running([sys.executable, "-m", "prefect", *command], log, {**os.environ, **(environment or {})})


class _Running:
    """A command in a session of its own, ended with all that it started."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.command, self.log, self.environment = command, log, environment

    def __enter__(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def __exit__(self, *raised: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _wait_for(url: str, log: Path) -> None:
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
