"""A newcomer's first morning in a headless browser; its full size is a command (newcomer.py)."""

from pathlib import Path

import pytest

from dreamsweep.review.app import make_app
from dreamsweep.store import open_store
from tests.browser import browser, chromium, serving
from tests.conftest import free_socket
from tests.dreamsweep.review.newcomer import first_morning, publish_night

CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]


def test_a_newcomer_keeps_exports_and_asks_by_the_keyboard_alone(tmp_path: Path) -> None:
    assert CHROMIUM
    store = open_store(str(tmp_path / "runs"))
    publish_night(store, 100)
    with free_socket() as listening, serving(make_app(store), listening) as address, browser(CHROMIUM) as page:
        first_morning(page, address, store, 8, tmp_path)
