"""Trains the starter diffusion's autoencoder: the stock `AutoencoderKL`, small, pictures of 128 px to latents of 16 × 16 × 4."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamsweep.compute.precision import autocast_where_fast
from dreamsweep.training.art import Art
from dreamsweep.training.train_dvae import ArtOnWhite, random_crops

CHANNELS = (24, 48, 96, 96)
LATENT = 4


@dataclass(frozen=True)
class VaeRun:
    """How the autoencoder is trained."""

    seed: int = 0
    steps: int = 4000
    batch: int = 16
    crop: int = 64
    """Pixels on a side of what it is trained on: it looks at no more than its neighbourhood, and a quarter of a picture costs a quarter."""
    learning_rate: float = 2e-3
    kl: float = 1e-5
    """Weight of the latents' divergence from a normal distribution (Rombach et al., 2022: 1e-6 of a summed loss)."""


def build_vae() -> Any:
    """Returns the stock autoencoder with random weights. Pictures in [-1, 1], `n 3 8h 8w`, to `n 4 h w`."""
    import diffusers

    kind: Any = diffusers.AutoencoderKL  # untyped
    levels = len(CHANNELS)
    return kind(
        3, 3, ("DownEncoderBlock2D",) * levels, ("UpDecoderBlock2D",) * levels, CHANNELS, layers_per_block=1, latent_channels=LATENT,
        norm_num_groups=8, sample_size=128, mid_block_add_attention=False,
    )  # fmt: skip


def train_vae(art: Art, run: VaeRun, folder: Path, device: str = "cpu") -> Path:
    """Trains the autoencoder, going on from `folder`'s checkpoint where there is one; returns its path."""
    torch.manual_seed(run.seed)
    data = ArtOnWhite(art, art.of_styles("train"))
    held_out = ArtOnWhite(art, np.flatnonzero(art.style_of == art.styles.index("twemoji"))[::16]).pictures(None)
    checkpoint = folder / "vae.pt"
    vae = build_vae().to(device)
    optimizer = torch.optim.Adam(vae.parameters(), lr=run.learning_rate, betas=(0.9, 0.98))
    begun = 0
    if checkpoint.exists():
        record = torch.load(checkpoint, weights_only=True, map_location=device)
        begun = record["step"]
        vae.load_state_dict(record["vae"])
        optimizer.load_state_dict(record["optimizer"])
    started = time.monotonic()
    for step in range(begun, run.steps):
        rng = torch.Generator().manual_seed(run.seed * 1_000_003 + step)
        pictures = random_crops(data.pictures(rng, run.batch), run.crop, rng).to(device)
        optimizer.param_groups[0]["lr"] = run.learning_rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / run.steps))
        with autocast_where_fast(device):
            loss = vae_loss(vae, pictures, run, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        if done % 250 == 0 or done == run.steps:
            through = vae_psnr(vae, held_out.to(device))
            print(f"step {done}/{run.steps} loss {loss:.4f} held-out PSNR {through:.2f} dB, {time.monotonic() - started:.0f} s", flush=True)  # noqa: T201
            folder.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            torch.save({"step": done, "vae": vae.state_dict(), "optimizer": optimizer.state_dict()}, partial)
            partial.replace(checkpoint)
    return checkpoint


def vae_loss(vae: Any, pictures: Tensor, run: VaeRun, rng: torch.Generator) -> Tensor:
    """Returns absolute and squared error of the pixels, and the latents' divergence."""
    latent = vae.encode(pictures * 2 - 1).latent_dist
    noise = torch.randn(latent.mean.shape, generator=rng).to(latent.mean)
    drawn = vae.decode(latent.mean + latent.std * noise).sample.float() / 2 + 0.5
    divergence = 0.5 * (latent.mean.float() ** 2 + latent.var.float() - 1 - latent.logvar.float()).mean()
    loss: Tensor = F.mse_loss(drawn, pictures) * 4 + F.l1_loss(drawn, pictures) * 0.5 + run.kl * divergence
    return loss


@torch.no_grad()
def vae_psnr(vae: Any, pictures: Tensor) -> float:
    """Returns mean PSNR in dB of pictures in [0, 1] through the autoencoder's mean latents."""
    values = []
    for part in pictures.split(16):
        drawn = (vae.decode(vae.encode(part * 2 - 1).latent_dist.mean).sample / 2 + 0.5).clamp(0, 1)
        values.append(-10 * (drawn - part).pow(2).flatten(1).mean(1).clamp(min=1e-10).log10())
    return float(torch.cat(values).mean())
