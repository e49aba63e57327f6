"""The review page in Firefox: what people do most, by the keyboard. Chromium drives the rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamsweep.report.query import query
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.browser import serving
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample
from tests.firefox import Firefox, executable, firefox

FIREFOX = executable()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(FIREFOX is None, reason="needs a browser: Debian's package firefox-esr")]
PICTURES = "[...document.querySelectorAll('.tile img')].filter((image) => image.complete && image.naturalWidth > 0).length > 3"
COUNT = "document.getElementById('count').textContent"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(str(tmp_path_factory.mktemp("review") / "runs"))
    strokes = {"engine": "strokes", "num_paths": [16, 64]}
    publish_sample(
        store, prompts=["a red heart", "قلب أحمر", "赤いハート"], engines=["dalle", strokes], seeds=[0, 1], snapshots=(1, 20, 40)
    )
    return store


@pytest.fixture(scope="module")
def browser(store: Store) -> Iterator[Firefox]:
    """A page that must raise no error and log none."""
    assert FIREFOX
    with free_socket() as listening, serving(make_app(store), listening) as address, firefox(FIREFOX) as browser:
        browser.open(f"{address}/sweeps/made-up")
        yield browser
        assert browser.wrong == []


def test_the_wall_is_searched_and_a_trial_is_looked_at_and_marked(browser: Firefox, store: Store, tmp_path: Path) -> None:
    browser.until(COUNT, "18 trials")
    browser.until(PICTURES)
    browser.press("/", "engine:dalle seed:1")
    browser.until(COUNT, "3 of 18 trials")
    browser.ask("document.querySelector('.tile').focus()")
    first = browser.ask("document.activeElement.dataset.id")
    browser.press("Enter")
    browser.until("document.querySelector('#viewer figure img')?.naturalWidth > 0")
    browser.press("4")  # asks for a name, leaves the mark, and goes on
    browser.until("document.activeElement.id", "asked")
    browser.press("anna", "Enter")
    browser.until(f"location.hash.length > 1 && location.hash !== '#{first}'")
    browser.press("Escape")
    browser.until("document.getElementById('viewer').open", False)
    browser.until(f"document.querySelector('[data-id=\"{first}\"] .signs b')?.textContent", "★★★★")
    browser.until("fetch('/api/sweeps/made-up/marks').then((answer) => answer.json()).then(({ marks }) => marks.length)", 1)
    assert query(store, "SELECT trial_id, value, rated_by FROM ratings").to_pylist() == [
        {"trial_id": first, "value": 4, "rated_by": "anna"}
    ]


def test_steps_grid_and_plots_open(browser: Firefox) -> None:
    words = "document.getElementById('words')"
    browser.ask(f"({words}.value = '', {words}.dispatchEvent(new Event('input', {{ bubbles: true }})))")
    browser.until(COUNT, "18 trials")
    browser.ask("document.querySelector('.tile').focus()")
    browser.press("s")
    browser.until("document.querySelector('#steps input[type=range]') !== null && !document.getElementById('steps').hidden")
    browser.ask("document.querySelector('.tile').focus()")  # away from the slider, which keys mean while it has the focus
    browser.press("s", "g")
    browser.until("document.querySelectorAll('.grid .tile').length > 0")
    browser.ask("document.querySelector('.tile').focus()")
    browser.press("g", "l")
    browser.until("document.querySelectorAll('#plots svg').length > 0")
    browser.press("l")
    browser.until("document.getElementById('plots').hidden")


def test_prompts_are_set_in_their_own_direction(browser: Firefox) -> None:
    shown = "[...document.querySelectorAll('.tile bdi')].map((name) => name.textContent)"
    browser.until(f"['قلب أحمر', '赤いハート'].every((prompt) => {shown}.some((text) => text.includes(prompt)))")
    right_to_left = "[...document.querySelectorAll('.tile bdi')].find((name) => name.textContent.includes('قلب أحمر'))"
    assert browser.ask(f"getComputedStyle({right_to_left}).direction") == "rtl"
