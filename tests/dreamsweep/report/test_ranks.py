"""Ranks within the prompt, by each judge."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import zscore

from dreamsweep.report.query import query
from dreamsweep.report.ranks import AUDITOR_WEIGHT, RANKED_TRIALS
from dreamsweep.results.appended import write_judged
from dreamsweep.spec.judges import AUDITOR
from dreamsweep.store.local import LocalStore
from tests.dreamsweep.sample_rows import publish_sample_rows
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A sweep of two prompts, whose scores differ in their optimizers: adam's are the highest, then adagrad's, then sgd's."""
    published = LocalStore(tmp_path)
    publish_sample_rows(published)
    return published


def test_a_trial_is_ranked_among_those_of_its_prompt(store: LocalStore) -> None:
    rows = query(
        store,
        "SELECT prompt, optimizer, seed, rank, ranks.trials AS trials, percentile, z_score, score = judge_best AS same, chose_best, judge "
        "FROM ranks JOIN trials USING (sweep, trial_id) WHERE engine = 'strokes' ORDER BY prompt, rank",
    ).to_pylist()
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"], []).append(row)
    assert len(by_prompt) > 1
    for group in by_prompt.values():
        assert [row["rank"] for row in group] == sorted(row["rank"] for row in group)
        assert (group[0]["rank"], group[0]["trials"], group[0]["optimizer"]) == (1, 8, "adam")
        assert group[0]["percentile"] == pytest.approx(6 / 7)  # the other engine's has the same curve
        assert all(row["same"] and row["chose_best"] and row["judge"] == "starter-judge" for row in group)


def judged(
    store: LocalStore, ids: list[str], scores: list[float | None], picture: str = "best.png", name: str = "run", judge: str = "taste"
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    entries = [
        {"trial_id": trial, "picture": picture, "judge": judge, "version": "1", "score": score, "scored_at": at}
        for trial, score in zip(ids, scores, strict=True)
    ]
    write_judged(store, "demo", "judgements", entries, name)


RANKED = "SELECT trial_id, picture, score, rank, trials, percentile, z_score FROM ranks WHERE judge = 'taste' ORDER BY score DESC"


def ids_of_one_prompt(store: LocalStore, count: int) -> list[str]:
    statement = "SELECT trial_id FROM trials WHERE prompt = 'a red heart' ORDER BY trial_id"
    return [row["trial_id"] for row in query(store, statement).to_pylist()][:count]


def test_rank_percentile_and_z_score(store: LocalStore) -> None:
    ids = ids_of_one_prompt(store, 5)
    judged(store, ids, [4.0, 2.0, 2.0, 0.0, None])
    rows = query(store, RANKED).to_pylist()
    assert [row["rank"] for row in rows] == [1, 2, 2, 4]
    assert {row["trials"] for row in rows} == {4}
    assert [row["percentile"] for row in rows] == pytest.approx([1, 1 / 3, 1 / 3, 0])
    assert [row["z_score"] for row in rows] == pytest.approx([2**0.5, 0, 0, -(2**0.5)])


def test_a_trial_alone_has_a_rank_and_nothing_to_compare(store: LocalStore) -> None:
    (trial,) = ids_of_one_prompt(store, 1)
    judged(store, [trial], [0.5])
    (row,) = query(store, RANKED).to_pylist()
    assert row == {
        "trial_id": trial, "picture": "best.png", "score": 0.5, "rank": 1, "trials": 1, "percentile": None, "z_score": None,
    }  # fmt: skip


def test_the_best_picture_counts_before_the_last_and_snapshots_do_not(store: LocalStore) -> None:
    first, second = ids_of_one_prompt(store, 2)
    judged(store, [first, second], [0.1, 0.2], "final.png", "last")
    judged(store, [first], [0.9], "best.png", "best")
    judged(store, [second], [1.0], "000004.png", "snapshots")
    rows = query(store, RANKED).to_pylist()
    assert [(row["trial_id"], row["picture"], row["score"]) for row in rows] == [(first, "best.png", 0.9), (second, "final.png", 0.2)]


def test_of_two_scores_of_one_picture_the_later_holds(store: LocalStore) -> None:
    (trial,) = ids_of_one_prompt(store, 1)
    judged(store, [trial], [0.5], name="first")
    row = {"trial_id": trial, "picture": "best.png", "judge": "taste", "version": "1", "score": 0.75}
    write_judged(store, "demo", "judgements", [row], "second")  # scored now
    assert query(store, "SELECT score FROM judgements")["score"].to_pylist() == [0.75]
    assert [row["score"] for row in query(store, RANKED).to_pylist()] == [0.75]


def audited(store: LocalStore, ids: list[str], scores: list[float], name: str = "audit", version: str = "1", day: int = 1) -> None:
    at = datetime(2026, 1, day, tzinfo=UTC)
    entries = [
        {"trial_id": trial, "picture": "best.png", "judge": AUDITOR, "version": version, "score": score, "scored_at": at}
        for trial, score in zip(ids, scores, strict=True)
    ]
    write_judged(store, "demo", "judgements", entries, name)


def standings(store: LocalStore, prompt: str = "a red heart") -> list[dict[str, Any]]:
    statement = (
        f"SELECT trial_id, judges, standings.rank AS rank, standings.trials AS trials, standings.z_score AS z_score, "
        f"round(ranks.z_score, 9) AS by_judge FROM standings JOIN ranks USING (sweep, trial_id) JOIN trials USING (sweep, trial_id) "
        f"WHERE chose_best AND prompt = '{prompt}' ORDER BY standings.rank, trial_id"
    )
    rows: list[dict[str, Any]] = query(store, statement).to_pylist()
    return rows


def test_without_an_auditor_standings_are_the_judge_s_ranks(store: LocalStore) -> None:
    rows = standings(store)
    assert len(rows) == 8 and {row["judges"] for row in rows} == {"starter-judge"}
    assert [row["z_score"] for row in rows] == [row["by_judge"] for row in rows]
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows) and rows[0]["rank"] == 1


