"""Statistics of sets: published figures, figures by hand, and those of torchmetrics on the same features."""

import warnings

import numpy as np
import pytest
import torch

from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.judges import set_statistics
from dreamsweep.judges.set_statistics import (
    frechet_distance,
    kernel_distance,
    label_score,
    mean_distance,
    precision_recall,
    r_precision,
    vendi_score,
    vendi_score_of_kernel,
)


def features(count: int, width: int = 8, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.normal(shift, 1, (count, width)) * np.linspace(0.5, 2, width)


def test_vendi_is_its_authors_figure_on_their_examples() -> None:
    """The examples of the README of github.com/vertaix/Vendi-Score, which print 2.9999 and 2.1573."""
    samples = np.array([0, 0, 10, 10, 20, 20])
    assert vendi_score_of_kernel(np.exp(-np.abs(samples[:, None] - samples))) == pytest.approx(2.9999, abs=1e-4)
    assert vendi_score_of_kernel(np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])) == pytest.approx(2.1573, abs=1e-4)


@pytest.mark.parametrize(("count", "width"), [(100, 4), (5, 64)])
def test_vendi_of_identical_and_of_different_pictures(count: int, width: int) -> None:
    assert vendi_score(np.tile(features(1, width), (count, 1))) == pytest.approx(1)
    assert mean_distance(np.tile(features(1, width), (count, 1))) == pytest.approx(0, abs=1e-12)
    assert vendi_score(np.eye(count)) == pytest.approx(count)
    assert mean_distance(np.eye(count)) == pytest.approx(1)


@pytest.mark.parametrize(("count", "width"), [(20, 4), (4, 20)])
def test_vendi_is_the_same_by_either_kernel(count: int, width: int) -> None:
    """The one of the pictures, and the smaller one of the features."""
    unit = (raw := features(count, width)) / np.linalg.norm(raw, axis=1, keepdims=True)
    assert vendi_score(raw) == pytest.approx(vendi_score_of_kernel(unit @ unit.T))


def test_the_mean_distance_by_hand() -> None:
    assert mean_distance(np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])) == pytest.approx((1 + 2 + 1) / 3)


def test_the_frechet_distance_by_hand() -> None:
    """Checks the closed form for normal distributions in one dimension: (μ₁ − μ₂)² + (σ₁ − σ₂)²."""
    first, second = features(50, 1), features(70, 1, shift=2, seed=1)
    hand = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first, second) == pytest.approx(hand)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 3) == pytest.approx(9)


def test_the_kernel_distance_by_hand() -> None:
    """Checks sets of two numbers against every pair written out."""
    (a, b), (c, d) = (1.0, 2.0), (0.5, 3.0)

    def kernel(x: float, y: float) -> float:
        return (x * y + 1) ** 3

    cross = (kernel(a, c) + kernel(a, d) + kernel(b, c) + kernel(b, d)) / 4
    hand = kernel(a, b) + kernel(c, d) - 2 * cross
    assert kernel_distance(np.array([[a], [b]]), np.array([[c], [d]])) == pytest.approx(hand)


@pytest.mark.parametrize("width", [8, 100])
def test_distances_equal_those_of_torchmetrics(width: int) -> None:
    """FID and KID as torchmetrics computes them from these features, with more and with fewer pictures than features."""
    declare_missing_ops()
    fid, kid = pytest.importorskip("torchmetrics.image.fid"), pytest.importorskip("torchmetrics.image.kid")

    class Pass(torch.nn.Module):
        num_features = width

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values

    real, generated = features(60, width), features(60, width, shift=0.3, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = fid.FrechetInceptionDistance(Pass()), kid.KernelInceptionDistance(Pass(), subsets=1, subset_size=60)
    for metric in metrics:
        metric.update(torch.from_numpy(real), real=True)
        metric.update(torch.from_numpy(generated), real=False)
    assert frechet_distance(real, generated) == pytest.approx(float(metrics[0].compute()), rel=1e-5)
    assert kernel_distance(real, generated) == pytest.approx(float(metrics[1].compute()[0]), rel=1e-9)


def test_distances_do_not_depend_on_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = features(30), features(25, shift=0.5, seed=1)
    whole = kernel_distance(real, generated), precision_recall(real, generated)
    monkeypatch.setattr(set_statistics, "BLOCK", 7)
    assert kernel_distance(real, generated) == pytest.approx(whole[0]) and precision_recall(real, generated) == whole[1]


def test_precision_and_recall_by_hand() -> None:
    """Real pictures at 0 to 9: a ball of radius 3 or less around each. Of three generated ones two lie among them, all near one end."""
    real = np.arange(10.0)[:, None]
    generated = np.array([[0.1], [0.2], [0.3], [100.0]])
    precision, recall = precision_recall(real, generated)
    assert precision == 3 / 4
    # third neighbours of the generated: 99.9, 99.8, 99.7 and 99.9 away, so that every real picture is within
    assert recall == 1
    assert precision_recall(real, np.array([[0.1], [0.2], [0.3], [0.4]])) == (1, 1 / 10)


def test_precision_and_recall_of_alike_and_of_far_sets() -> None:
    real = features(40)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 1000) == (0, 0)


def test_the_label_score_by_hand() -> None:
    assert label_score(np.full((6, 4), 0.25)) == pytest.approx(1)
    assert label_score(np.eye(4)) == pytest.approx(4)
    assert label_score(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx(
        np.exp((0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25) + np.log(1 / 0.75)) / 2)
    )


def test_r_precision_by_hand() -> None:
    texts = np.eye(3)
    pictures = np.array([[3.0, 1, 0], [0, 1, 0], [0, 1, 0.5], [0.1, 0.2, 0.9]])
    assert r_precision(pictures, texts, np.array([0, 1, 2, 2])) == 3 / 4
