"""Checkpoints from the weights that ship: training goes on from them, and what was not trained comes back as it was."""

from pathlib import Path

import pytest
import torch

from dreamsweep.models.biggan import draw, load_biggan
from dreamsweep.models.stable_diffusion import load_stable_diffusion
from dreamsweep.training.restore import restore
from dreamsweep.training.train_biggan import Student
from dreamsweep.training.train_diffusion import build_unet
from dreamsweep.training.train_vae import build_vae
from dreamsweep.training.training import Run, averaged, fit


def test_the_shipped_diffusion_is_restored_into_the_recipe_s_networks(tmp_path: Path) -> None:
    assert [*restore(tmp_path)] == ["biggan", "vae", "diffusion"]
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


def test_the_shipped_biggan_is_restored_and_draws_the_same(tmp_path: Path) -> None:
    shipped = load_biggan("starter", 128, "cpu")
    list(restore(tmp_path))
    student = Student(torch.zeros(shipped.classes, shipped.z_dim))
    student.load_state_dict(averaged(tmp_path / "biggan.pt"))
    codes, classes = (
        student.codes[:2, None].expand(-1, shipped.vectors, -1),
        torch.eye(shipped.classes)[:2, None].expand(-1, shipped.vectors, -1),
    )
    with torch.no_grad():
        drawn = draw(shipped.model, torch.zeros(2, shipped.vectors, shipped.z_dim), classes)
        assert torch.allclose(student(codes, shipped.vectors - 2), drawn, atol=1e-5)


def test_a_training_that_has_begun_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "vae.pt").write_bytes(b"trained")
    assert [*restore(tmp_path)] == ["biggan", "diffusion"]
    assert (tmp_path / "vae.pt").read_bytes() == b"trained"
    assert [*restore(tmp_path)] == []


@pytest.mark.parametrize("part", ["biggan", "vae", "diffusion"])
def test_nothing_is_left_half_written(tmp_path: Path, part: str) -> None:
    [*restore(tmp_path)]
    assert (tmp_path / f"{part}.pt").exists() and not (tmp_path / f"{part}.partial").exists()
