"""Blind duels in a headless browser, by the keyboard: what is shown, what is left in the store, undo, the ranking."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from dreamsweep.report.query import query
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.browser import chromium, empty_page, serving
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]
ANNA = "if (location.protocol === 'http:') localStorage.setItem('dreamsweep reviewer', 'anna')"


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(str(tmp_path_factory.mktemp("duels") / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"], seeds=[*range(3)])
    return store


@pytest.fixture
def page(opened_browser: Browser) -> Iterator[Page]:
    """A page that must raise no error, by someone called anna."""
    with empty_page(opened_browser) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.add_init_script(ANNA)
        yield page
        assert wrong == []


def sides(page: Page) -> tuple[str, str]:
    """Trials that are shown."""
    sources = page.eval_on_selector_all(".side img", "all => all.map(img => img.src)")
    left, right = (re.search(r"/([0-9a-f]{16})/best.png$", source) for source in sources)
    assert left and right
    return left[1], right[1]


def test_duels_by_the_keyboard_until_none_is_left(page: Page, store: Store) -> None:
    with free_socket() as listening, serving(make_app(store), listening) as address:
        page.goto(f"{address}/sweeps/made-up")
        page.get_by_role("button", name="Duels").click()
        dialog = page.get_by_role("dialog", name="Duels")
        expect(dialog.locator("h2")).to_have_text(re.compile("a red heart|a rocket"))
        expect(dialog.get_by_text(re.compile("dalle|seed|judge"))).to_have_count(0)  # nothing tells how they came about
        first, expected = sides(page), []
        page.keyboard.press("ArrowRight")
        page.keyboard.press("z")
        assert sides(page) == first
        for key, winner in (("ArrowLeft", "left"), ("ArrowDown", "tie"), *[("ArrowRight", "right")] * 4):
            expected.append((*sides(page), winner))
            page.keyboard.press(key)
            expect(dialog.locator("output")).to_have_text(f"{len(expected)} duel{'s' * (len(expected) > 1)}")
        expect(dialog.locator("h2")).to_have_text("You have judged every pair there is.")
        while page.evaluate("Object.keys(localStorage).some(name => name.startsWith('dreamsweep duel '))"):
            page.wait_for_timeout(50)
        rows = query(store, "SELECT left_trial_id, right_trial_id, winner FROM duels ORDER BY rated_at").to_pylist()
        assert [tuple(row.values()) for row in rows] == [(*first, "right"), (*first, "none"), *expected]
        page.keyboard.press("r")
        expect(dialog.locator(".ranking li")).to_have_count(6)
        expect(dialog.locator(".ranking table")).to_contain_text("of 5 duels")
        page.keyboard.press("p")  # keys of the wall mean nothing here
        dialog.get_by_role("button", name="Open this picture").first.click()
        expect(page.get_by_role("dialog", name="One trial")).to_be_visible()
    assert query(store, "FROM ratings").num_rows == 0


def test_duels_are_of_what_the_wall_shows_and_a_page_that_only_reads_ranks(page: Page, store: Store) -> None:
    with free_socket() as listening, serving(make_app(store), listening) as address:
        page.goto(f"{address}/sweeps/made-up?q=rocket+seed<2")
        page.get_by_role("button", name="Duels").click()
        expect(page.locator("#duels h2")).to_have_text("a rocket")
        page.get_by_role("button", name="The left picture is better").click()
        expect(page.locator("#duels h2")).to_have_text("You have judged every pair there is.")
        page.go_back()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.go_forward()
        expect(page.locator("#duels h2")).to_have_text("You have judged every pair there is.")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page).not_to_have_url(re.compile("#"))
    with free_socket() as listening, serving(make_app(store, writable=False), listening) as address:
        page.goto(f"{address}/sweeps/made-up#duels")
        expect(page.locator("#duels h2")).to_have_text("What the duels say")
        expect(page.locator(".ranking li")).to_have_count(2)
        expect(page.locator("#duels footer button")).to_have_count(0)
