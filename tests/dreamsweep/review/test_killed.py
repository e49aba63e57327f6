"""Two browsers mark one night at once; the server is killed, then one of the browsers: no mark is lost, and none is doubled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Playwright, expect, sync_playwright

from dreamsweep.report.query import query
from dreamsweep.store import Store, open_store
from tests.browser import FLAGS, SECONDS, chromium
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]
WAITING = "Object.keys(localStorage).filter(name => name.startsWith('dreamsweep mark '))"
"""Names of the marks that a page holds until the server takes them."""
BEFORE, AFTER = 8, 4
"""Marks of each person before the server is killed, and after."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"], seeds=[*range(8)])
    return store


@contextmanager
def served(store: Store, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The review page as a process of its own."""
    command = [sys.executable, "-m", "dreamsweep", "review", "--store", store.uri, "--port", str(port), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def opened(play: Playwright, profile: Path, person: str, address: str) -> tuple[BrowserContext, Page]:
    """A browser with a profile that outlives it, at the wall of the sweep."""
    context = play.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=FLAGS)
    context.set_default_timeout(SECONDS * 1000)
    context.add_init_script(f"if (location.protocol === 'http:') localStorage.setItem('dreamsweep reviewer', '{person}')")
    page = context.pages[0]
    for _ in range(SECONDS * 2):
        try:
            page.goto(address)
            break
        except Error:  # until the server listens
            time.sleep(0.5)
    page.locator(".tile").first.wait_for()
    return context, page


def wait_until_on_disk(profile: Path, names: list[str]) -> None:
    """Returns once Chromium has written to disk what a page stores by these names; a browser that is killed before then forgets it."""
    assert names
    for _ in range(SECONDS * 10):
        written = b"".join(file.read_bytes() for file in (profile / "Default" / "Local Storage" / "leveldb").glob("*.log"))
        if all(name.encode() in written for name in names):
            return
        time.sleep(0.1)
    raise AssertionError(f"the browser has not written {names}")


def kill_browser(profile: Path) -> None:
    """Kills the browser of a profile, as a machine that loses its power would."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"--user-data-dir={profile}".encode() in (entry / "cmdline").read_bytes().split(b"\0"):
            os.kill(int(entry.name), signal.SIGKILL)


def mark(pages: list[Page], number: int) -> None:
    """Leaves marks in turn: stars, which go on to the next picture."""
    for stars in range(number):
        for page in pages:
            page.keyboard.press(str(1 + stars % 5))


def test_a_killed_server_and_a_killed_browser_lose_no_mark_and_double_none(store: Store, tmp_path: Path) -> None:
    with free_socket() as listening:
        port = listening.getsockname()[1]
    address, profiles = f"http://127.0.0.1:{port}/sweeps/made-up", [tmp_path / "anna", tmp_path / "ben"]
    with sync_playwright() as play:
        with served(store, port):
            expect.set_options(timeout=SECONDS * 1000)
            browsers = [opened(play, profile, profile.name, address) for profile in profiles]
            pages = [page for _, page in browsers]
            for page in pages:
                page.locator(".tile").first.focus()
            mark(pages, BEFORE)
        mark(pages, AFTER)
        for page in pages:
            expect(page.locator("#notice")).to_contain_text("wait for the server")
        wait_until_on_disk(profiles[0], pages[0].evaluate(WAITING))
        kill_browser(profiles[0])
        with served(store, port):
            expect(pages[1].locator("#notice")).to_be_empty()
            context, page = opened(play, profiles[0], "anna", address)
            while page.evaluate(WAITING):
                page.wait_for_timeout(100)
            for each in (context, browsers[1][0]):
                each.close()
    rows = query(store, "SELECT rated_by, count(*) AS marks, count(DISTINCT trial_id) AS trials FROM ratings GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in rows.to_pylist()] == [(who, BEFORE + AFTER, BEFORE + AFTER) for who in ("anna", "ben")]
