"""The review page by axe-core's rules (WCAG 2.2 A and AA): contrast, names, sizes of what is tapped; and by touch alone, on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dreamsweep.report.query import query
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.browser import chromium, empty_page, serving
from tests.conftest import ROOT, free_socket
from tests.dreamsweep.sample_sweep import publish_sample

CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]
RULES = ROOT / "tests/axe/node_modules/axe-core/axe.min.js"
RUN = """axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) =>
    violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' ')}`))"""
NAMED = "localStorage.setItem('dreamsweep reviewer', 'anna')"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(str(tmp_path_factory.mktemp("review") / "runs"))
    strokes = {"engine": "strokes", "num_paths": [16, 64]}
    publish_sample(store, prompts=["a red heart", "قلب أحمر"], engines=["dalle", strokes], seeds=[0, 1], snapshots=(1, 20, 40))
    return store


@pytest.fixture
def page(opened_browser: Browser, store: Store) -> Iterator[Page]:
    with free_socket() as listening, serving(make_app(store), listening) as address, empty_page(opened_browser) as page:
        page.add_init_script(NAMED)
        page.goto(address)
        yield page


def wall(page: Page, after: str = "") -> None:
    page.goto(f"{page.url.split('/sweeps')[0].rstrip('/')}/sweeps/made-up{after}")
    page.locator(".tile").first.wait_for()


def opened(page: Page) -> None:
    wall(page)
    page.locator(".tile").first.click()
    expect(page.get_by_role("dialog").locator("output")).to_contain_text("iteration")


def pressed(button: str, shown: str) -> Callable[[Page], None]:
    def press(page: Page) -> None:
        wall(page)
        page.locator(button).click()
        page.locator(shown).first.wait_for()

    return press


def all_sweeps(page: Page) -> None:
    page.locator(".card").wait_for()


def duels(page: Page) -> None:
    wall(page, "#duels")
    page.locator("#duels .side img").first.wait_for()


def ask(page: Page) -> None:
    page.goto(f"{page.url.rstrip('/')}/ask")
    page.get_by_role("button").first.wait_for()


VIEWS = {
    "sweeps": all_sweeps,
    "wall": wall,
    "viewer": opened,
    "keys": pressed("#help", "#keys[open]"),
    "grid": pressed("#grid", ".grid .tile"),
    "plots": pressed("#plot", "#plots svg"),
    "steps": pressed("#step", "#steps input"),
    "take away": pressed("#take", "#takeaway[open]"),
    "duels": duels,
    "ask": ask,
}


@pytest.mark.skipif(not RULES.exists(), reason="axe-core is not installed: npm ci --prefix tests/axe")
@pytest.mark.parametrize("view", VIEWS)
def test_no_rule_of_accessibility_is_broken(page: Page, view: str) -> None:
    VIEWS[view](page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(RULES.read_text())
        assert page.evaluate(RUN) == [], f"{view}, {scheme}"


def test_a_phone_turns_by_swipes_and_marks_by_taps(page: Page, store: Store, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    opened(page)
    first = page.url
    swipe(page, -120)
    expect(page).not_to_have_url(first)
    second = page.url
    swipe(page, 20)  # too short to mean anything
    swipe(page, 120)
    expect(page).to_have_url(first)
    page.get_by_role("button", name="4 stars").click()
    expect(page).to_have_url(second)  # a mark goes on by itself
    page.get_by_role("button", name="Reject").click()
    expect(page).not_to_have_url(second)
    swipe(page, 120)
    expect(page).to_have_url(second)
    expect(page.get_by_role("button", name="Reject")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Reject")).to_have_attribute("aria-pressed", "false")
    page.wait_for_function("fetch('/api/sweeps/made-up/marks').then((all) => all.json()).then(({ marks }) => marks.length === 1)")
    kept = query(store, "SELECT kind, value::INTEGER AS value, rated_by FROM ratings WHERE kind = 'stars'").to_pylist()
    assert kept == [{"kind": "stars", "value": 4, "rated_by": "anna"}]


def swipe(page: Page, across: int) -> None:
    """One finger over the picture, so many pixels to the right."""
    box = page.locator("figure img").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, to in (("touchStart", 0), ("touchMove", across // 2), ("touchMove", across), ("touchEnd", None)):
        points = [] if to is None else [{"x": x + to, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
