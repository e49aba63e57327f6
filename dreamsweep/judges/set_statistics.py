"""Statistics of a set of pictures, by itself or beside real ones, on any features (`n d`, a row for each picture).

FID and KID are Fréchet and kernel distance on the pooled features of one Inception network; on other features the same formulas give
other numbers, so they have other names here (`judges/inception.py` has FID and KID).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

NEIGHBOURS = 3
"""Nearest neighbours that span the manifold of precision and recall (Kynkäänniemi et al., 2019)."""
BLOCK = 1_024
"""Rows of a matrix of distances that are held at a time."""


def mean_distance(features: Float[np.ndarray, "n d"]) -> float:
    """Returns the mean cosine distance of all pairs, 0 to 2; needs two pictures."""
    unit = _unit(features)
    count = len(unit)
    total = unit.sum(0)
    return float(1 - (total @ total - count) / (count * (count - 1)))


def vendi_score(features: Float[np.ndarray, "n d"]) -> float:
    """Returns the effective number of different pictures, 1 to n, by the cosines of their features (Friedman and Dieng, 2023).

    It is 1 where all are alike, and n where all are orthogonal.
    """
    unit = _unit(features)
    kernel = unit.T @ unit if unit.shape[1] < len(unit) else unit @ unit.T  # both have the same eigenvalues but for zeros
    return _exponential_entropy(np.linalg.eigvalsh(kernel / len(unit)))


def vendi_score_of_kernel(kernel: Float[np.ndarray, "n n"]) -> float:
    """Returns the same of any similarities, symmetric with ones on the diagonal."""
    return _exponential_entropy(np.linalg.eigvalsh(kernel / len(kernel)))


def frechet_distance(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> float:
    """Returns the squared Fréchet distance of normal distributions fitted to both sets (Dowson and Landau, 1982; Heusel et al., 2017).

    |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁Σ₂). The last trace is the sum of the singular values of A₁A₂ᵀ, where AᵀA = Σ: no root of a
    matrix, and no complex numbers. Needs two pictures in each set; of fewer than d pictures it is too large.
    """
    means = real.mean(0) - generated.mean(0)
    first, second = _root(real), _root(generated)
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(means @ means + (first**2).sum() + (second**2).sum() - 2 * cross)


def kernel_distance(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> float:
    """Returns the squared maximum mean discrepancy, unbiased, with the kernel (x·y / d + 1)³ (Gretton, 2012; Bińkowski et al., 2018).

    Of equal distributions it is zero on average, so it may be below zero. Needs two pictures in each set.
    """
    within = (_kernel_sum(features, features, own=True) / (len(features) * (len(features) - 1)) for features in (real, generated))
    return float(sum(within) - 2 * _kernel_sum(real, generated, own=False) / (len(real) * len(generated)))


def precision_recall(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> tuple[float, float]:
    """Returns precision and recall (Kynkäänniemi et al., 2019): the share of the generated within the real pictures' manifold, and the
    share of the real within that of the generated ones.

    A manifold is all that is as near to one of its pictures as this one's third neighbour. Needs four pictures in each set.
    """
    return _share_within(generated, real), _share_within(real, generated)


def label_score(shares: Float[np.ndarray, "n c"]) -> float:
    """Returns exp of the mean divergence of each picture's shares of labels from those of all pictures, 1 to c.

    The Inception score's formula (Salimans et al., 2016), which has it on ImageNet's classes by an Inception network.
    """
    mean = shares.mean(0)
    logs = np.log(np.maximum(shares, 1e-30)) - np.log(np.maximum(mean, 1e-30))
    return float(np.exp((shares * logs).sum(1).mean()))


def r_precision(features: Float[np.ndarray, "n d"], texts: Float[np.ndarray, "p d"], own: Int[np.ndarray, "n"]) -> float:
    """Returns the share of the pictures to which, among all texts, their own is the nearest (Xu et al., AttnGAN, 2018, with R = 1).

    `own`: row of each picture's text.
    """
    return float(((_unit(features) @ _unit(texts).T).argmax(1) == own).mean())


def _unit(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    values = np.asarray(features, np.float64)
    unit: Float[np.ndarray, "n d"] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return unit


def _exponential_entropy(eigenvalues: Float[np.ndarray, "n"]) -> float:
    positive = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def _root(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "r d"]:
    """Returns A with AᵀA the covariance, with no more rows than columns."""
    centred = np.asarray(features - features.mean(0), np.float64) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred


def _kernel_sum(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m d"], own: bool) -> float:
    """Returns the sum of the kernel over all pairs; `own`: the sets are one, and a picture is no pair with itself."""

    def kernel(products: np.ndarray) -> np.ndarray:
        values: np.ndarray = (products / first.shape[1] + 1) ** 3
        return values

    total = sum(float(kernel(first[at : at + BLOCK] @ second.T).sum()) for at in range(0, len(first), BLOCK))
    return total - float(kernel((first**2).sum(1)).sum()) if own else total


def _share_within(points: Float[np.ndarray, "n d"], manifold: Float[np.ndarray, "m d"]) -> float:
    radii = _by_block(manifold, lambda block: np.partition(cdist(block, manifold), NEIGHBOURS, axis=1)[:, NEIGHBOURS])  # 0 is itself
    return float(_by_block(points, lambda block: (cdist(block, manifold) <= radii).any(1)).mean())


def _by_block(points: Float[np.ndarray, "n d"], of_block: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.concatenate([of_block(points[at : at + BLOCK]) for at in range(0, len(points), BLOCK)])
