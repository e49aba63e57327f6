"""Agreement of reviewers, against published examples."""

import pytest

from dreamsweep.review.agreement import agreement, cohen, fleiss

FLEISS = [
    *((0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1)),
    *((7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7)),
]
"""The worked example of Wikipedia's article on Fleiss' kappa: 10 subjects, 14 raters, 5 categories; kappa is 0.210."""


def test_cohen_s_kappa_of_fifty_grant_applications() -> None:
    """The worked example of Wikipedia's article on Cohen's kappa: 20 both yes, 15 both no, 5 and 10 apart; kappa is 0.4."""
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert cohen(*zip(*pairs, strict=True)) == pytest.approx(0.4)


def test_fleiss_kappa_of_the_worked_example() -> None:
    assert fleiss([dict(enumerate(row)) for row in FLEISS]) == pytest.approx(0.210, abs=5e-4)


def test_whole_agreement_is_one_and_what_says_nothing_is_none() -> None:
    assert cohen([True, False], [True, False]) == fleiss([{True: 3}, {False: 3}]) == 1
    assert cohen([True, True], [True, True]) is None and cohen([], []) is None and fleiss([]) is None


def test_only_pictures_that_everybody_marked_count() -> None:
    anna, ben = {"a": True, "b": False, "c": True}, {"a": True, "b": False, "d": False}
    assert agreement({"anna": anna}) is None
    two = agreement({"ben": ben, "anna": anna})
    assert two and (two.reviewers, two.pictures, two.kappa, two.method) == (["anna", "ben"], 2, 1.0, "Cohen")
    three = agreement({"ben": ben, "anna": anna, "cleo": {"a": False, "b": False}})
    assert three and (three.pictures, three.method) == (2, "Fleiss") and three.kappa == pytest.approx(0.25)
