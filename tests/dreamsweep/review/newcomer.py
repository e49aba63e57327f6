"""A newcomer's first morning, by the keyboard alone: keep some pictures of a night, take them away, make a sweep of five, ask about it.

python -m tests.dreamsweep.review.newcomer --trials 5000 --kept 40
"""

import argparse
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from dreamsweep.planning.expand import trials
from dreamsweep.planning.sweep_file import load_sweep
from dreamsweep.report.query import query
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.browser import browser, chromium, serving
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

FIVE, MOST_TABS = 5, 200
PICKED = "SELECT count(*) AS picked FROM ratings WHERE kind = 'pick' AND value = 1 AND rated_by = 'newcomer'"


def publish_night(store: Store, number: int) -> None:
    """Publishes so many trials of 20 prompts, or a few more."""
    prompts = [{"template": "thing {n}", "n": [str(n) for n in range(20)]}]
    publish_sample(store, prompts=prompts, engines=["dalle"], seeds=[*range(-(-number // 20))], iterations=10)


def first_morning(page: Page, address: str, store: Store, kept: int, folder: Path) -> None:
    """Works through a queue, taking every third picture; then the download, the sweep and the question."""
    page.goto(f"{address}/sweeps/made-up")
    press_on(page, page.get_by_role("button", name="Review"))
    page.keyboard.type("newcomer")
    page.keyboard.press("Enter")
    expect(page.locator("figure img")).to_be_visible()
    for number in range(3 * kept):
        before = page.url
        page.keyboard.press("p" if number % 3 == 0 else "x")
        expect(page).not_to_have_url(before)
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()

    tab_to(page, page.locator("#marks"))
    page.keyboard.press("p")
    expect(page.locator("#count")).to_contain_text(f"{kept} of ")
    press_on(page, page.get_by_role("button", name="Take away"))
    with page.expect_download() as download:
        press_on(page, page.get_by_role("link", name="pictures"))
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".png")]) == kept
    page.keyboard.press("Escape")

    tab_to(page, page.locator(".tile").first)
    for _ in range(FIVE):
        before = page.evaluate("document.activeElement.dataset.id")
        page.keyboard.press("5")
        page.wait_for_function("before => document.activeElement.dataset.id !== before", arg=before)
    tab_to(page, page.locator("#marks"))
    for _ in range(6):  # from "picked" down to five stars
        page.keyboard.press("ArrowDown")
    expect(page.locator("#count")).to_contain_text(f"{FIVE} of ")
    press_on(page, page.get_by_role("button", name="Take away"))
    press_on(page, page.get_by_role("button", name="Sweep file"))
    with page.expect_download() as file:
        press_on(page, page.get_by_role("link", name="Save made-up-more.yaml"))
    file.value.save_as(folder / "more.yaml")
    page.keyboard.press("Escape")
    five = query(store, "SELECT DISTINCT prompt FROM trials JOIN ratings USING (sweep, trial_id) WHERE kind = 'stars'")
    assert {trial.prompt.text for trial in trials(load_sweep(folder / "more.yaml"))} == {*five["prompt"].to_pylist()}

    press_on(page, page.get_by_role("link", name="Ask"))
    expect(page.locator("#sql")).to_be_focused()
    page.keyboard.type(PICKED)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer tbody")).to_have_text(str(kept))
    assert query(store, PICKED).to_pylist() == [{"picked": kept}]


def press_on(page: Page, element: Locator) -> None:
    """Goes to an element by Tab, and presses Enter."""
    tab_to(page, element)
    page.keyboard.press("Enter")


def tab_to(page: Page, element: Locator) -> None:
    """Presses Tab, or Shift with it where the element stands before, until the element has the focus."""
    expect(element).to_be_visible()
    back = element.evaluate("it => Boolean(document.activeElement.compareDocumentPosition(it) & Node.DOCUMENT_POSITION_PRECEDING)")
    for _ in range(MOST_TABS):
        if element.evaluate("it => it === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"{element} cannot be reached by Tab")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=5_000)
    parser.add_argument("--kept", type=int, default=40)
    options = parser.parse_args()
    executable = chromium()
    assert executable, "needs a browser: Debian's package chromium"
    with tempfile.TemporaryDirectory(prefix="dreamsweep-newcomer-") as folder:
        store = open_store(f"{folder}/runs")
        publish_night(store, options.trials)
        app = make_app(store, folder=Path(folder) / "kept")
        with free_socket() as listening, serving(app, listening) as address, browser(executable) as page:
            start = time.monotonic()
            first_morning(page, address, store, options.kept, Path(folder))
            sys.stdout.write(f"kept {options.kept} of {options.trials:,} in {time.monotonic() - start:.0f} s\n")


if __name__ == "__main__":
    main()
