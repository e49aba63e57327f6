"""Stepping through a wall, and trials beside each other, in a headless browser."""

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
PIXELS = """() => [...document.querySelectorAll("[data-stepped] .picture")].map((picture) => {
    const { left, top, width, height } = picture.getBoundingClientRect();
    return [...document.getElementById("stepped").getContext("2d").getImageData(left, top, width, height).data].join();
})"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(str(tmp_path_factory.mktemp("comparing") / "runs"))
    engine = {"engine": "strokes", "num_paths": [16, 64]}
    publish_sample(store, prompts=["a red heart"], engines=[engine], seeds=[0, 1], iterations=40, snapshots=(1, 20, 40))
    publish_sample(store, name="other", prompts=["a rocket"], engines=["dalle"])
    return store


@pytest.fixture(scope="module")
def address(store: Store) -> Iterator[str]:
    with free_socket() as listening, serving(make_app(store), listening) as address:
        yield f"{address}/sweeps"


@pytest.fixture
def page(opened_browser: Browser) -> Iterator[Page]:
    """A page that must raise no error and log none."""
    with empty_page(opened_browser) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        yield page
        assert wrong == []


def test_one_slider_moves_every_tile(page: Page, address: str) -> None:
    page.goto(f"{address}/made-up")
    page.locator(".tile").first.wait_for()
    page.keyboard.press("s")
    stepped, output = page.locator("[data-stepped]"), page.locator("#steps output")
    expect(stepped).to_have_count(4)
    expect(output).to_have_text("100 % of the run")
    last = page.evaluate(PIXELS)
    page.keyboard.press("ArrowLeft")
    expect(output).to_have_text("50 % of the run")
    half = page.evaluate(PIXELS)
    assert all(before != after for before, after in zip(last, half, strict=True))
    page.get_by_label("Step by").select_option("iteration")
    expect(output).to_have_text("iteration 20")
    assert page.evaluate(PIXELS) == half
    page.locator(".tile").first.focus()
    page.keyboard.press(".")
    expect(output).to_have_text("iteration 40")
    page.locator("#sort").select_option("seed")  # tiles are made anew, and step as well
    expect(stepped).to_have_count(4)
    page.get_by_role("button", name="Play").click()
    expect(output).to_have_text("iteration 40")
    page.get_by_role("button", name="Steps").click()
    expect(stepped).to_have_count(0)
    page.goto(f"{address}/other")
    page.get_by_role("button", name="Steps").click()
    expect(page.locator("#notice")).to_contain_text("No pictures were kept on the way")


def test_trials_beside_each_other(page: Page, address: str, store: Store) -> None:
    trials = "SELECT trial_id FROM trials WHERE seed = 0 ORDER BY strokes.num_paths"
    few, many = (row["trial_id"] for row in query(store, trials, "made-up").to_pylist())
    page.goto(f"{address}/made-up")
    for trial in (few, many):
        page.locator(f'[data-id="{trial}"]').focus()
        page.keyboard.press("c")
    page.get_by_role("button", name="Compare 2").click()
    dialog = page.get_by_role("dialog", name="Comparison")
    pictures = dialog.locator(".view img")
    expect(pictures).to_have_count(2)
    rows = {row.split("\t")[0].strip() for row in dialog.locator(".why tr").all_inner_texts()[1:]}
    assert "num_paths" in rows and not rows & {"seed", "engine", "optimizer", "prompt"}
    page.keyboard.press("ArrowDown")
    for picture, trial in zip(pictures.all(), (few, many), strict=True):
        expect(picture).to_have_attribute("src", re.compile(f"{trial}/000020.png$"))
    page.keyboard.press("+")
    for picture in pictures.all():
        expect(picture).to_have_css("transform", re.compile(r"matrix\(1.5, 0, 0, 1.5,"))
    for mode in ("slider", "difference"):
        dialog.get_by_role("button", name=mode).click()
        expect(dialog.locator(f".view.{mode} img")).to_have_count(2)
    expect(pictures.nth(1)).to_have_css("mix-blend-mode", "difference")
    expect(dialog.locator(".chart text.name")).to_have_text(["", "A", "", "B"])
    page.reload()  # a comparison has an address
    expect(pictures).to_have_count(2)
    dialog.get_by_role("button", name="B", exact=False).last.click()
    expect(page.get_by_role("dialog", name="One trial")).to_be_visible()


def test_a_grid_of_two_settings_with_a_third_as_tabs(page: Page, address: str, store: Store) -> None:
    page.goto(f"{address}/made-up")
    page.locator(".tile").first.wait_for()
    page.keyboard.press("g")
    page.locator("#grid-rows").select_option("seed")
    page.locator("#grid-columns").select_option("num_paths")
    expect(page.locator(".grid thead th span")).to_have_text(["num_paths 16", "num_paths 64"])
    expect(page.locator(".grid tbody th span")).to_have_text(["seed 0", "seed 1"])
    shown = page.eval_on_selector_all(".grid .tile", "all => all.map(tile => tile.dataset.id)")
    rows = query(
        store, "SELECT trial_id, z_score FROM standings JOIN trials USING (sweep, trial_id) ORDER BY seed, strokes.num_paths", "made-up"
    )
    assert shown == rows["trial_id"].to_pylist()
    average = sum(rows["z_score"].to_pylist()[:2]) / 2
    expect(page.locator(".grid tbody th small").first).to_have_text(f"{average:+.2f}".replace("-", "−"))
    page.get_by_role("button", name="Swap rows and columns").click()
    expect(page.locator(".grid thead th span")).to_have_text(["seed 0", "seed 1"])
    page.locator("#grid-tabs").select_option("seed")
    page.locator("#grid-columns").select_option("prompt")
    page.get_by_role("group", name="Tabs").get_by_role("button", name="1").click()
    expect(page.locator(".grid .tile")).to_have_count(2)
    page.reload()  # axes stand in the address
    expect(page.locator(".grid thead th span")).to_have_text("a red heart")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as PNG").click()
    assert download.value.suggested_filename == "made-up-num_paths-prompt-seed-0.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    page.locator(".grid .tile").first.click()
    expect(page.get_by_role("dialog", name="One trial")).to_be_visible()


def test_a_facet_fills_in_what_one_would_type(page: Page, address: str) -> None:
    page.goto(f"{address}/made-up?q=heart")
    page.get_by_text("Facets").click()
    words, few, many = page.get_by_role("searchbox"), *(page.locator("#facets").get_by_role("button", name=f"{n} 2") for n in (16, 64))
    few.click()
    expect(words).to_have_value("heart num_paths:16")
    expect(page.locator("#count")).to_have_text("2 of 4 trials")
    many.click()
    expect(words).to_have_value("heart num_paths:16|64")
    expect(page.locator("#count")).to_have_text("4 trials")
    few.click()
    expect(words).to_have_value("heart num_paths:64")
    expect(many).to_have_attribute("aria-pressed", "true")
    many.click()
    expect(words).to_have_value("heart")


def test_the_sheet_of_keys(page: Page, address: str) -> None:
    page.goto(f"{address}/made-up")
    page.locator(".tile").first.click()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet.get_by_text("choose for comparison")).to_be_visible()
    page.keyboard.press("p")  # no other key means anything here
    page.keyboard.press("?")
    expect(sheet).to_be_hidden()
    expect(page.get_by_role("dialog", name="One trial")).to_be_visible()
