"""Taking away, asking and watching in a headless browser, and that what is taken away is what the page shows."""

import csv
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dreamsweep.planning.expand import shards, trials
from dreamsweep.planning.sweep_file import load_sweep, sweep_text
from dreamsweep.report.query import query
from dreamsweep.results.publishing import gather, publish
from dreamsweep.review import live
from dreamsweep.review.app import make_app
from dreamsweep.store import Store
from tests.browser import chromium, empty_page, serving
from tests.conftest import free_socket
from tests.dreamsweep.export.conftest import PROMPTS, ids, store
from tests.dreamsweep.sample_sweep import sample_sweep, stage_sample

__all__ = ["store"]
CHROMIUM = chromium()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")]
SEARCHES = [
    *(
        "heart",
        "heart|rocket",
        "-heart",
        '"red heart"',
        "seed:1",
        "seed 0",
        "judge>0.3",
        "judge<=0.3 rank<3",
        "num_paths:64",
        "num_paths 256",
    ),
    *(
        "strokes 1",
        "optimizer:adam",
        "learning_rate=0.1",
        "adam 0.1",
        "engine:dalle|strokes -seed:1",
        "<script>",
        "قلب",
        "64",
        "6",
        '"seed 1"',
    ),
    *("nothing:1", "nothing>1", "status:done", "z_score>=0", "guide>x", "HEART", "rank:1|2", "prompt:x", '""', "-"),
]
SHOWN = "ids => String([...document.querySelectorAll('.tile')].map(tile => tile.dataset.id).sort()) === String(ids)"


@pytest.fixture
def address(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(live, "FRESH_SECONDS", 0.0)
    with free_socket() as listening, serving(make_app(store), listening) as address:
        yield address


@pytest.fixture
def page(opened_browser: Browser) -> Iterator[Page]:
    """A page that must raise no error."""
    with empty_page(opened_browser) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None)
        yield page
        assert wrong == []


def test_the_server_selects_what_the_page_shows(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up")
    for words in SEARCHES:
        page.locator("#words").fill(words)
        expect(page).to_have_url(re.compile(r"q=" if words else "made-up$"))
        page.wait_for_function("words => new URLSearchParams(location.search).get('q') === words", arg=words)
        answer = page.request.get(f"{address}/api/sweeps/made-up/export/csv", params={"q": words})
        selected = {row["trial_id"] for row in csv.DictReader(answer.text().splitlines())} if answer.ok else set()
        page.wait_for_function(SHOWN, arg=sorted(selected))


def test_filters_are_taken_away_as_pictures_and_as_a_sweep(page: Page, address: str, store: Store, tmp_path: Path) -> None:
    page.goto(f"{address}/sweeps/made-up?q=heart&marks=picked&by=anna")
    page.get_by_role("button", name="Take away").click()
    expect(page.locator("#takeaway h2").first).to_have_text("Take away 2 trials")
    with page.expect_download() as download:
        page.get_by_role("link", name="pictures").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {name.removesuffix(".png")[-16:] for name in archive.namelist()} == {*ids(store, PROMPTS[0])[:2], "trials.csv"}
    page.get_by_label("of each prompt the best alone").check()
    assert "best=1" in (page.get_by_role("link", name="CSV").get_attribute("href") or "")
    page.get_by_label("of each prompt the best alone").uncheck()
    page.get_by_label("Seeds", exact=True).fill("3")
    page.get_by_role("button", name="Sweep file").click()
    with page.expect_download() as file:
        page.get_by_role("link", name="Save made-up-more.yaml").click()
    file.value.save_as(tmp_path / "more.yaml")
    assert {trial.prompt.text for trial in trials(load_sweep(tmp_path / "more.yaml"))} == {PROMPTS[0]}
    page.get_by_label("Kind of sweep").select_option("new-prompts")
    page.get_by_role("button", name="Sweep file").click()
    expect(page.locator("#takeaway [role=status]")).to_contain_text("name at least one")


def test_questions_are_answered_with_a_table_and_a_plot(page: Page, address: str) -> None:
    page.goto(f"{address}/sweeps/made-up")
    page.get_by_role("link", name="Ask").click()
    expect(page.locator("#sweep")).to_have_value("made-up")
    page.get_by_role("button", name="The best picture of each prompt").click()
    expect(page.locator("#answer tbody tr")).to_have_count(3)
    expect(page.locator("#answer td", has_text=PROMPTS[2])).to_have_count(1)  # a prompt that is a script is text
    expect(page.locator("#plot rect")).to_have_count(3)
    page.locator("#sql").fill("SELECT iteration, avg(guide) AS guide FROM scores GROUP BY 1 ORDER BY 1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#plot polyline")).to_have_count(1)
    page.locator("#sql").fill("COPY trials TO '/tmp/x'")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#said")).to_have_text(re.compile("a query only reads, and COPY does more"))


def test_a_running_sweep_fills_the_wall(page: Page, address: str, store: Store) -> None:
    first, second = shards(sample_sweep(name="night", prompts=["a red heart", "a rocket"], shard_size=2))
    store.write("night/sweep.yaml", sweep_text(sample_sweep(name="night", prompts=["a red heart", "a rocket"], shard_size=2)).encode())
    wanted = {trial.id for shard in (first, second) for trial in shard.trials}
    stage_sample(store, first, diverged=1)
    publish(store, gather(store, "night", wanted, "0" * 64))
    page.clock.install()
    page.goto(f"{address}/sweeps/night?sort=prompt")
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.locator("#live summary")).to_have_text("1 trial failed or diverged")
    stage_sample(store, second)
    publish(store, gather(store, "night", wanted, "0" * 64))
    page.clock.run_for(40_000)
    expect(page.locator(".tile")).to_have_count(4)
    page.locator("#words").fill("engine:strokes")
    page.clock.run_for(1_000)
    expect(page.locator(".tile")).to_have_count(2)
    assert query(store, "SELECT count(*) AS n FROM trials", "night").to_pylist() == [{"n": 4}]
