"""A headless browser for tests of pages: Debian's Chromium, driven by Playwright."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Page, expect, sync_playwright

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
    """An empty page; Playwright fetches no browser of its own."""
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=executable, args=FLAGS)
        page = opened.new_page(viewport={"width": 1180, "height": height}, reduced_motion="reduce")
        page.set_default_timeout(SECONDS * 1000)
        expect.set_options(timeout=SECONDS * 1000)
        yield page
        opened.close()


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
