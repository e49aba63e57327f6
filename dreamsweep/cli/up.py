"""`dreamsweep up`: a server, its workers and the review page together, for nightly runs on one machine."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from dreamsweep.cli.deploy import load_sweeps
from dreamsweep.cli.interrupt import stop_on_sigterm
from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.parts import Part, ended_together, tied, watch
from dreamsweep.cli.terminal import say, state_folder
from dreamsweep.environment import is_loopback, writable_folder
from dreamsweep.errors import UserError
from dreamsweep.review.address import ADDRESS

PORT, REVIEW_PORT = 4200, 4300


def up(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="Sweep files that name a schedule.", show_default=False)
    ] = None,
    store: StoreUri = "runs",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of Prefect's pages: 4200, or what PREFECT_API_URL names; 0 takes a free one.")
    ] = None,
    review_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the review page; 0 takes a free one.")] = REVIEW_PORT,
) -> None:
    """Have this machine make sweeps at the times of their schedules: Prefect's server, workers and the review page, until Ctrl-C.

    Where a Prefect server is configured and answers, that one is used. With FILES, the schedules on a server of its own are exactly theirs.
    """
    load_sweeps(files or [])
    from dreamsweep.flows.local_server import api_at, check_api, configured_api, prefect_home, prefer_quiet, resume_abandoned
    from dreamsweep.store import open_store

    log_level = os.environ.get("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO")  # of flow runs; quiet is for this process
    prefer_quiet()
    open_store(store).check()
    with _alone(writable_folder(*prefect_home())) as write_address:
        configured = configured_api()
        own_port = _own_port(configured, port)
        if own_port is None:
            assert configured is not None
            check_api(configured)
        api = configured if own_port is None else f"http://127.0.0.1:{own_port}/api"
        assert api is not None
        page = f"http://127.0.0.1:{_checked_port('--review-port', review_port)}"
        os.environ.setdefault(ADDRESS, page)  # which flow runs link to
        write_address(api.removesuffix("/api"))
        environment = {
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": log_level,
            "PREFECT_LOGGING_COLORS": "false",
            "PYTHONWARNINGS": "ignore",
            "PYTHONUNBUFFERED": "1",
        }
        _stop_on_signals()
        parts: list[Part] = []
        try:
            with api_at(api), ended_together(parts):
                if own_port is not None:
                    _start_server(parts, own_port, environment)
                deployed = _deployed(files or [], store, prune=own_port is not None and bool(files))
                for name in resume_abandoned() if own_port is not None else ():
                    say(f"{name} goes on where it was stopped.")
                _start_others(parts, store, page, environment)
                _print_table(api, page, store, deployed)
                watch(parts)
        except KeyboardInterrupt:
            say("Stopped; nothing is left running.")


@contextmanager
def _alone(folder: Path) -> Iterator[Callable[[str], None]]:
    """Makes sure that no other `dreamsweep up` of this user runs; gives a function that writes down the address of this one."""
    from filelock import FileLock, Timeout

    lock, note = FileLock(folder / "dreamsweep-up.lock", timeout=0), folder / "dreamsweep-up.json"
    try:
        with lock:
            yield lambda address: _write(note, address)
            note.unlink(missing_ok=True)
    except Timeout:
        raise UserError(f"another `dreamsweep up` runs on this machine{_other(note)}; stop that one first.") from None


def _write(note: Path, address: str) -> None:
    note.write_text(json.dumps({"process": os.getpid(), "address": address}), encoding="utf-8")


def _other(note: Path) -> str:
    try:
        other = json.loads(note.read_text(encoding="utf-8"))
        return f" (process {other['process']}, {other['address']})"
    except (OSError, ValueError, KeyError):
        return ""


def _own_port(configured: str | None, port: int | None) -> int | None:
    """Returns the port of a server to be started; None where the configured one is used: it answers, or is another machine's."""
    from dreamsweep.flows.local_server import answers

    if configured:
        parts = urlsplit(configured)
        if port is not None:
            raise UserError(f"--port {port}: a Prefect server is configured ({configured}); leave --port out, or unset PREFECT_API_URL.")
        if not is_loopback(parts.hostname or "") or answers(f"{configured.rstrip('/')}/health"):
            return None
        return _checked_port("PREFECT_API_URL", parts.port or PORT)
    return _checked_port("--port", PORT if port is None else port)


