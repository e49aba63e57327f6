"""Plots: means and bands as the scores have them, dots by setting and score, and an end to both; on the page, a rectangle that searches."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from dreamsweep.report.query import query
from dreamsweep.results.appended import write_judged
from dreamsweep.review import plots as module
from dreamsweep.review.app import make_app
from dreamsweep.review.catalogues import Catalogues
from dreamsweep.review.plots import CurvesQuestion, Plots, ScatterQuestion, scatter_of
from dreamsweep.review.wall import PageOfWall, Walls
from dreamsweep.store import Store, open_store
from tests.browser import browser, chromium, serving
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

CHROMIUM = chromium()
STROKES = {"engine": "strokes", "num_paths": [16, 64], "num_iter": 30}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle", STROKES], seeds=[0, 1, 2])
    return store


def scores(store: Store, engine: str, iteration: int) -> list[float]:
    """Returns the judge's scores at an iteration."""
    sql = f"SELECT judge FROM scores JOIN trials USING (trial_id) WHERE engine = '{engine}' AND iteration = {iteration}"
    column: list[float] = query(store, sql, "made-up")["judge"].to_pylist()
    return column


def test_curves_are_the_mean_and_the_middle_eight_tenths(store: Store) -> None:
    plots = Plots(Walls(Catalogues(store)))
    dalle, strokes = (answer := plots.curves("made-up", CurvesQuestion(by="engine"))).curves
    assert (answer.matched, answer.more) == (18, 0)
    assert [(curve.value, curve.trials, curve.drawn) for curve in (dalle, strokes)] == [("dalle", 6, 6), ("strokes", 12, 12)]
    assert dalle.at == [1, 10, 20, 30, 40, 50, 60] and strokes.at == [1, 10, 20, 30], "a run that has ended counts no more"
    for curve in (dalle, strokes):
        for n, iteration in enumerate(curve.at):
            known = scores(store, curve.value, int(iteration))
            assert curve.counts[n] == len(known) and curve.mean[n] == pytest.approx(np.mean(known), rel=1e-5)
            assert [curve.low[n], curve.high[n]] == pytest.approx(np.quantile(known, [0.1, 0.9]), rel=1e-5)
    shares = plots.curves("made-up", CurvesQuestion(by="engine", along="share")).curves
    assert [curve.at[-1] for curve in shares] == [1, 1] and [curve.mean[-1] for curve in shares] == [dalle.mean[-1], strokes.mean[-1]]
    (together,) = plots.curves("made-up", CurvesQuestion(q="seed:1")).curves
    assert (together.value, together.trials) == ("all trials", 6)
    assert not plots.curves("made-up", CurvesQuestion(q="zebra", by="engine")).curves


def test_curves_of_several_sweeps(store: Store) -> None:
    publish_sample(store, name="other", prompts=["a rocket"], engines=["dalle"], seeds=[0, 1], iterations=20)
    answer = Plots(Walls(Catalogues(store))).curves("made-up,other", CurvesQuestion(by="sweep", q="engine:dalle"))
    assert [(curve.value, curve.trials, curve.at[-1], curve.counts[-1]) for curve in answer.curves] == [
        ("made-up", 6, 60, 6),
        ("other", 2, 20, 2),
    ]


def test_curves_have_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MOST_CURVES", 1), ("MOST_IN_A_CURVE", 5), ("MOST_POINTS", 3)):
        monkeypatch.setattr(module, name, most)
    answer = Plots(Walls(Catalogues(store))).curves("made-up", CurvesQuestion(by="engine"))
    (curve,) = answer.curves
    assert (curve.value, curve.trials, curve.drawn, answer.more) == ("strokes", 12, 5, 1)
    assert curve.at == [10, 20, 30] and set(curve.counts) == {5}


