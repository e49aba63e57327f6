"""Selections: by marks, by reviewers, by words, the best of each prompt, over one sweep or several."""

from typing import Any

import pytest

from dreamsweep.errors import StoreError, UserError
from dreamsweep.export.chosen import chosen, record
from dreamsweep.export.selection import make_selection
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS, ids, rate
from tests.dreamsweep.export.counting import count
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.mark.parametrize(
    ("conditions", "trials"),
    [
        ({}, 18),
        ({"marks": "picked"}, 6),
        ({"marks": "picked", "by": "anna"}, 6),
        ({"marks": "picked", "by": "ben"}, 0),
        ({"marks": "rejected"}, 3),
        ({"marks": "unreviewed"}, 9),
        ({"marks": "unreviewed", "by": "ben"}, 15),
        ({"marks": "unreviewed", "by": "carl"}, 18),
        ({"marks": "suggested"}, 6),
        ({"marks": "tagged"}, 1),
        ({"marks": "noted"}, 0),
        ({"stars": 4}, 3),
        ({"stars": 5}, 0),
        ({"marks": "picked", "stars": 4}, 3),
        ({"tag": "cover"}, 1),
        ({"tag": "cov'er"}, 0),
        ({"by": "anna' OR true --", "marks": "picked"}, 0),
        ({"engines": ("strokes",)}, 12),
        ({"best": 1}, 3),
        ({"best": 2, "engines": ("dalle",)}, 6),
        ({"best": 1, "marks": "rejected"}, 3),
    ],
)
def test_conditions(store: Store, conditions: dict[str, Any], trials: int) -> None:
    assert count(store, sweeps=("made-up",), **conditions) == trials


def test_a_mark_that_is_taken_back_counts_no_more(store: Store) -> None:
    rate(store, ids(store, PROMPTS[0])[0], "pick", 0, "anna")
    assert count(store, marks="picked") == 5


def test_a_trial_of_several_sweeps_counts_once_and_the_best_are_of_all_sweeps(store: Store) -> None:
    publish_sample(store, name="other", prompts=PROMPTS[:1], engines=["dalle"], seeds=[0, 1, 2, 3])
    assert count(store) == 20
    assert count(store, best=1) == 3
    assert count(store, sweeps=("made-up", "other"), search="seed:0|3 heart") == 4


def test_trials_come_with_what_is_known_of_them_the_best_of_each_prompt_first(store: Store) -> None:
    with chosen(store, make_selection(sweeps=("made-up",))) as trials:
        rows = list(trials.rows())
        assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
        facts = {row["trial_id"]: record(row) for row in rows}
        pictures = {row["trial_id"]: data for row, data in trials.pictures()}
    first = facts[ids(store, PROMPTS[0])[0]]
    assert (first["picked_by"], first["stars"], first["tags"]) == (["anna"], 4.0, ["cover"])
    assert first["scores"]["starter-judge"] == first["judge_score"] and first["of"] == 6 and first["settings"]["guide"] == "starter-guide"
    assert all(data and data.startswith(b"\x89PNG") for data in pictures.values()) and len(pictures) == 18
    assert not trials.table.exists()


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"stars": 6}, "stars 6: input should be less than or equal to 5."),
        ({"trials": ("../x",)}, "trials '../x': it is no trial's id, which has 16 hexadecimal digits"),
        ({"marks": "loved"}, "marks 'loved': input should be 'unreviewed', 'suggested'"),
        ({"best": 0}, "best 0: input should be greater than 0."),
    ],
)
def test_an_invalid_condition_is_named(conditions: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        make_selection(**conditions)
    assert sentence in str(caught.value)


def test_an_empty_selection_and_an_unknown_sweep_are_named(store: Store) -> None:
    with (
        pytest.raises(
            UserError, match=r"sweep 'made-up': no trial is selected by search 'nothing', stars 5, by 'ben'; leave a condition out"
        ),
        chosen(store, make_selection(sweeps=("made-up",), search="nothing", stars=5, by="ben")),
    ):
        pass
    with pytest.raises(StoreError, match="made-upp"), chosen(store, make_selection(sweeps=("made-upp",))):
        pass
