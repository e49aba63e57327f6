"""Checkpoints from the weights that ship: training goes on from them, and what was not trained comes back as it was."""

from pathlib import Path

import pytest
import torch

from dreamsweep.models.stable_diffusion import load_stable_diffusion
from dreamsweep.training.restore import restore
from dreamsweep.training.train_diffusion import build_unet
from dreamsweep.training.train_vae import build_vae
from dreamsweep.training.training import Run, averaged, fit
from dreamsweep.weights.starter import weights_folder


def test_the_shipped_diffusion_is_restored_into_the_recipe_s_networks(tmp_path: Path) -> None:
    assert [*restore(weights_folder(), tmp_path)] == ["vae", "diffusion"]
    weights = averaged(tmp_path / "diffusion.pt")
    text_width = load_stable_diffusion("starter", "", "cpu").pipeline.text_encoder.config.hidden_size
    unet = build_unet(text_width)
    unet.load_state_dict(weights)
    record = torch.load(tmp_path / "vae.pt", weights_only=True)
    build_vae().load_state_dict(record["vae"])
    assert record["scale"] == load_stable_diffusion("starter", "", "cpu").pipeline.vae.config.scaling_factor

    fit(unet, lambda step: sum(value.sum() for value in unet.parameters()) * 0, Run(2, 1, 1e-9), tmp_path / "diffusion.pt")
    after = torch.load(tmp_path / "diffusion.pt", weights_only=True)
    assert after["step"] == 2 and "optimizer" in after
    for name, value in weights.items():
        assert torch.allclose(after["average"][name], value, atol=1e-6), name


def test_a_training_that_has_begun_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "vae.pt").write_bytes(b"trained")
    assert [*restore(weights_folder(), tmp_path)] == ["diffusion"]
    assert (tmp_path / "vae.pt").read_bytes() == b"trained"
    assert [*restore(weights_folder(), tmp_path)] == []


@pytest.mark.parametrize("part", ["vae", "diffusion"])
def test_nothing_is_left_half_written(tmp_path: Path, part: str) -> None:
    [*restore(weights_folder(), tmp_path)]
    assert (tmp_path / f"{part}.pt").exists() and not (tmp_path / f"{part}.partial").exists()