def test_a_dot_for_each_trial(store: Store) -> None:
    trials = query(store, "SELECT trial_id FROM trials ORDER BY trial_id", "made-up")["trial_id"].to_pylist()
    judged = [
        {"trial_id": trial, "picture": "best.png", "judge": "taste", "version": "1", "score": n / 8} for n, trial in enumerate(trials)
    ]
    write_judged(store, "made-up", "judgements", judged, "all")
    walls = Walls(Catalogues(store))
    tiles = {tile.key: tile for tile in walls.page("made-up", PageOfWall()).tiles}
    dots = scatter_of(walls, "made-up", ScatterQuestion(across="num_paths", up="judge", by="engine"))
    assert (dots.matched, dots.plotted, dots.places, dots.groups) == (18, 12, ["16", "64"], ["strokes"])
    assert dots.y == pytest.approx([tiles[key].judge for key in dots.keys], rel=1e-5)
    assert dots.x == [float("num_paths 64" in tiles[key].label) for key in dots.keys]
    dots = scatter_of(walls, "made-up", ScatterQuestion(across="judge", up="taste", by="engine"))
    assert dots.places is None and dict(zip(dots.keys, dots.y, strict=True)) == {trial: n / 8 for n, trial in enumerate(trials)}
    assert [dots.groups[number] for number in dots.group] == [tiles[key].engine for key in dots.keys]
    assert walls.page("made-up", PageOfWall(q="taste>=0.5 taste<=1")).matched == 5
    assert walls.page("made-up", PageOfWall(sort="taste")).tiles[0].key == trials[-1]
    assert scatter_of(walls, "made-up", ScatterQuestion(up="nothing")).keys == []


def test_dots_have_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MOST_DOTS", 7), ("MOST_PLACES", 1), ("MOST_CURVES", 1)):
        monkeypatch.setattr(module, name, most)
    dots = scatter_of(Walls(Catalogues(store)), "made-up", ScatterQuestion(across="engine", by="seed"))
    assert (len(dots.keys), dots.plotted, dots.places, dots.left_out) == (7, 12, ["strokes"], 1)
    assert len(dots.groups) == 2 and dots.groups[1] == "others" and {*dots.group} == {0, 1}
    monkeypatch.setattr(module, "FEW", 2)
    assert scatter_of(Walls(Catalogues(store)), "made-up", ScatterQuestion(across="seed")).places is None


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")
def test_a_rectangle_on_the_page_searches(store: Store) -> None:
    assert CHROMIUM
    with free_socket() as listening, serving(make_app(store), listening) as address, browser(CHROMIUM) as page:
        page.goto(f"{address}/sweeps/made-up")
        page.locator(".tile").first.wait_for()
        page.keyboard.press("l")
        expect(page.locator(".legend li")).to_have_count(3)  # by num_paths, which the sweep varies; "–" for the engine without
        page.get_by_label("By", exact=True).select_option("engine")
        expect(page.locator(".legend button")).to_have_text([re.compile("dalle"), re.compile("strokes")])
        expect(page.locator("#plots polyline")).to_have_count(2)
        page.get_by_label("Kind of plot").select_option("scatter")
        dots = page.locator("#plots circle[class^=series]")
        expect(dots).to_have_count(12)
        page.get_by_label("Across").select_option("engine")
        expect(dots).to_have_count(18)
        box = page.locator(".axes").bounding_box()
        assert box
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] - 2, steps=3)
        page.mouse.up()
        words = page.get_by_role("searchbox")
        expect(words).to_have_value("engine:dalle")  # the whole height, so that no score is asked for
        expect(page.locator("#count")).to_have_text("6 of 18 trials")
        expect(dots).to_have_count(6)
        page.reload()  # the rectangle and the plot stand in the address
        expect(dots).to_have_count(6)
        page.locator(".legend button").click()
        expect(words).to_have_value("")
        page.keyboard.press("Escape")
        expect(words).to_have_value("engine:dalle")
        expect(dots).to_have_count(6)  # the answer is drawn
        dots.first.click(force=True)
        expect(page.get_by_role("dialog", name="One trial")).to_be_visible()
