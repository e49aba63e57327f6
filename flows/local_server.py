"""Prefect's API where none is configured, for `dreamsweep run --compute dask` and `ray` and, with its pages, for `dreamsweep up`: a server
that lives as long as the command.

Prefect can start such a server itself, but that one writes into the user's terminal, gets the terminal's Ctrl-C before its client
has said goodbye, and outlives a client that is killed. This one logs to a file, has a session of its own, and ends when its
standard input closes, which the system does for it however the command ends.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn
from filelock import FileLock

from dreamsweep.environment import bypass_proxies_on_loopback, home, is_loopback, writable_folder
from dreamsweep.errors import ApiError
from dreamsweep.flows.api_setting import api_setting

STARTUP_SECONDS = 120
"""The first start makes Prefect's database: up to 50 s on a slow, busy machine."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the run's own logs still reach the API
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}


def prefer_quiet() -> None:
    """Sets Prefect's switches for a quiet terminal, unless the user has. Works only before Prefect is imported.

    Raises UserError where the system knows no home folder, without which Prefect cannot be imported.
    """
    home()
    bypass_proxies_on_loopback()
    warnings.simplefilter("ignore")  # nobody who runs a sweep can act on a library's deprecations
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_api(log: Path) -> Iterator[Callable[[], None]]:
    """Makes sure of an API: the configured one (PREFECT_API_URL or profile), else an embedded one that logs to the file.

    Gives a function that waits until the API answers, so that heavy imports need not wait for it; that one raises ApiError. Embedded ones
    start one after the other, as the first makes Prefect's database. Raises UserError where Prefect's home cannot be written.
    """
    bypass_proxies_on_loopback()
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if configured := configured_api():
        check_api(configured)  # at once: what is imported meanwhile takes seconds
        yield lambda: None
        return
    with ExitStack() as starting:
        starting.enter_context(FileLock(writable_folder(*prefect_home()) / "dreamsweep-server.lock"))
        port = free_port()

        def wait() -> None:
            wait_for_api(f"http://127.0.0.1:{port}/api/health", server, log)
            starting.close()

        with _server(port, log) as server, temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
            try:
                yield wait
            finally:
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=5)


def prefect_home() -> tuple[str, Path]:
    """Returns the environment variable that says where Prefect's home is, and that folder. Raises UserError without a home."""
    if folder := os.environ.get("PREFECT_HOME"):
        return "PREFECT_HOME", Path(folder).expanduser()
    return "HOME", home() / ".prefect"


def configured_api() -> str | None:
    """Returns the address of the API that Prefect's settings name (PREFECT_API_URL, or a profile); None where they name none."""
    from prefect.settings import PREFECT_API_URL

    address: str | None = PREFECT_API_URL.value()
    return address


@contextmanager
def _server(port: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "dreamsweep.flows.local_server", str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},  # of the log
        )
    assert server.stdin is not None
    try:
        yield server
    finally:
        server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def check_api(url: str) -> None:
    """Returns whether a server answers at the URL, whatever the answer. Raises ApiError."""
    if not url.startswith(("http://", "https://")):
        raise ApiError(f"PREFECT_API_URL: {url!r} is no address; write it as in http://127.0.0.1:4200/api.")
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=30, trust_env=not is_loopback(urlsplit(url).hostname or ""))
    except httpx.TransportError as error:
        raise ApiError(f"Prefect's API at {url} does not answer ({type(error).__name__}); {_cures(url)}.") from None


def _cures(url: str) -> str:
    """Returns what can be done about an API that does not answer: start it, take the setting out, or do without."""
    address, setting = urlsplit(url), api_setting()
    port = "" if address.port == 4200 else f"PREFECT_SERVER_API_PORT={address.port} "
    start = f"start it with `{port}prefect server start`" if is_loopback(address.hostname or "") else "look at its server and the network"
    place, removal = (f"{setting.place} names it: ", f", {setting.removal}") if setting else ("", "")
    return f"{place}{start}{removal}, or make sweeps without it (`dreamsweep run --no-prefect`)"


def wait_for_api(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until the server answers. Raises ApiError if it ends first, or at the timeout."""
    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ApiError(f"Prefect's embedded API ended with code {server.returncode} as it started; its log is {log}.")
        if answers(url):
            return
        time.sleep(0.1)
    raise ApiError(f"Prefect's embedded API did not start within {STARTUP_SECONDS} s; its log is {log}.")


def free_port() -> int:
    """Returns a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


PAGES = "pages"
"""Word after the port for a server with pages, schedules and automations."""


def server_command(port: int) -> list[str]:
    """Returns the command line of a whole server, with pages, schedules and automations, until its standard input closes."""
    return [sys.executable, "-m", __name__, str(port), PAGES]


def server_settings(port: int) -> dict[str, str]:
    """Returns the environment variables of such a server; flow runs are planned within seconds, as nobody else waits for its scheduler."""
    return {
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        **{name: value for name, value in QUIET.items() if name not in os.environ},
    }


@contextmanager
def api_at(url: str) -> Iterator[None]:
    """Has this process, and those that it starts, use the API at the URL."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    os.environ["PREFECT_API_URL"] = url
    with temporary_settings({PREFECT_API_URL: url}):
        yield


def resume_abandoned() -> list[str]:
    """Has the configured server start the deployments' flow runs again that it takes for running; returns the names of those of sweeps.

    To be called while no worker runs. A shard's flow run has crashed then: its sweep starts another one, which finds its checkpoint.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import AwaitingRetry, Crashed

    alive = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    message, sweeps = "its worker was stopped", []
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=alive))):
            if run.deployment_id and run.parent_task_run_id:
                client.set_flow_run_state(run.id, Crashed(message=message), force=True)
            elif run.deployment_id:
                client.set_flow_run_state(run.id, AwaitingRetry(message=message), force=True)
                sweeps.append(run.name)
    return sweeps


def answers(url: str) -> bool:
    """Returns whether a server says at the URL that all is well."""
    try:
        return httpx.get(url, timeout=5, trust_env=not is_loopback(urlsplit(url).hostname or "")).is_success
    except httpx.TransportError:
        return False


def _serve(port: int, pages: bool) -> None:
    """Serves Prefect's API until standard input closes."""
    servers: list[uvicorn.Server] = []

    def until_the_command_ends() -> None:
        sys.stdin.buffer.read()
        if servers:
            servers[0].should_exit = True
            time.sleep(8)
        os._exit(0)

    threading.Thread(target=until_the_command_ends, daemon=True).start()
    prefer_quiet()
    from prefect.server.api.server import create_app

    app = create_app(final=True) if pages else create_app(ephemeral=True, final=True)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=3)
    servers.append(uvicorn.Server(config))
    servers[0].run()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), PAGES in sys.argv[2:])
