"""Strengths from duels by the model of Bradley and Terry (Biometrika, 1952), and the next duels that tell most about them.

The odds that i beats j are exp(strength of i - strength of j); a tie counts half a win for either. Before any duel, strengths are normal
with mean 0: a picture that won every duel has a finite strength, pictures that never met can be compared, and their mean is 0. The
maximum of that posterior is found by Newton's method; its covariance is the inverse of the observed information (Laplace).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR = 2.0
"""Standard deviation of strengths before any duel. It is weak: a picture one above the mean wins seven of eight against an average one."""
Z_95 = 1.959964
"""Standard deviations that 95 % of a normal distribution lie within."""
MOST_STEPS, CLOSE = 100, 1e-10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Strengths:
    """Strengths of n pictures, as log odds against an average one."""

    mean: Floats
    """Most likely strengths, `n`."""
    covariance: Floats
    """Their covariance, `n n`."""

    @property
    def intervals(self) -> Floats:
        """Lower and upper ends of the 95 % intervals, `2 n`."""
        reach = Z_95 * np.sqrt(np.diag(self.covariance))
        return np.stack([self.mean - reach, self.mean + reach])


def fit(wins: Floats, prior: float = PRIOR) -> Strengths:
    """Returns the strengths of n pictures, where `wins[i, j]` duels of i and j were won by i."""
    duels, strengths = wins + wins.T, np.zeros(len(wins))
    for _ in range(MOST_STEPS):
        chances = _chances(strengths)
        gradient = wins.sum(1) - (duels * chances).sum(1) - strengths / prior**2
        step = np.linalg.solve(_information(duels, strengths, prior), gradient)
        while _log_posterior(wins, strengths + step, prior) < _log_posterior(wins, strengths, prior) - CLOSE:
            step /= 2  # Newton's step may go too far where few duels say much
        strengths = strengths + step
        if np.abs(step).max(initial=0.0) < CLOSE:
            break
    return Strengths(strengths, np.linalg.inv(_information(duels, strengths, prior)).astype(np.float64))


def next_pairs(strengths: Strengths, open_pairs: NDArray[np.bool_], number: int, draw: np.random.Generator) -> list[tuple[int, int, float]]:
    """Returns up to `number` pairs whose duels tell most, each with what it tells: the growth of the information's log determinant.

    Each pair is chosen as if those before it had been judged (greedy D-optimal design; Chaloner and Verdinelli, Statistical Science,
    1995): what a duel tells depends on its chances and not on who wins. Equal pairs are drawn by lot. `open_pairs[i, j]` says which
    may be chosen, `n n`.
    """
    covariance, chances = strengths.covariance.copy(), _chances(strengths.mean)
    weight, free, pairs = chances * (1 - chances), np.triu(open_pairs | open_pairs.T, 1), list[tuple[int, int, float]]()
    while free.any() and len(pairs) < number:
        variance = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
        gain = np.where(free, np.log1p(weight * variance), -1.0)
        left, right = draw.choice(np.argwhere(gain >= gain.max() - CLOSE))
        pairs.append((int(left), int(right), float(gain[left, right])))
        free[left, right] = False
        reach = covariance[:, left] - covariance[:, right]
        covariance -= np.outer(reach, reach) * weight[left, right] / (1 + weight[left, right] * variance[left, right])
    return pairs


def _chances(strengths: Floats) -> Floats:
    """Returns the chance of each to beat each other, `n n`."""
    return 0.5 * (1 + np.tanh((strengths[:, None] - strengths) / 2))


def _information(duels: Floats, strengths: Floats, prior: float) -> Floats:
    """Returns the observed information of the posterior, `n n`."""
    chances = _chances(strengths)
    weight = duels * chances * (1 - chances)
    information: Floats = np.diag(weight.sum(1) + prior**-2) - weight
    return information


def _log_posterior(wins: Floats, strengths: Floats, prior: float) -> float:
    margins = strengths[:, None] - strengths
    return float(-(wins * np.logaddexp(0, -margins)).sum() - (strengths**2).sum() / (2 * prior**2))
