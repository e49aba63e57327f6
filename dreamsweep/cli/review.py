"""`dreamsweep review`: the review page, served until it is stopped."""

import os
import socket
import sys
import threading
import webbrowser
from typing import Annotated
from urllib.parse import urlsplit

import typer

from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import say, tell
from dreamsweep.errors import UserError
from dreamsweep.flows.api_setting import api_setting
from dreamsweep.review.address import ADDRESS, LOGIN, page_of

LOCAL = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")
OPEN_SECONDS = 0.5
"""Seconds after which a browser is opened: the server listens already, and answers soon."""


def review(
    sweep: Annotated[
        str | None,
        typer.Argument(metavar="SWEEP", help="A published sweep, several by commas, or a pattern: 'nightly-*'.", show_default=False),
    ] = None,
    store: StoreUri = "runs",
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 is for everybody.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 4300,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody can leave marks; the store is never written.")] = False,
    browser: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the page in a browser; by default at a terminal with a screen.", show_default=False),
    ] = None,
) -> None:
    """Look at the pictures in a browser: filter, sort, mark, and go through the iterations of each. Ctrl-C ends it.

    DREAMSWEEP_REVIEW_LOGIN=NAME:PASSWORD makes it ask for a login.
    """
    import uvicorn

    from dreamsweep.review.app import make_app
    from dreamsweep.review.catalogues import sweeps_of
    from dreamsweep.review.patience import PatientProtocol
    from dreamsweep.review.thumbnails import remove_old
    from dreamsweep.store import open_store
    from dreamsweep.weights.cache import cache_folder

    opened = open_store(store, patience=0)  # a page answers at once, and the browser asks again
    if sweep is not None:
        sweeps_of(opened, sweep)
    elif not any(True for _ in opened.folders()):
        tell(f"Nothing is published in {opened.uri} yet.")
    if host not in LOCAL and not _login():
        raise UserError(f"--host {host}: whoever reaches this machine would see and mark everything; set {LOGIN}=NAME:PASSWORD.")
    folder = cache_folder() / "thumbnails"
    threading.Thread(target=remove_old, args=[folder], daemon=True).start()
    app = make_app(opened, _login(), _hosts(host), not read_only, folder, _submit if api_setting() else None)
    with _listening(host, port) as listening:
        at = f"http://{'127.0.0.1' if host in EVERYWHERE else f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        say(f"Review page: {page_of(at, sweep) if sweep else at}   (Ctrl-C ends it)")
        if host in EVERYWHERE:
            say(f"From elsewhere: http://{socket.gethostname()}:{listening.getsockname()[1]}")
        if has_screen() if browser is None else browser:
            threading.Timer(OPEN_SECONDS, webbrowser.open, [page_of(at, sweep) if sweep else at]).start()
        server = uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, log_level="warning", timeout_graceful_shutdown=2))
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            say("Stopped.")


def has_screen() -> bool:
    """Returns whether somebody sits at a terminal of this machine, with a screen that a browser can use."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ or "CI" in os.environ:
        return False
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _submit(text: str, store: str) -> str:
    """Hands a sweep to the Prefect server that is configured. Prefect is imported when the first one is."""
    from dreamsweep.flows.submit import submit

    return submit(text, store)


def _login() -> str | None:
    login = os.environ.get(LOGIN, "")
    name, colon, password = login.partition(":")
    if login and not (name and colon and password):
        raise UserError(f"{LOGIN} is not of the form NAME:PASSWORD; set it so, or unset it to ask for no login.")
    return login or None


def _hosts(host: str) -> list[str]:
    """Returns the names by which browsers may ask for it, beside addresses: no foreign ones, which a page elsewhere could point here."""
    public = urlsplit(os.environ.get(ADDRESS, "")).hostname
    own = [] if host in LOCAL else [socket.gethostname().lower(), socket.getfqdn().lower()]
    return [*LOCAL, host, *own, *([public] if public else [])]


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise UserError(f"--host {host} --port {port}: nothing can listen there ({reason}); name another port, or 0.") from None
