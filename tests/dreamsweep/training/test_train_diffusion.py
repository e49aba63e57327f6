"""The recipe of the diffusion: latents in, a stock pipeline out, resumable."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dreamsweep.models.stable_diffusion import load_stable_diffusion
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.spec import Prompt
from dreamsweep.training import train_diffusion, train_vae
from dreamsweep.training.augment import PAINTS, premultiplied
from dreamsweep.training.captions import Captions, may_paint
from dreamsweep.training.train_diffusion import (
    alphas_cumprod,
    caption_of,
    diffusion_loss,
    diffusion_pipeline,
    draw_paints,
    painted,
)  # fmt: skip
from dreamsweep.training.train_vae import VaeRun, build_vae, vae_loss, vae_psnr
from dreamsweep.training.training import Run
from tests.dreamsweep.training.made_art import NAMES, made_art

ART = made_art(NAMES[:3])
RUN = Run(steps=4, batch=4, learning_rate=1e-3, every=2)


@pytest.fixture
def guide(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> StarterPerceptor:
    monkeypatch.setattr(train_vae, "CHANNELS", (8, 8, 8, 8))
    monkeypatch.setattr(train_diffusion, "CHANNELS", (16, 16, 16))
    guide = load_perceptor("starter-guide", "cpu")
    assert isinstance(guide, StarterPerceptor)
    return guide


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    record = torch.load(path, weights_only=True)
    return {**record["network"], **{f"average.{name}": value for name, value in record["average"].items()}}


def test_from_art_to_a_pipeline_that_the_engine_opens(guide: StarterPerceptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_vae.train_vae(ART, VaeRun(steps=2, batch=2, crop=32), tmp_path)
    whole = tensors_of(train_diffusion.train_diffusion(ART, guide, RUN, tmp_path))
    (tmp_path / "diffusion.pt").unlink()
    steps = iter(range(100))

    def stops_in_the_third(*arguments: Any) -> torch.Tensor:
        if next(steps) == 2:
            raise KeyboardInterrupt
        return diffusion_loss(*arguments)

    monkeypatch.setattr(train_diffusion, "diffusion_loss", stops_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_diffusion.train_diffusion(ART, guide, RUN, tmp_path)
    resumed = tensors_of(train_diffusion.train_diffusion(ART, guide, RUN, tmp_path))
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    record = torch.load(tmp_path / "latents.pt", weights_only=True)
    assert record["latents"].shape[0] == train_diffusion.VIEWS and record["latents"].float().std() == pytest.approx(1, abs=0.01)
    assert (record["paint_of"] == -1).all(), "the names of this art have colours already"

    diffusion_pipeline(ART, guide, tmp_path).save_pretrained(tmp_path / "made")
    model = load_stable_diffusion("published", str(tmp_path / "made"), "cpu")
    assert model.image_size == 128
    condition = model.condition("a red disc", Prompt(text="a red disc"))
    drawn = model.denoise(
        [condition], [model.against(Prompt(text="x"))], torch.randn(1, *model.latent_shape(64)), [torch.Generator().manual_seed(0)],
        steps=2, guidance_scale=2.0, scheduler="ddim",
    )  # fmt: skip
    assert drawn.shape == (1, 3, 64, 64) and torch.isfinite(drawn).all()


def test_the_autoencoder_s_loss_falls(guide: StarterPerceptor) -> None:
    torch.manual_seed(0)
    vae = build_vae()
    pictures = torch.rand(2, 3, 1, 1).expand(2, 3, 32, 32).contiguous()
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    losses = []
    for step in range(60):
        loss = vae_loss(vae, pictures, VaeRun(), torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0] and vae_psnr(vae, pictures) > 8


def test_the_loss_is_nought_for_one_who_knows_the_noise() -> None:
    latents, noise = torch.randn(3, 4, 16, 16), torch.randn(3, 4, 16, 16)
    alphas, times = alphas_cumprod(), torch.tensor([0, 500, 999])
    kept = alphas[times][:, None, None, None]

    class Knows:
        def __call__(self, noised: torch.Tensor, time_of: torch.Tensor, encoder_hidden_states: torch.Tensor) -> "Knows":
            assert torch.allclose(noised, kept.sqrt() * latents + (1 - kept).sqrt() * noise)
            self.sample = kept.sqrt() * noise - (1 - kept).sqrt() * latents
            return self

    assert diffusion_loss(Knows(), latents, torch.zeros(3, 1, 8), times, noise, alphas) == 0


def test_drawings_are_painted_where_they_have_a_colour_and_their_name_has_none() -> None:
    art = made_art(("red disc", "grey ring", "blue square"))
    art = replace(art, names=("disc", "ring", "blue square"))
    chosen = np.flatnonzero(art.style_of == 0)
    rgba = premultiplied(art.rgba[chosen])
    paint_of = draw_paints(art, chosen, rgba, torch.Generator().manual_seed(0))
    assert paint_of[0] >= 0 and paint_of[1:].tolist() == [-1, -1], "grey has no colour to change, and blue is in the name"
    colour = [*PAINTS][int(paint_of[0])]
    assert may_paint("disc", colour)
    pictures = painted(rgba, paint_of)
    assert not torch.allclose(pictures[0], rgba[0]) and torch.equal(pictures[1:], rgba[1:])
    captions = Captions(art)
    assert f"{colour} disc" in caption_of(captions, 0, int(paint_of[0]), random.Random(0))
    assert not any(paint in caption_of(captions, 0, -1, random.Random(0)).split() for paint in ("purple", "pink", "orange"))
