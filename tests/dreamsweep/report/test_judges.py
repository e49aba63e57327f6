"""What further judges say of a sweep at a glance."""

from pathlib import Path

import pytest

from dreamsweep.report.judges import Verdicts, verdicts
from dreamsweep.report.query import query
from dreamsweep.results.appended import write_judged
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two prompts, each with four trials."""
    opened = open_store(str(tmp_path))
    publish_sample(opened, prompts=["a red heart", "a rocket"], seeds=[0, 1])
    return opened


def judged(store: Store, judge: str, scores: dict[str, float | None], error: str | None = None) -> None:
    best = {"picture": "best.png", "judge": judge, "version": "1"}
    rows = [{**best, "trial_id": trial, "score": score, "error": None if score else error} for trial, score in scores.items()]
    write_judged(store, "made-up", "judgements", rows, judge)


def test_scores_failures_and_how_often_the_first_is_the_same(store: Store) -> None:
    assert verdicts(store, "made-up") == []
    rows = query(store, "SELECT trial_id, prompt, rank FROM ranks JOIN trials USING (sweep, trial_id) WHERE chose_best").to_pylist()
    assert len(rows) == 8
    same = {row["trial_id"]: -row["rank"] for row in rows}
    other = {row["trial_id"]: row["rank"] * (1 if row["prompt"] == "a rocket" else -1) for row in rows}
    judged(store, "same", same)
    judged(store, "other", other)
    judged(store, "odd", dict.fromkeys([*same][:3]), "no idea")
    judged(store, "silent", dict.fromkeys(same))
    odd, differing, agreeing, silent = verdicts(store, "made-up")
    assert agreeing == Verdicts("same", 8, 8, 0, 2, 2) and differing == Verdicts("other", 8, 8, 0, 2, 1)
    assert odd == Verdicts("odd", 3, 0, 3, 0, 0) and silent == Verdicts("silent", 8, 0, 0, 0, 0)
    assert differing.text == "8 of 8 best pictures scored; the same first as the judge for 1 of 2 prompts"
    assert odd.text == "0 of 3 best pictures scored; 3 failed" and silent.text == "0 of 8 best pictures scored"
