"""Marks left in a headless browser, by the keyboard: the queue, undo, several people, servers and tabs that go away."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dreamsweep.report.marks import HOLDING
from dreamsweep.report.query import query
from dreamsweep.results.appended import append
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.browser import SECONDS, chromium, serving
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]
HELD = f"""
SELECT kind, value, text FROM ({HOLDING})
WHERE rated_by = 'anna' AND CASE kind WHEN 'note' THEN text <> '' ELSE value <> 0 END ORDER BY rated_at
"""
SHOWN = "ids => String([...document.querySelectorAll('.tile')].map(tile => tile.dataset.id).sort()) === String(ids)"


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(str(tmp_path_factory.mktemp("marks") / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"], seeds=[*range(6)])
    return store


@pytest.fixture
def address(store: Store) -> Iterator[str]:
    with free_socket() as listening, serving(make_app(store), listening) as address:
        yield f"{address}/sweeps/made-up"


@pytest.fixture
def page(opened_browser: Browser, address: str) -> Iterator[Page]:
    """A page that must raise no error, by someone called anna."""
    context = opened_browser.new_context(viewport={"width": 1180, "height": 900})  # of several tabs
    context.add_init_script("if (location.protocol === 'http:') localStorage.setItem('dreamsweep reviewer', 'anna')")
    context.set_default_timeout(SECONDS * 1000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert wrong == []


def rows(page: Page, store: Store, number: int) -> list[tuple[str, float, str | None]]:
    """Waits until nothing is on its way, and returns anna's marks that hold."""
    while page.evaluate("Object.keys(localStorage).some(name => name.startsWith('dreamsweep mark made-up/'))"):
        page.wait_for_timeout(50)
    held = [(row["kind"], row["value"], row["text"]) for row in query(store, HELD).to_pylist()]
    assert len(held) == number, held
    return held


def shown(page: Page) -> str:
    """Waits for the viewer's picture, and returns its trial."""
    page.wait_for_url(re.compile("#"))
    expect(page.locator("figure img")).to_have_attribute("src", re.compile(f"{page.url.rpartition('#')[2]}/"))
    return page.url.rpartition("#")[2]


def tile(page: Page, trial: str) -> Locator:
    return page.locator(f'[data-id="{trial}"]')


def test_a_queue_is_worked_off_by_the_keyboard_and_goes_on_where_one_stopped(page: Page, address: str, store: Store) -> None:
    page.goto(address)
    page.get_by_role("button", name="Review").click()
    seen = [shown(page)]
    for key in ("p", "x", "4"):
        page.keyboard.press(key)
        expect(page.locator("dialog output")).to_contain_text("iteration")
        expect(page).not_to_have_url(re.compile(f"#{seen[-1]}$"))
        seen.append(shown(page))
    page.keyboard.press("Escape")
    expect(tile(page, seen[3])).to_be_focused()
    expect(tile(page, seen[0]).locator(".mine")).to_have_text("✓")
    expect(tile(page, seen[1]).locator(".rejected")).to_have_text("✕")
    expect(tile(page, seen[2]).locator(".mine")).to_have_text("★★★★")
    assert rows(page, store, 3) == [("pick", 1, None), ("pick", -1, None), ("stars", 4, None)]
    page.goto(address)
    page.get_by_role("button", name="Review").click()
    assert shown(page) == seen[3]
    expect(page.locator("#count")).to_have_text("9 of 12 trials")


def test_undo_as_far_back_as_the_session(page: Page, address: str, store: Store) -> None:
    page.goto(address)
    page.locator(".tile").first.focus()
    first = page.locator(".tile").first.get_attribute("data-id") or ""
    for key in ("p", "x", "5", "2"):
        page.keyboard.press(key)
    rows(page, store, 4)
    page.reload()
    expect(page.locator(".mine").first).to_be_visible()
    for _ in range(3):
        page.keyboard.press("z")
    assert rows(page, store, 1) == [("pick", 1, None)]
    page.keyboard.press("z")
    expect(tile(page, first)).to_be_focused()
    assert rows(page, store, 0) == []
    page.keyboard.press("z")  # nothing is left to take back
    assert query(store, "FROM ratings").num_rows == 8


