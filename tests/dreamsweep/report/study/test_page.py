"""The report: one page that holds everything in itself, with the sections that a sweep has something for, or asks for."""

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from dreamsweep.errors import StoreError
from dreamsweep.report.study.page import write_report
from dreamsweep.results.appended import write_judged
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample

SETTINGS: dict[str, Any] = {
    "prompts": ["a cat", "a photo of a cat", "a <b>dog</b> & $x$"],
    "engines": [{"engine": "dalle", "optimizer": ["adam", "sgd", "rmsprop", "adagrad"]}],
    "seeds": [0, 1],
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def page(store: Store) -> str:
    return store.read(write_report(store, "made-up").page).decode()


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def ask_for(store: Store, **report: Any) -> None:
    """Has the stored sweep file ask for that."""
    store.write(keys.sweep_file("made-up"), yaml.safe_dump({"name": "made-up", "report": report}).encode())


def judge(store: Store, name: str, scores: dict[str, float | None], details: list[tuple[str, float]]) -> None:
    rows = [
        {
            **dict.fromkeys(("version", "prompt", "reason", "error")),
            **{"trial_id": trial, "picture": "best.png", "iteration": 60, "judge": name, "score": score, "details": details},
            "scored_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        for trial, score in scores.items()
    ]
    write_judged(store, "made-up", "judgements", rows, "a")


def trial_ids(store: Store) -> list[str]:
    return sorted(keys.trial_of(key) for key in store.keys(keys.pictures("made-up")) if key.endswith("best.png"))


def test_a_report_holds_everything_in_itself_and_its_plots_lie_beside_it(store: Store) -> None:
    publish_sample(store, snapshots=(10, 20, 30, 60), **SETTINGS)
    written = write_report(store, "made-up")
    html = store.read(written.page).decode()
    assert written.page == "made-up/summary/report.html"
    assert titles(html) == [
        "Pictures", "Scores", "Curves", "Does a lower loss mean a better score?", "Peak and decline", "Films", "Settings and versions",
    ]  # fmt: skip
    assert set(re.findall(r'(?:src|href)="([^#"]{5})', html)) == {"data:"} and "<script" not in html
    assert [key.rpartition("/")[2] for key in written.plots] == [
        "report-pictures.png", "report-curves.png", "report-loss.png", "report-strips.png",
    ]  # fmt: skip
    for key in written.plots:
        image = Image.open(io.BytesIO(store.read(key)))
        assert image.format == "PNG" and len(image.convert("RGB").getcolors(1 << 24) or []) > 10


def test_what_people_wrote_is_text_and_no_markup(store: Store) -> None:
    publish_sample(store, **SETTINGS)
    html = page(store)
    assert "<b>dog" not in html and "a &lt;b&gt;dog&lt;/b&gt; &amp; $x$" in html


def test_a_sweep_file_chooses_sections_and_one_without_anything_says_what_to_do(store: Store) -> None:
    publish_sample(store, **SETTINGS)
    ask_for(store, sections=["labels", "scores"])
    html = page(store)
    assert titles(html) == ["Labels", "Scores"]
    assert "No labels yet: dreamsweep judge made-up --with labels:cifar100" in html


def test_labels_are_the_likeliest_of_the_best_trial_of_each_prompt_and_setting(store: Store) -> None:
    publish_sample(store, **SETTINGS)
    ask_for(store, sections=["labels"])
    judge(store, "labels:things", dict.fromkeys(trial_ids(store), 0.25), [("cat", 0.25), ("dog", 0.6), ("cow", 0.15)])
    html = page(store)
    assert html.count("dog 60%, cat 25%, cow 15%") == 3 * 4  # not twice, for two seeds
    assert ">25%<" in html


def test_a_judge_that_chose_nothing_stands_beside_the_one_that_chose(store: Store) -> None:
    publish_sample(store, **SETTINGS)
    ask_for(store, sections=["scores", "settings"])
    assert "Only the judge that chose the pictures has scored them." in page(store)
    judge(store, "views:RN50", {trial: number / 100 for number, trial in enumerate(trial_ids(store))}, [])
    html = page(store)
    assert "Only the judge that chose the pictures has scored them." not in html
    assert "starter-judge (chose the best pictures: the highest of its looks)" in html
    assert "views:RN50 (chose nothing: one look at each best picture)" in html
    assert "How far the judges agree" in html


def test_sets_are_shown_with_their_grids(store: Store) -> None:
    publish_sample(store, **SETTINGS)
    Image.new("RGB", (8, 8)).save(out := io.BytesIO(), "PNG")
    store.write(keys.set_grid("made-up", "g"), out.getvalue())
    known = {"judge": "diversity", "perceptor": "RN50", "version": "0", "pictures": 8, "unread": 0}
    rows = [
        {
            **dict.fromkeys(("real_pictures", "error", "setting")),
            **known,
            "prompt": prompt,
            "engine": "dalle",
            "metric": metric,
            "value": value,
            "grid_uri": uri,
        }
        for prompt, uri in (("a cat", keys.set_grid_address("g")), (None, None))
        for metric, value in (("mean_distance", 0.125), ("vendi_score", None if prompt else 2.5))
    ]
    write_judged(store, "made-up", "set_scores", rows, "a")
    html = page(store)
    assert "Sets of pictures" in titles(html)
    (table,) = re.findall(r"diversity: statistics of sets of pictures.*?</table>", html, re.S)
    assert re.findall(r'<th scope="col">(.*?)</th>', table) == ["setting", "prompt", "pictures", "mean_distance", "vendi_score"]
    assert re.findall(r"<td[^>]*>(.*?)</td>", table) == ["dalle", "all prompts", "8", "0.125", "2.5", "dalle", "a cat", "8", "0.125", "–"]
    assert html.count("<figcaption>a cat · dalle</figcaption>") == 1


def test_phrasings_are_compared_in_pairs(store: Store) -> None:
    publish_sample(store, **SETTINGS)
    ask_for(store, phrasings=["a photo of {}", "{}"])
    html = page(store)
    assert "Which phrasing wins" in titles(html)
    (pairs,) = re.findall(r"“a photo of {}” − “{}”</td><td[^>]*>(\d+)<", html)
    assert int(pairs) == 4 * 2  # settings × seeds; the dog has one phrasing alone


def test_walks_have_a_section_of_their_own(store: Store) -> None:
    publish_sample(store, prompts=[{"text": "a cat", "to": "a dog"}], engines=["interpolation"], iterations=10)
    html = page(store)
    assert "In between" in titles(html) and "a cat → a dog" in html
    assert "Does a lower loss mean a better score?" not in titles(html)


def test_a_single_trial_has_a_report(store: Store) -> None:
    publish_sample(store, prompts=["a cat"], engines=["dalle"])
    assert "One seed: a difference between two settings may be chance." in page(store)


def test_a_sweep_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match="made-up"):
        write_report(store, "made-up")
