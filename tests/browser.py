"""A headless browser for tests of pages: Debian's Chromium, driven by Playwright."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dreamsweep.review.patience import PatientProtocol

FLAGS = [
    "--no-sandbox",  # for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 300
"""For any one step of the pages, on a busy machine."""


def chromium() -> str | None:
    """The browser on this machine; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def browser(executable: str, height: int = 900) -> Iterator[Page]:
    """An empty page in a browser of its own; Playwright fetches no browser."""
    with started(executable) as opened, empty_page(opened, height) as page:
        yield page


@contextmanager
def started(executable: str) -> Iterator[Browser]:
    """A browser for the pages of several tests: its start takes five seconds of the processor, most pages less."""
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=executable, args=FLAGS)
        expect.set_options(timeout=SECONDS * 1000)
        yield opened
        opened.close()


@contextmanager
def empty_page(opened: Browser, height: int = 900) -> Iterator[Page]:
    """An empty page with a profile of its own, which knows nothing that another page has stored or cached."""
    context = opened.new_context(viewport={"width": 1180, "height": height}, reduced_motion="reduce")
    context.set_default_timeout(SECONDS * 1000)
    yield context.new_page()
    context.close()


@contextmanager
def serving(app: FastAPI, listening: socket.socket) -> Iterator[str]:
    """An app on a socket, by a thread of this process: its address."""
    server = uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, log_level="warning"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address_of(listening)
    finally:
        server.should_exit = True
        thread.join()


def address_of(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"