def test_tags_notes_and_clear(page: Page, address: str, store: Store) -> None:
    page.goto(address)
    page.locator(".tile").first.click()
    trial = shown(page)
    for key, text in (("t", "cover"), ("n", "<b>the hat</b> قلب")):
        page.keyboard.press(key)
        page.locator("#asked").fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("#asked")).to_have_count(0)
    expect(page.locator("#marked")).to_contain_text("#cover ✎")
    expect(page.locator("#marked q")).to_have_text("<b>the hat</b> قلب")
    page.keyboard.press("t")  # what is typed is no mark
    page.locator("#asked").press_sequentially("px1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="One trial")).to_be_visible()
    assert rows(page, store, 2) == [("tag", 1, "cover"), ("note", 1, "<b>the hat</b> قلب")]
    page.keyboard.press("3")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == trial
    page.keyboard.press("u")
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    assert rows(page, store, 1) == [("note", 1, "<b>the hat</b> قلب")]


def test_filters_by_mark_and_by_whom(page: Page, address: str, store: Store) -> None:
    first, second, third, *_ = (row["trial_id"] for row in query(store, "SELECT trial_id FROM trials ORDER BY trial_id").to_pylist())
    for who, trial, kind, value, text in (
        ("anna", first, "pick", 1, None),
        ("ben", first, "pick", 1, None),
        ("ben", second, "pick", -1, None),
        ("anna", second, "stars", 3, None),
        ("ben", third, "tag", 1, "odd"),
    ):
        append(store, "made-up", "ratings", {"trial_id": trial, "kind": kind, "value": float(value), "text": text, "rated_by": who})
    page.goto(address)
    expect(page.locator("#count")).to_have_text("12 trials")
    for marks, whose, expected in (
        ("picked", "", {first}),
        ("rejected", "", set()),
        ("rejected", "*", {second}),
        ("stars3", "", {second}),
        ("stars4", "", set()),
        ("tagged", "ben", {third}),
        ("tagged", "", set()),
    ):
        page.locator("#by").select_option(whose)
        page.locator("#marks").select_option(marks)
        page.wait_for_function(SHOWN, arg=sorted(expected))
    for whose, number in (("", 10), ("ben", 10), ("*", 10)):
        page.goto(f"{address}?marks=unreviewed&by={whose}")
        expect(page.locator("#count")).to_have_text(f"{number} of 12 trials")
    page.goto(f"{address}?marks=suggested")
    expect(page.locator("#count")).to_have_text("4 of 12 trials")  # the upper third of six, for each prompt
    expect(page.locator(".signs small").first).to_have_text("judges suggest")


def test_agreement_of_two_stands_beside_one_s_name(page: Page, address: str, store: Store) -> None:
    first, second, *_ = (row["trial_id"] for row in query(store, "SELECT trial_id FROM trials ORDER BY trial_id").to_pylist())
    for who, trial, value in (("anna", first, 1.0), ("ben", first, 1.0), ("anna", second, 1.0), ("ben", second, -1.0)):
        append(store, "made-up", "ratings", {"trial_id": trial, "kind": "pick", "value": value, "rated_by": who})
    page.goto(address)
    expect(page.locator("#agreement")).to_have_text("agreement κ 0.00")  # they agree on one of two, as chance would
    expect(page.locator("#agreement")).to_have_attribute("title", "Cohen’s kappa of anna, ben on 2 pictures: 0.00")


def test_marks_of_a_closed_tab_are_sent_by_the_next(page: Page, address: str, store: Store) -> None:
    page.goto(address)
    page.locator(".tile").first.focus()
    page.route("**/marks", lambda route: route.abort())
    page.keyboard.press("x")
    page.keyboard.press("3")
    expect(page.locator("#notice")).to_contain_text("2 of your marks wait for the server; they are kept in this browser.")
    other = page.context.new_page()
    page.close()
    other.goto(address)
    assert rows(other, store, 2) == [("pick", -1, None), ("stars", 3, None)]
    assert query(store, "FROM ratings").num_rows == 2


def test_two_tabs_at_once_lose_none_and_double_none(page: Page, address: str, store: Store) -> None:
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(address)
        tab.locator(".tile").first.focus()
    for number in range(10):
        for tab in (page, other):
            tab.keyboard.press(str(1 + number % 5))
    rows(page, store, 10)
    rows(other, store, 10)
    assert query(store, "FROM ratings").num_rows == 20


def test_a_page_that_only_reads_offers_no_marks(page: Page, store: Store) -> None:
    with free_socket() as listening, serving(make_app(store, writable=False), listening) as address:
        page.goto(f"{address}/sweeps/made-up")
        page.locator(".tile").first.focus()
        page.keyboard.press("p")
        expect(page.get_by_role("button", name="Review")).to_be_hidden()
        expect(page.locator(".signs *")).to_have_count(0)
    assert query(store, "FROM ratings").num_rows == 0