def test_the_auditor_counts_once_it_has_scored_as_many_as_the_judge(store: LocalStore) -> None:
    before = standings(store)
    ids = [row["trial_id"] for row in before]
    audited(store, ids[1:], [float(number) for number in range(len(ids) - 1)])
    assert standings(store) == before  # one is missing
    audited(store, ids, [0.0, *[1.0] * (len(ids) - 1)])  # of the judge's first, it thinks nothing
    after = {row["trial_id"]: row for row in standings(store)}
    assert {row["judges"] for row in after.values()} == {f"starter-judge + {AUDITOR}"}
    spread = ((len(ids) - 1) / len(ids) ** 2) ** 0.5
    for row in before:
        audit = ((0.0 if row["trial_id"] == ids[0] else 1.0) - (len(ids) - 1) / len(ids)) / spread
        assert after[row["trial_id"]]["z_score"] == pytest.approx((row["by_judge"] + AUDITOR_WEIGHT * audit) / (1 + AUDITOR_WEIGHT))
    assert after[ids[0]]["rank"] > after[ids[1]]["rank"] == 1
    assert {row["judges"] for row in standings(store, "a slice of pizza")} == {"starter-judge"}
    (first,) = query(store, f"SELECT ranked_by, rivals FROM {RANKED_TRIALS} WHERE trial_id = '{ids[0]}'").to_pylist()
    assert first == {"ranked_by": f"starter-judge + {AUDITOR}", "rivals": len(ids)}


