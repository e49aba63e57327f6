"""Strengths from duels, against published examples and a plain computation; pairs that tell most, against every pair computed."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from dreamsweep.review.bradley_terry import fit, next_pairs

FLAT = 1e3
"""Standard deviation of a prior that says nothing: what is left is maximum likelihood."""
BASEBALL = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ],
    dtype=float,
)
"""Wins of seven teams, row over column, in the American League of 1987 (Agresti, Categorical Data Analysis, table 10.10)."""


def test_baseball_as_published() -> None:
    """Estimates and standard errors against Baltimore, the last, as in the documentation of the R package BradleyTerry2."""
    strengths = fit(BASEBALL, FLAT)
    errors = [np.sqrt(strengths.covariance[i, i] + strengths.covariance[6, 6] - 2 * strengths.covariance[i, 6]) for i in range(6)]
    assert strengths.mean[:6] - strengths.mean[6] == pytest.approx([1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839], abs=2e-4)
    assert errors == pytest.approx([0.3433, 0.3396, 0.3367, 0.3359, 0.3339, 0.3319], abs=2e-4)


def test_the_worked_example_of_four() -> None:
    """The worked example of Wikipedia's article on the Bradley-Terry model: 0.640, 1.043, 0.660, 2.270."""
    wins = np.array([[0, 2, 0, 1], [3, 0, 5, 0], [0, 3, 0, 1], [4, 0, 3, 0]], dtype=float)
    assert np.exp(fit(wins, FLAT).mean) == pytest.approx([0.640, 1.043, 0.660, 2.270], abs=1e-3)


def test_ties_and_the_prior_as_a_plain_optimiser_has_it() -> None:
    draw = np.random.default_rng(0)
    wins = draw.integers(0, 3, (8, 8)).astype(np.float64)
    np.fill_diagonal(wins, 0)
    wins[1, 2], wins[2, 1] = 1.5, 0.5  # a win and a tie

    def minus_log_posterior(strengths: np.ndarray) -> float:
        chances = 1 / (1 + np.exp(strengths - strengths[:, None]))
        return float(-(wins * np.log(chances)).sum() + (strengths**2).sum() / (2 * 2.0**2))

    plain = minimize(minus_log_posterior, np.zeros(8), method="BFGS", options={"gtol": 1e-8})
    strengths = fit(wins)
    assert strengths.mean == pytest.approx(plain.x, abs=1e-4) and strengths.mean.sum() == pytest.approx(0, abs=1e-9)
    step = 1e-4 * np.eye(8)
    second = [
        [
            sum(s * t * minus_log_posterior(strengths.mean + s * step[i] + t * step[j]) for s in (1, -1) for t in (1, -1)) / 4e-8
            for j in range(8)
        ]
        for i in range(8)
    ]
    assert np.linalg.inv(strengths.covariance) == pytest.approx(np.array(second), abs=1e-4)


def test_without_duels_nothing_is_known_and_one_that_always_wins_stays_finite() -> None:
    nothing = fit(np.zeros((3, 3)))
    assert nothing.mean.tolist() == [0, 0, 0] and nothing.intervals[1] == pytest.approx([2 * 1.96] * 3, abs=1e-3)
    always = fit(np.array([[0, 9, 9], [0, 0, 0], [0, 0, 0]], dtype=float))
    assert 2 < always.mean[0] < 6 and always.mean[1] == pytest.approx(always.mean[2])
    many = fit(np.array([[0.0, 500.0], [0.0, 0.0]]))
    assert np.isfinite(many.mean).all() and many.intervals[0, 0] > 0


def test_intervals_cover_as_often_as_they_say() -> None:
    """Checks that 95 % of strengths lie within their intervals, in duels of pictures drawn from the prior."""
    draw, inside = np.random.default_rng(1), []
    for _ in range(60):
        real = draw.normal(0, 2.0, 10)
        wins = np.zeros((10, 10))
        for left, right in draw.choice(10, (60, 2)):
            if left != right:
                first = draw.random() < 1 / (1 + np.exp(real[right] - real[left]))
                wins[(left, right) if first else (right, left)] += 1
        low, high = fit(wins).intervals
        inside.extend((low <= real) & (real <= high))
    assert 0.92 < np.mean(inside) < 0.98


def test_the_pair_that_tells_most_is_chosen_first() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[0, 2] = wins[1, 2] = 3
    strengths, every = fit(wins), np.ones((4, 4), bool)
    (best,) = next_pairs(strengths, every, 1, np.random.default_rng(0))
    gains = {}
    for i, j in combinations(range(4), 2):
        chance = 1 / (1 + np.exp(strengths.mean[j] - strengths.mean[i]))
        apart = np.eye(4)[i] - np.eye(4)[j]
        before = np.linalg.inv(strengths.covariance)
        after = before + chance * (1 - chance) * np.outer(apart, apart)
        gains[i, j] = np.linalg.slogdet(after)[1] - np.linalg.slogdet(before)[1]
    assert best[2] == pytest.approx(max(gains.values())) and gains[best[:2]] == pytest.approx(best[2])
    assert 3 in best[:2], "of the fourth nothing is known yet"


def test_pairs_do_not_repeat_and_end_where_none_is_left() -> None:
    open_pairs = np.ones((5, 5), bool)
    open_pairs[0, 1] = open_pairs[1, 0] = False
    pairs = next_pairs(fit(np.zeros((5, 5))), open_pairs, 20, np.random.default_rng(0))
    assert len({(left, right) for left, right, _ in pairs}) == len(pairs) == 9 and (0, 1) not in {pair[:2] for pair in pairs}
    assert len({picture for left, right, _ in pairs[:2] for picture in (left, right)}) == 4, "pictures of which nothing is known come first"


def test_chosen_pairs_rank_better_than_pairs_by_lot() -> None:
    """With as many duels, the variance of what is known is smaller: on average over five made-up sets."""
    spread = {"chosen": 0.0, "by lot": 0.0}
    for seed in range(5):
        draw = np.random.default_rng(seed)
        real = draw.normal(0, 1.5, 8)
        for how in spread:
            wins, free = np.zeros((8, 8)), np.ones((8, 8), bool)
            for _ in range(20):
                left, right, _ = next_pairs(fit(wins), free, 1, draw)[0] if how == "chosen" else (*draw.choice(8, 2, replace=False), 0.0)
                free[left, right] = free[right, left] = False
                first = draw.random() < 1 / (1 + np.exp(real[right] - real[left]))
                wins[(left, right) if first else (right, left)] += 1
            spread[how] += float(np.linalg.slogdet(fit(wins).covariance)[1])
    assert spread["chosen"] < spread["by lot"] - 2
