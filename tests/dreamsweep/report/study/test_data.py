"""Statistics of a study, against figures by hand, and its reading of a published sweep."""

import math
from pathlib import Path

import pytest

from dreamsweep.report.study.data import (
    Study,
    mean_ranks,
    mean_table,
    paired_difference,
    phrasing_of,
    rank_correlation,
    within_groups,
)
from dreamsweep.store import open_store
from tests.dreamsweep.sample_sweep import publish_sample

FACES = ("{}", "a photo of {}", "a photo of the face of {}")


def test_a_rank_correlation_knows_order_and_not_distance() -> None:
    rising = rank_correlation(range(10), [2.0**n for n in range(10)])
    assert rising is not None and (rising.value, rising.low, rising.high, rising.count) == pytest.approx((1, 1, 1, 10))
    by_hand = rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])  # 1 - 6 Σd² / (n (n² - 1)) = 1 - 6 · 4 / 120
    assert by_hand is not None and by_hand.value == pytest.approx(0.8) and by_hand.low < 0.8 < by_hand.high


def test_what_is_no_number_is_left_out_and_too_few_pairs_say_nothing() -> None:
    with_gap = rank_correlation([1, 2, 3, 4, 5, math.nan], [1, 2, 3, 4, 5, 6])
    assert with_gap is not None and with_gap.count == 5
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert rank_correlation([1] * 9, range(9)) is None
    assert paired_difference([1, 2, 3, 4], [0, 0, 0, 0]) is None


def test_an_interval_is_clear_where_zero_lies_outside() -> None:
    above = paired_difference([3, 4, 5, 6, 7], [1, 2, 3, 4, 5])
    assert above is not None and (above.value, above.low, above.high) == (2, 2, 2) and above.is_clear
    mixed = paired_difference([1, -1, 2, -2, 1, -1], [0] * 6)
    assert mixed is not None and mixed.low < 0 < mixed.high and not mixed.is_clear


def test_values_within_groups_have_no_group_left_in_them() -> None:
    values = {
        **{f"a{n}": 100.0 + n for n in range(4)},
        **{f"b{n}": n / 10 for n in range(4)},
        "b4": math.nan,
        "c0": 1.0,
        "c1": 2.0,
        **dict.fromkeys("defg", 5.0),
    }
    standard = within_groups(values, {key: key[0] if key[0] in "abc" else "same" for key in values})
    assert standard.keys() == {f"{group}{n}" for group in "ab" for n in range(4)}  # two of c are no scale, and four alike are none either
    assert [standard[f"a{n}"] for n in range(4)] == pytest.approx([standard[f"b{n}"] for n in range(4)])
    assert [standard[f"a{n}"] for n in range(4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_one_value_far_away_leaves_the_others_apart_and_equal_ones_share_a_rank() -> None:
    values = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 1e9}
    assert within_groups(values, dict.fromkeys(values, "g")) == pytest.approx({"a": 0, "b": 0.5, "c": 0.5, "d": 1})


def test_ranks_are_prompt_by_prompt_and_equal_scores_share_one() -> None:
    table = {"adam": {"p": 3.0, "q": 0.1}, "sgd": {"p": 1.0, "q": 0.2}, "rmsprop": {"p": 1.0}}
    assert mean_ranks(table) == {"adam": 1.5, "sgd": (2.5 + 1) / 2, "rmsprop": 2.5}


@pytest.mark.parametrize(
    ("prompt", "phrasing"),
    [
        ("a photo of the face of Ada", ("a photo of the face of {}", "Ada")),
        ("a photo of Ada", ("a photo of {}", "Ada")),
        ("Ada", ("{}", "Ada")),
        ("a photo of (x)+", ("a photo of {}", "(x)+")),
    ],
)
def test_a_prompt_has_the_phrasing_with_most_words(prompt: str, phrasing: tuple[str, str]) -> None:
    assert phrasing_of(prompt, FACES) == phrasing


def test_a_prompt_without_any_of_the_phrasings() -> None:
    assert phrasing_of("a bear", ["a photo of {}", "{} in the woods"]) is None


def test_a_study_is_read_with_seeds_side_by_side(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    publish_sample(store, prompts=["a cat", "a dog"], engines=["strokes", {"engine": "dalle", "optimizer": ["adam", "sgd"]}], seeds=[0, 1])
    study = Study.of(store, "made-up")
    assert study.prompts == ["a cat", "a dog"]
    assert [setting.split()[0:3:2] for setting in study.settings] == [["dalle", "adam"], ["dalle", "sgd"], ["strokes"]]
    assert [len(study.cell(setting, "a cat")) for setting in study.settings] == [2, 2, 2]
    (judged,) = study.judged
    assert judged.chose_best and len(judged.scores) == 12
    table = mean_table(study, judged.scores)
    cell = study.cell(study.settings[0], "a dog")
    assert table[study.settings[0]]["a dog"] == pytest.approx(sum(judged.scores[trial.trial_id] for trial in cell) / 2)