def _checked_port(option: str, port: int) -> int:
    """Returns the port, or a free one for 0. Raises UserError where something else listens there."""
    try:
        with socket.create_server(("127.0.0.1", port)) as probe:
            number: int = probe.getsockname()[1]
            return number
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{option} {port}: nothing can listen there ({reason}); name another port, or stop what has it.") from None


def _stop_on_signals() -> None:
    """Has SIGTERM, and the end of the terminal, stop the command as Ctrl-C does."""
    stop_on_sigterm()
    with suppress(AttributeError):
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))


def _start_server(parts: list[Part], port: int, environment: dict[str, str]) -> None:
    from dreamsweep.flows.local_server import answers, server_command, server_settings

    say("Starting Prefect's server; the first time it makes its database, which takes up to a minute…")
    url = f"http://127.0.0.1:{port}/api/health"
    settings, log = {**environment, **server_settings(port)}, state_folder() / "up-server.log"
    server = Part("server", "Prefect's server", server_command(port), settings, lambda: answers(url), log)
    parts.append(server)
    server.start()
    server.wait_until_ready()


def _deployed(files: Sequence[Path], store: str, *, prune: bool) -> list[str]:
    """Registers pools, deployments and schedules; returns what `dreamsweep deploy` says of it. Raises UserError where that fails.

    It runs as a process of its own: what it imports takes memory that nothing here needs afterwards.
    """
    arguments = [*map(str, files), "--pool-type", "process", "--store", store, *["--prune"] * prune]
    with subprocess.Popen(
        tied("dreamsweep", "deploy", *arguments),
        stdin=subprocess.PIPE,  # never closed before it ends
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    if process.returncode:
        raise UserError((lines or ["dreamsweep deploy failed."])[-1].removeprefix("dreamsweep: "))
    return [line for line in lines if " unchanged" not in line and " kept;" not in line and not line.startswith((" ", "Workers:", "note:"))]


def _start_others(parts: list[Part], store: str, page: str, environment: dict[str, str]) -> None:
    """Starts a worker for each pool, and the review page."""
    from dreamsweep.flows import GPU, SWEEPS
    from dreamsweep.flows.local_server import answers

    # a shard saves a checkpoint; a sweep's flow run is killed, for one that is asked to end counts as crashed
    signals = {SWEEPS: signal.SIGKILL, GPU: signal.SIGTERM}
    started = [
        Part(
            pool,
            f"the worker of the pool {pool}",
            tied("prefect", "worker", "start", "--pool", pool, "--name", pool, number=number),
            environment,
        )
        for pool, number in signals.items()
    ]
    review = tied("dreamsweep", "review", "--store", store, "--port", str(urlsplit(page).port))
    started.append(Part("review", "the review page", review, environment, lambda: answers(page)))
    for part in started:
        parts.append(part)
        part.start()
    for part in started:
        part.wait_until_ready()


def _print_table(api: str, page: str, store: str, deployed: Sequence[str]) -> None:
    """Prints what `dreamsweep deploy` said, its next runs included, and where everything is."""
    for line in deployed:
        say(line)
    if not any(line.startswith("Next:") for line in deployed):
        say("Next:     nothing; name a sweep file with a schedule: dreamsweep up FILE")
    say(f"Prefect:  {api.removesuffix('/api')}")
    say(f"Review:   {page}")
    say(f"Store:    {store if '://' in store else Path(store).resolve()}")
    say("Ctrl-C stops all of it.")
