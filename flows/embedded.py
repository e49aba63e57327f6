"""Prefect's API for one command on one machine: a server process that lives exactly as long as the command.

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
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from dreamsweep.errors import DreamsweepError

STARTUP_SECONDS = 120
"""The first start makes Prefect's database: up to 50 s on a slow, busy machine."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the run's own logs still reach the API
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}


def prefer_quiet() -> None:
    """Sets Prefect's switches for a quiet terminal, unless the user has. Works only before Prefect is imported."""
    warnings.simplefilter("ignore")  # nobody who runs a sweep can act on a library's deprecations
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


class ApiError(DreamsweepError):
    """Prefect's API does not answer."""


@contextmanager
def prefect_api(log: Path) -> Iterator[Callable[[], None]]:
    """Makes sure of an API: the configured one (PREFECT_API_URL or profile), else an embedded one that logs to the file.

    Gives a function that waits until the API answers, so that heavy imports need not wait for it; that one raises ApiError.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, temporary_settings

    configured = PREFECT_API_URL.value()
    if configured:
        yield lambda: check_api(configured)
        return
    port = free_port()
    with _server(port, log) as server, temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        try:
            yield lambda: wait_for_api(f"http://127.0.0.1:{port}/api/health", server, log)
        finally:
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=5)


@contextmanager
def _server(port: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.embedded", str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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
    """Whether anyone answers there, whatever the answer. Raises ApiError."""
    if not url.startswith(("http://", "https://")):
        raise ApiError(f"PREFECT_API_URL: {url!r} is no address; write it as in http://127.0.0.1:4200/api.")
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=30)
    except httpx.TransportError as error:
        raise ApiError(
            f"Prefect's API at {url} does not answer ({type(error).__name__}); start it, or name another in PREFECT_API_URL (without "
            "one, `dreamsweep run` starts its own)."
        ) from None


def wait_for_api(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the server answers there. Raises ApiError where it ends first, or takes too long."""
    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ApiError(f"Prefect's embedded API ended with code {server.returncode} as it started; its log is {log}.")
        try:
            if httpx.get(url, timeout=5, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise ApiError(f"Prefect's embedded API did not start within {STARTUP_SECONDS} s; its log is {log}.")


def free_port() -> int:
    """A port of the loopback address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(port: int) -> None:
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

    app = create_app(ephemeral=True, final=True)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=3)
    servers.append(uvicorn.Server(config))
    servers[0].run()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
