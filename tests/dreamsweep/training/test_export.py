"""From checkpoints to files that the product opens."""

from pathlib import Path

import pytest
import torch

from dreamsweep.models.dvae import DvaeShape, load_dvae
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.training import export, train_clip, train_dvae
from dreamsweep.training.train_clip import ClipRun
from dreamsweep.training.train_dvae import DvaeRun
from tests.dreamsweep.training.made_art import made_art, small_clip

__all__ = ["small_clip"]
ART = made_art()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path) -> Path:
    """A folder for new weights, which is where the product looks; the caches of loaded ones are emptied by `tiny_weights`."""
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(train_dvae, "SHAPE", DvaeShape(n_hid=8, n_init=8, codes=16))
    return tmp_path / "weights"


@pytest.mark.usefixtures("small_clip")
def test_a_checkpoint_becomes_a_perceptor_and_a_dvae(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = train_clip.train_clip(ART, ClipRun(seed=2, steps=3), tmp_path)
    export.export_clip(ART, clip, weights / "starter-guide.safetensors")
    guide = load_perceptor("starter-guide", "cpu")
    assert isinstance(guide, StarterPerceptor)
    kept = torch.load(clip, weights_only=True)["average"]["visual.conv1.weight"]
    assert torch.allclose(guide.model.visual.conv1.weight, kept, atol=1e-3)
    assert torch.allclose(guide.embed_texts(["a red disc"]).norm(dim=1), torch.ones(1), atol=1e-5)

    codebook = train_dvae.patch_codebook
    monkeypatch.setattr(train_dvae, "patch_codebook", lambda data, seed: codebook(data, seed, 60, samples=2_000, rounds=2))
    monkeypatch.setattr(export, "SMALLEST_CLUSTER", 1)
    monkeypatch.setattr(export, "SHAPES", 6)
    dvae_run = DvaeRun(decoder_steps=1, encoder_steps=1, joint_steps=1, batch=2, crop=32)
    export.export_dvae(ART, train_dvae.train_dvae(ART, dvae_run, tmp_path), weights / "starter-dvae.safetensors")
    dvae = load_dvae("starter", "cpu")
    assert dvae.codes == 16 and dvae.log_frequency is not None and dvae.shapes is not None
    assert torch.allclose(dvae.log_frequency.exp().sum(0), torch.ones(16, 16), atol=0.02)  # a share at each place
    assert dvae.shapes.shape[1:] == (3, 32, 32) and dvae.shapes.min() >= 0 and dvae.shapes.max() <= 1
