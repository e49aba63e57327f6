"""What tests of the review page share: one browser for the tests of a file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium, started


@pytest.fixture(scope="module")
def opened_browser() -> Iterator[Browser]:
    """A browser for the file's tests, each with a page and a profile of its own."""
    executable = chromium()
    assert executable
    with started(executable) as opened:
        yield opened
