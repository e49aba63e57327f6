"""What the review page is told: every published sweep, the trials of one, all about one trial."""

import math
from pathlib import Path

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.report.query import query
from dreamsweep.results.appended import write_judged
from dreamsweep.review import rows
from dreamsweep.review.rows import cards, detail
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


def ids(store: Store) -> list[str]:
    """Trials by their standings."""
    rows = query(store, "SELECT trial_id FROM trials JOIN standings USING (sweep, trial_id) ORDER BY rank, trial_id").to_pylist()
    return [row["trial_id"] for row in rows] or [row["trial_id"] for row in query(store, "SELECT trial_id FROM trials").to_pylist()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_sweeps_are_told_with_their_best_picture(store: Store) -> None:
    assert cards(store) == []
    publish_sample(store, diverged=1)
    publish_sample(store, name="other", prompts=["a red heart"], engines=["dalle"])
    first, other = cards(store)
    assert (first.sweep, first.trials, first.done, first.prompts, first.engines) == ("made-up", 12, 10, 6, ["dalle", "strokes"])
    assert (other.sweep, other.trials, other.done) == ("other", 1, 1)
    statement = "SELECT trial_id FROM ranks WHERE chose_best AND rank = 1 ORDER BY z_score DESC, score DESC LIMIT 1"
    assert first.cover == query(store, statement, "made-up")["trial_id"].to_pylist()[0]
    assert first.finished_at == "2026-01-01T00:00:00+00:00"


def test_a_damaged_sweep_takes_no_other_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.report.query.TRIES", 1)
    for name in ("whole", "without-tables", "torn"):
        publish_sample(store, name=name, prompts=["a red heart"], engines=["dalle"])
    for key in [*store.keys("without-tables/tables/")]:
        store.delete(key)
    assert [(card.sweep, card.trials) for card in cards(store) if card.error is None] == [("torn", 1), ("whole", 1)]
    assert [card.sweep for card in cards(store) if card.error] == ["without-tables"]
    store.write("torn/manifest.json", b"{bro")
    errors = {card.sweep: card.error for card in cards(store)}
    assert errors.pop("whole") is None and "is no manifest" in (errors["torn"] or "") and "refused" in (errors["without-tables"] or "")


def test_a_trial_is_told_whole(store: Store) -> None:
    publish_sample(store, prompts=[{"text": "a red heart", "negatives": ["blue"]}], engines=["dalle"], snapshots=(1, 30, 60))
    (trial,) = ids(store)
    info = detail(store, "made-up", trial)
    assert (info.id, info.prompt, info.error) == (trial, "a red heart", None)
    assert info.files == {"best": "best.png", "final": "final.png", "film": "film.webp"}
    assert info.snapshots == {1: "000001.png", 30: "000030.png", 60: "000060.png"}
    assert info.facts["without"] == "blue" and info.facts["iterations"] == "60" and 0 < float(info.facts["judge"]) < 1
    assert info.settings["optimizer"] == "adam 0.1"
    assert info.curves.iteration == list(range(1, 61)) and None not in info.curves.guide
    assert [at for at, mark in zip(info.curves.iteration, info.curves.judge, strict=True) if mark is not None] == [1, *range(10, 61, 10)]


def test_a_trial_that_diverged_says_why(store: Store) -> None:
    publish_sample(store, diverged=1, prompts=["a red heart"], engines=["dalle"])
    (trial,) = ids(store)
    info = detail(store, "made-up", trial)
    assert (info.facts["status"], info.error, info.facts["iterations"]) == ("diverged", "loss is not a number", "20 of 60")


def test_long_curves_are_thinned_but_for_the_judge_s_marks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_POINTS", 4)
    publish_sample(store, prompts=["a red heart"], engines=["dalle"])
    curves = detail(store, "made-up", ids(store)[0]).curves
    assert curves.iteration == [1, 10, 15, 20, 30, 40, 45, 50, 60]
    assert all(mark is not None for at, mark in zip(curves.iteration, curves.judge, strict=True) if at % 10 == 0)


def test_json_gets_no_nan() -> None:
    assert [rows._number(value) for value in (0.5, None, math.nan, math.inf)] == [0.5, None, None, None]


@pytest.mark.parametrize("trial", ["0" * 16, "' OR 1=1 --"])
def test_what_is_not_there_is_told(store: Store, trial: str) -> None:
    publish_sample(store)
    with pytest.raises(StoreError, match=r"no published sweep 'made-upp'; did you mean 'made-up'\?"):
        detail(store, "made-upp", trial)
    with pytest.raises(StoreError, match="sweep 'made-up' has no trial"):
        detail(store, "made-up", trial)


def test_a_trial_says_what_further_judges_say_of_its_best_picture(store: Store) -> None:
    publish_sample(store, prompts=["a red heart"])
    first, second = (row["trial_id"] for row in query(store, "SELECT trial_id FROM trials ORDER BY trial_id").to_pylist())
    best = {"picture": "best.png", "version": "1"}
    entries: list[dict[str, object]] = [
        {**best, "trial_id": first, "judge": "taste", "score": 0.25},
        {**best, "trial_id": second, "judge": "taste", "score": 0.75},
        {
            **best,
            "trial_id": first,
            "judge": "labels:things",
            "score": None,
            "reason": "the prompt names none of them; owl 40%",
            "details": {"cat": 0.25, "owl": 0.4},
        },
        {**best, "trial_id": first, "judge": "broken", "error": "no pixels"},
        {**best, "trial_id": first, "judge": "later", "picture": "final.png", "score": 1.0},
    ]
    write_judged(store, "made-up", "judgements", entries, "all")
    facts = detail(store, "made-up", first).facts
    assert facts["taste"] == "0.250, rank 2 of 2 of this prompt" and facts["broken"] == "failed: no pixels"
    assert facts["labels:things"] == "the prompt names none of them; owl 40%" and "later" not in facts
    assert list(detail(store, "made-up", first).shares["labels:things"].items()) == [("owl", 0.4), ("cat", 0.25)]
    assert detail(store, "made-up", second).shares == {}
    assert detail(store, "made-up", second).facts["taste"] == "0.750, rank 1 of 2 of this prompt"
