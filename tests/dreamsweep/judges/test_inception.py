"""FID and KID by torchmetrics, on features that are known already; and the network in its published form."""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dreamsweep.compute.pool import POOL
from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.errors import UserError
from dreamsweep.judges import inception
from dreamsweep.judges.set_judges import inception_scores
from dreamsweep.judges.set_statistics import frechet_distance, kernel_distance

declare_missing_ops()
LACKING = [name for name in ("torchmetrics", "torch_fidelity") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"{LACKING} of the extra 'quality' is not installed")


def features(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, 16))


def test_they_are_the_same_formulas_on_the_same_features() -> None:
    real, generated = features(40), features(30, 0.5, 1)
    scores = {score.metric: score.value for score in inception_scores(generated, real)}
    assert list(scores) == ["fid", "kid", "precision", "recall"]
    assert scores["fid"] == pytest.approx(frechet_distance(real, generated), rel=1e-6)
    assert inception.kid(real[:30], generated) == pytest.approx(kernel_distance(real[:30], generated), rel=1e-9)


def test_draws_of_kid_are_the_same_each_time_and_leave_the_global_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "SUBSET_SIZE", 20)
    real, generated = features(40), features(30, 0.5, 1)
    before = torch.random.get_rng_state()
    first, second = inception.kid(real, generated), inception.kid(real, generated)
    assert first == second != pytest.approx(kernel_distance(real, generated), rel=1e-9)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sets_of_one_picture_have_none() -> None:
    assert [score.value for score in inception_scores(features(1), features(5))] == [None] * 4


def test_without_the_extra_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"judge 'quality:x@inception' needs an extra .*: pip install 'dreamsweep\[quality\]'"):
        inception.require_torchmetrics("quality:x@inception")


@pytest.fixture
def random_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of random values in the published shapes."""
    published: Any = import_module("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(published.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    torch.save({}, tmp_path / "none.pth")
    network = published.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(tmp_path / "none.pth")
    )
    monkeypatch.undo()
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    monkeypatch.setattr("dreamsweep.weights.paths", lambda name: {"weights": tmp_path / "inception.pth"})
    POOL.clear()
    yield tmp_path / "inception.pth"
    POOL.clear()


@pytest.mark.slow
def test_the_network_is_built_from_its_file_and_sees_pictures_of_any_size(random_network: Path) -> None:
    network = inception.load_inception("cpu")
    draw = torch.Generator().manual_seed(0)
    pictures = [torch.randint(0, 255, (3, side, side), dtype=torch.uint8, generator=draw) for side in (32, 64)]
    embedded = network.features(pictures)
    assert embedded.shape == (2, 2048) and embedded.isfinite().all()
    state, expected = network.network.state_dict(), torch.load(random_network, weights_only=True)
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in expected)