def test_of_two_versions_of_a_judge_the_one_with_more_scores_counts_and_of_equals_the_later(store: LocalStore) -> None:
    ids = ids_of_one_prompt(store, 3)
    versions = "SELECT trial_id, version, rank FROM ranks WHERE judge = 'taste' ORDER BY trial_id"

    def scored(version: str, day: int, scores: dict[str, float]) -> list[tuple[str, int]]:
        at, row = datetime(2026, 1, day, tzinfo=UTC), {"picture": "best.png", "judge": "taste", "version": version}
        rows = [{**row, "trial_id": trial, "score": score, "scored_at": at} for trial, score in scores.items()]
        write_judged(store, "demo", "judgements", rows, f"{version}-{day}")
        return [(row["version"], row["rank"]) for row in query(store, versions).to_pylist()]

    assert scored("old", 1, dict(zip(ids, (0.1, 0.2, 0.3), strict=True))) == [("old", 3), ("old", 2), ("old", 1)]
    assert scored("new", 2, {ids[0]: 0.9, ids[1]: 0.8}) == [("old", 3), ("old", 2), ("old", 1)]
    assert scored("new", 3, {ids[2]: 0.7}) == [("new", 1), ("new", 2), ("new", 3)]


def test_of_two_versions_of_the_auditor_the_one_that_scored_last_counts_once_it_has_scored_all(store: LocalStore) -> None:
    ids = [row["trial_id"] for row in standings(store)]
    rising = [float(number) for number in range(len(ids))]
    audited(store, ids, rising)
    by_first = standings(store)
    audited(store, ids[1:], rising[:0:-1], "newer", "2", day=2)
    assert standings(store) == by_first  # one is missing
    audited(store, ids[:1], rising[-1:], "rest", "2", day=3)
    both = standings(store)
    assert [row["z_score"] for row in both] != [row["z_score"] for row in by_first]
    write_judged(store, "demo", "judgements", [], "audit")  # as if the first had never scored
    assert query(store, "SELECT DISTINCT version FROM judgements").to_pylist() == [{"version": "2"}]
    assert standings(store) == both


def test_a_judge_that_is_no_auditor_has_no_say(store: LocalStore) -> None:
    before = standings(store)
    judged(store, [row["trial_id"] for row in before], [float(number) for number in range(len(before))])
    assert standings(store) == before


def test_a_trial_alone_stands_first(store: LocalStore) -> None:
    publish_alone(store)
    (row,) = query(store, "SELECT standings.* FROM standings JOIN trials USING (sweep, trial_id) WHERE prompt = 'alone'").to_pylist()
    assert (row["rank"], row["trials"], row["percentile"], row["z_score"]) == (1, 1, None, None)


def publish_alone(store: LocalStore) -> None:
    publish_sample(store, name="single", prompts=["alone"], engines=["dalle"])


def test_a_gap_is_the_guides_z_score_less_the_judges(store: LocalStore) -> None:
    statement = "SELECT trial_id, guide_best, judge_best FROM trials WHERE prompt = 'a red heart' AND engine = 'strokes' ORDER BY trial_id"
    trials = query(store, statement).to_pylist()
    guide, judge = (np.array([row[column] for row in trials]) for column in ("guide_best", "judge_best"))
    taste = np.arange(len(trials))[::-1]
    judged(store, [row["trial_id"] for row in trials], [float(score) for score in taste])
    rows = query(store, "SELECT * FROM gaps JOIN trials USING (trial_id) WHERE prompt = 'a red heart' AND engine = 'strokes'").to_pylist()
    expected = zscore(guide) - (zscore(judge) + zscore(taste)) / 2
    assert {row["trial_id"]: row["gap"] for row in rows} == pytest.approx(
        {row["trial_id"]: gap for row, gap in zip(trials, expected, strict=True)}, abs=1e-6
    )
    assert {(row["judges"], row["trials"]) for row in rows} == {(2, len(trials))} and len(trials) > 3


def test_a_judge_that_guided_says_nothing_of_the_gap(store: LocalStore) -> None:
    (guide,) = {row["guide_name"] for row in query(store, "SELECT guide_name FROM trials").to_pylist()}
    before = query(store, "SELECT * FROM gaps ORDER BY trial_id").to_pylist()
    ids = [row["trial_id"] for row in query(store, "SELECT trial_id FROM trials ORDER BY trial_id").to_pylist()]
    judged(store, ids, [float(number) for number in range(len(ids))], judge=guide)
    assert query(store, "SELECT * FROM gaps ORDER BY trial_id").to_pylist() == before and before
