"""The review page in a headless browser, used as a person uses it: with the mouse, and with the keyboard alone."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.browser import chromium, empty_page, serving
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]
HOSTILE = "<img src=x onerror=document.title='got'> & a red heart"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(str(tmp_path_factory.mktemp("review") / "runs"))
    prompts = ["a red heart", "قلب أحمر", HOSTILE, {"template": "thing {n}", "n": [str(n) for n in range(90)]}]
    publish_sample(store, prompts=prompts, engines=["dalle", {"engine": "strokes", "num_paths": [16, 64]}], snapshots=(1, 20, 40))
    publish_sample(store, diverged=1, name="other", prompts=["a rocket"], engines=["dalle"])
    return store


@pytest.fixture(scope="module")
def address(store: Store) -> Iterator[str]:
    with free_socket() as listening, serving(make_app(store), listening) as address:
        yield address


@pytest.fixture
def page(opened_browser: Browser, address: str) -> Iterator[Page]:
    """A page that must raise no error and log none."""
    with empty_page(opened_browser) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        yield page
        assert wrong == []


def tiles(page: Page) -> list[str]:
    ids: list[str] = page.eval_on_selector_all(".tile", "all => all.map(tile => tile.dataset.id)")
    return ids


def test_from_all_sweeps_to_the_wall_of_one(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("link", name="made-up").click()
    expect(page.get_by_role("heading", name="made-up")).to_be_visible()
    expect(page.locator("#count")).to_have_text("279 trials")
    expect(page.locator(".tile img").first).to_have_js_property("complete", True)
    assert page.locator(".tile img").first.evaluate("img => img.naturalWidth") > 0
    expect(page.locator(".tile")).to_have_count(120)
    page.keyboard.press("End")  # more are made as the page is scrolled
    expect(page.locator(".tile")).to_have_count(240)
    page.keyboard.press("End")
    expect(page.locator(".tile")).to_have_count(279)


def test_what_is_looked_for_stands_in_the_address(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up")
    expect(page.locator("#count")).to_have_text("279 trials")
    page.keyboard.press("/")
    page.keyboard.type('THIN num_paths -"thing 8"')
    expect(page.locator("#count")).to_have_text("178 of 279 trials")  # 90 things but one, each with 16 and 64 paths
    page.get_by_label("group").select_option("prompt")
    expect(page.locator("main h2").nth(10)).to_be_attached()
    page.get_by_label("sort").select_option("prompt")
    expect(page.locator("main h2").first).to_contain_text("thing 0")
    page.get_by_role("button", name="dalle").click()
    expect(page.get_by_text("No trial matches.")).to_be_visible()
    page.goto(page.url)
    expect(page.get_by_role("button", name="dalle")).to_have_attribute("aria-pressed", "true")
    assert page.get_by_label("Words that a trial must hold").input_value() == 'THIN num_paths -"thing 8"'
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#count")).to_have_text("279 trials")


def test_a_trial_by_the_keyboard_alone(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up?q=thing")
    page.locator(".tile").first.wait_for()
    first, second, *_ = tiles(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog")
    expect(viewer.locator("output")).to_have_text("iteration 60, the best")
    assert page.url.endswith(f"#{first}")
    page.keyboard.press("ArrowDown")
    expect(viewer.locator("output")).to_have_text("iteration 40")
    expect(viewer.locator("figure img")).to_have_attribute("src", re.compile(f"{first}/000040.png$"))
    page.keyboard.press("ArrowRight")
    expect(viewer.locator("figure img")).to_have_attribute("src", re.compile(f"{second}/best.png$"))
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(page.locator(f'[data-id="{second}"]')).to_be_focused()  # one goes on where one was
    page.wait_for_url(re.compile("q=thing$"))
    page.keyboard.press("Enter")
    expect(viewer.locator("output")).to_have_text("iteration 60, the best")
    for key in ("ArrowRight", "ArrowLeft"):  # what had the focus is gone each time
        page.keyboard.press(key)
    expect(viewer.locator("figure img")).to_have_attribute("src", re.compile(f"{second}/best.png$"))
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("q=thing$"))
    page.go_back()
    assert page.url == "about:blank", "a trial that was looked at costs no Back"


def test_a_trial_s_iterations_by_the_mouse(page: Page, address: str, store: Store) -> None:
    page.goto(f"{address}/sweeps/made-up?q=red+heart")
    page.locator(".tile").first.click()
    first = tiles(page)[0]
    viewer = page.get_by_role("dialog")
    expect(viewer.locator("output")).to_have_text("iteration 60, the best")
    viewer.get_by_role("slider").fill("0")
    expect(viewer.locator("output")).to_have_text("iteration 1")
    chart = viewer.get_by_role("img", name="Marks of guide and judge over the iterations")
    box = chart.bounding_box()
    assert box
    chart.click(position={"x": box["width"] * 0.38, "y": box["height"] / 2})
    expect(viewer.locator("output")).to_have_text("iteration 20")
    viewer.get_by_role("button", name="Play").click()
    expect(viewer.locator("output")).to_have_text("iteration 60, the best")
    viewer.get_by_role("button", name="Next trial").click()
    expect(viewer.locator("figure img")).not_to_have_attribute("src", re.compile(first))
    page.keyboard.press("ArrowLeft")
    expect(viewer.get_by_role("button", name="Trial before")).to_be_disabled()
    viewer.get_by_text("All settings").click()
    expect(viewer.get_by_text("cutouts", exact=True)).to_be_visible()
    viewer.get_by_role("button", name="Close").click()
    expect(viewer).to_be_hidden()


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("num_paths 16", 93),
        ("num_paths=64 -heart", 91),
        ("seed 0", 279),
        ("seed 1", 0),
        ('"red heart"', 6),
        ('"heart red"', 0),
        ('"thing 1"', 3),
        ("max_width 10", 186),
        ("num_paths:16|64", 186),
        ("num_paths>20", 93),
        ("num_paths>=16 num_paths<64", 93),
        ("red|أحمر engine:dalle", 3),
        ("-num_paths:16 -engine=dalle", 93),
        ("seed<0", 0),
    ],
)
def test_words_quotes_and_settings_are_looked_for(page: Page, address: str, words: str, count: int) -> None:
    page.goto(f"{address}/sweeps/made-up?q={quote(words)}")
    expect(page.locator("#count")).to_have_text("279 trials" if count == 279 else f"{count} of 279 trials")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("num_path>16", "Nothing here is called “num_path”; try seed, engine, "),
        ("num_paths>many", "“many” is no number to compare num_paths with."),
        ("colour:red", "No setting is called “colour”; so it is looked for as a word."),
    ],
)
def test_a_word_that_is_not_understood_is_told_of(page: Page, address: str, words: str, sentence: str) -> None:
    page.goto(f"{address}/sweeps/made-up?q={quote(words)}")
    expect(page.locator("#notice")).to_contain_text(sentence)
    page.get_by_role("searchbox").fill("heart")
    expect(page.locator("#notice")).to_be_empty()


def test_an_optimizer_s_rate_is_looked_for_by_its_name(page: Page, address: str, store: Store) -> None:
    engine = {"engine": "dalle", "optimizer": ["adam", {"name": "sgd", "learning_rate": 15}]}
    publish_sample(store, name="rates", prompts=["a rocket"], seeds=[1, 15], engines=[engine])
    for words, count in (("sgd 15", 2), ("learning_rate 15", 2), ("learning_rate:15", 2), ("learning_rate<1", 2), ("seed:15", 2)):
        page.goto(f"{address}/sweeps/rates?q={quote(words)}")
        expect(page.locator("#count")).to_have_text(f"{count} of 4 trials")
    page.goto(f"{address}/sweeps/rates?group=learning_rate&sort=learning_rate")
    expect(page.locator("main h2")).to_have_text(["learning_rate 0.1 2 trials", "learning_rate 15 2 trials"])
    page.locator("#group").select_option("optimizer")
    expect(page.locator("main h2")).to_have_text(["optimizer adam 0.1 2 trials", "optimizer sgd 15 2 trials"])


def test_the_wall_comes_back_to_the_picture_seen_last(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up")
    page.locator(".tile").nth(20).click()
    viewer = page.get_by_role("dialog")
    all_tiles = tiles(page)
    for at in range(21, 40):
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(f"#{all_tiles[at]}$"))
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    last = page.locator(f'[data-id="{all_tiles[39]}"]')
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    page.reload()
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()


def test_actual_size_full_screen_and_the_id(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up")
    page.locator(".tile").first.click()
    viewer, picture = page.get_by_role("dialog"), page.locator("figure img")
    expect(picture).to_have_js_property("naturalWidth", 128)
    assert picture.evaluate("img => img.clientWidth") > 400
    page.keyboard.press("a")
    expect(picture).to_have_js_property("clientWidth", 128)
    picture.click()
    assert picture.evaluate("img => img.clientWidth") > 400
    page.keyboard.press("f")
    page.locator(".stage:fullscreen").wait_for()
    page.keyboard.press("f")
    page.locator(".stage:not(:fullscreen)").wait_for()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    viewer.get_by_role("button", name="Copy id").click()
    expect(viewer.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == tiles(page)[0]


def test_escape_in_the_search_shows_all_again(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up?q=zebra")
    expect(page.locator("#count")).to_have_text("0 of 279 trials")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator("#count")).to_have_text("279 trials")


def test_a_sweep_that_grew_is_shown_whole_when_the_page_comes_back(page: Page, address: str, store: Store) -> None:
    publish_sample(store, name="grows", prompts=["a rocket"], engines=["dalle"])
    page.goto(f"{address}/sweeps/grows")
    expect(page.locator("#count")).to_have_text("1 trial")
    publish_sample(store, name="grows", prompts=["a rocket", "a heart"], engines=["dalle"])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#count")).to_have_text("2 trials")
    for key in [*store.keys("grows/")]:
        store.delete(key)


def test_prompts_are_text_whatever_they_hold(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up?q=onerror")
    page.locator(".tile").first.click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(HOSTILE)
    assert page.title() == "made-up · dreamsweep"
    page.goto(f"{address}/sweeps/made-up?q=أحمر")
    expect(page.locator("#count")).to_have_text("3 of 279 trials")


def test_a_trial_that_diverged_says_so(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/other")
    expect(page.locator(".tile")).to_contain_text("diverged")
    page.locator(".tile").click()
    expect(page.get_by_role("dialog").get_by_text("loss is not a number")).to_be_visible()


@pytest.mark.parametrize("side", [1280, 390])
def test_nothing_lies_beyond_the_edge(page: Page, address: str, side: int) -> None:
    page.set_viewport_size({"width": side, "height": 800})
    page.goto(f"{address}/sweeps/made-up?group=prompt&q=heart")
    page.locator(".tile").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= side
    page.locator(".tile").first.click()
    expect(page.get_by_role("dialog").locator("output")).to_contain_text("iteration")
    assert page.get_by_role("dialog").evaluate("one => one.scrollWidth - one.clientWidth") <= 0
