"""Trains the starter diffusion: the stock `UNet2DConditionModel`, small, over the autoencoder's latents and the guide's text tower.

Latent diffusion (Rombach et al., 2022) with v-prediction (Salimans & Ho, 2022), losses weighted by min-SNR (Hang et al., 2023) and
captions dropped for classifier-free guidance (Ho & Salimans, 2022).
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamsweep.compute.precision import autocast_where_fast
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.training.art import Art
from dreamsweep.training.augment import PAINTS, on_white, paint, premultiplied, vividness
from dreamsweep.training.captions import Captions, may_paint, name_weights
from dreamsweep.training.text_encoder import text_encoder_of
from dreamsweep.training.train_dvae import moved
from dreamsweep.training.train_vae import build_vae
from dreamsweep.training.training import Run, averaged, fit

CHANNELS = (64, 128, 128)
SIDE = 16
"""Latents on a side."""
NOISE: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "clip_sample": False,
    "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "trailing",
}  # fmt: skip
"""Stable Diffusion's own schedule."""


VIEWS = 4
"""Number of views of each picture: a plain one, one moved and resized, and two moved and in another colour."""
VIVID = 0.25
"""Least mean chroma of a drawing whose colour can be changed."""
DROPPED = 0.1
"""Share of captions left out."""
DIFFUSION_RUN = Run(steps=4500, batch=64, learning_rate=6e-4)


def build_unet(text_width: int) -> Any:
    """Returns the stock network with random weights: noised latents `n 4 16 16`, time `n`, text `n t d`, to `n 4 16 16`."""
    import diffusers

    kind: Any = diffusers.UNet2DConditionModel  # untyped
    return kind(
        sample_size=SIDE, in_channels=4, out_channels=4, block_out_channels=CHANNELS, layers_per_block=1, cross_attention_dim=text_width,
        attention_head_dim=4, norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """The training pictures as the diffusion sees them: `v` views of `n` pictures."""

    latents: Tensor
    """`v n 4 16 16`, of unit variance"""
    paint_of: Tensor
    """`v n`: the colour that each drawing was painted in, by its place in `PAINTS`; -1 where it has its own"""
    name_of: Tensor
    """`n`"""
    scale: float
    """What the autoencoder's latents are multiplied by."""


@torch.no_grad()
def look(art: Art, folder: Path, device: str = "cpu") -> Seen:
    """Encodes every training picture with the autoencoder in `folder`; kept there."""
    cache = folder / "latents.pt"
    if cache.exists() and "paint_of" in (record := torch.load(cache, weights_only=True)):
        return Seen(**record)
    source = torch.load(folder / "vae.pt", weights_only=True, map_location=device)
    vae = build_vae().to(device).eval()
    vae.load_state_dict(source["vae"])
    chosen = art.of_styles("train")
    latents, paints = [], []
    for view in range(VIEWS):
        for number, part in enumerate(torch.arange(len(chosen)).split(64)):
            rng = torch.Generator().manual_seed(view * 100_003 + number)
            rgba = premultiplied(art.rgba[chosen[part]])
            paint_of = draw_paints(art, chosen[part], rgba, rng) if view >= 2 else torch.full((len(part),), -1)
            pictures = on_white(painted(rgba, paint_of))
            pictures = pictures if view == 0 else moved(pictures, rng)
            with autocast_where_fast(device):
                latents.append(vae.encode(pictures.to(device) * 2 - 1).latent_dist.mean.float().cpu())
            paints.append(paint_of)
    encoded = torch.cat(latents).unflatten(0, (VIEWS, len(chosen)))
    scale = float(source.get("scale") or 1 / encoded.std())
    record = {
        "latents": (encoded * scale).half(), "paint_of": torch.cat(paints).unflatten(0, (VIEWS, len(chosen))),
        "name_of": torch.from_numpy(art.name_of[chosen]), "scale": scale,
    }  # fmt: skip
    torch.save(record, cache)
    return Seen(**record)


def draw_paints(art: Art, chosen: NDArray[np.int64], rgba: Tensor, rng: torch.Generator) -> Tensor:
    """Returns a colour for each drawing that may have another, by its place in `PAINTS`; -1 for the others, `n`."""
    drawn = []
    for index, vivid in zip(chosen, vividness(rgba), strict=True):
        allowed = [place for place, paint in enumerate(PAINTS) if may_paint(art.names[art.name_of[index]], paint)]
        pick = int(torch.randint(max(1, len(allowed)), (1,), generator=rng))
        drawn.append(allowed[pick] if allowed and vivid > VIVID else -1)
    return torch.tensor(drawn)


def painted(rgba: Tensor, paint_of: Tensor) -> Tensor:
    """Returns premultiplied drawings, `n 4 h w`, in the colours that `paint_of`, `n`, names."""
    colours = torch.tensor(list(PAINTS.values()))[paint_of.clamp(min=0)]
    return torch.where(paint_of[:, None, None, None] < 0, rgba, paint(rgba, colours))


def train_diffusion(art: Art, guide: StarterPerceptor, run: Run, folder: Path, device: str = "cpu") -> Path:
    """Trains the network, going on from `folder`'s checkpoint where there is one; returns its path. The autoencoder comes first."""
    seen = look(art, folder, device)
    captions = Captions(art)
    text_encoder, tokenizer = text_encoder_of(guide, captions.every_text())
    text_encoder.to(device)
    torch.manual_seed(run.seed)  # here, for what comes before draws numbers only where it is not kept already
    unet = build_unet(text_encoder.config.hidden_size).to(device)
    weights = torch.from_numpy(name_weights(art.groups))[seen.name_of]
    alphas = alphas_cumprod().to(device)

    def loss_of(step: int) -> Tensor:
        rng, py_rng = run.at(step), random.Random(run.seed * 1_000_003 + step)
        index = torch.multinomial(weights, run.batch, replacement=True, generator=rng)
        view = torch.randint(VIEWS, (run.batch,), generator=rng)
        named = zip(seen.name_of[index].tolist(), seen.paint_of[view, index].tolist(), strict=True)
        texts = ["" if py_rng.random() < DROPPED else caption_of(captions, *pair, py_rng) for pair in named]
        time_of = torch.randint(len(alphas), (run.batch,), generator=rng).to(device)
        noise = torch.randn(run.batch, 4, SIDE, SIDE, generator=rng).to(device)
        with torch.no_grad():
            tokens = tokenizer(texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt")
            hidden = text_encoder(tokens.input_ids.to(device)).last_hidden_state
        return diffusion_loss(unet, seen.latents[view, index].float().to(device), hidden, time_of, noise, alphas)

    return fit(unet, loss_of, run, folder / "diffusion.pt")


def caption_of(captions: Captions, name: int, paint_of: int, rng: random.Random) -> str:
    """Returns a caption for a view: with its colour where it was painted."""
    return (captions.draw(name, rng) if paint_of < 0 else captions.draw_painted(name, [*PAINTS][paint_of], rng)).text


def alphas_cumprod() -> Tensor:
    """Returns how much of the signal is left (squared) at each time of the schedule, `1000`."""
    import diffusers

    kind: Any = diffusers.DDPMScheduler  # untyped
    alphas: Tensor = kind(beta_start=NOISE["beta_start"], beta_end=NOISE["beta_end"], beta_schedule=NOISE["beta_schedule"]).alphas_cumprod
    return alphas


def diffusion_loss(unet: Any, latents: Tensor, hidden: Tensor, time_of: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """Returns squared error of v, weighted by min(SNR, 5) / (SNR + 1)."""
    kept = alphas[time_of][:, None, None, None]
    signal, spread = kept.sqrt(), (1 - kept).sqrt()
    noised = signal * latents + spread * noise
    with autocast_where_fast(latents.device):
        predicted = unet(noised, time_of, encoder_hidden_states=hidden).sample
    error = (predicted.float() - (signal * noise - spread * latents)).pow(2).mean((1, 2, 3))
    snr = (kept / (1 - kept)).flatten()
    loss: Tensor = (error * snr.clamp(max=5) / (snr + 1)).mean()
    return loss


def diffusion_pipeline(art: Art, guide: StarterPerceptor, folder: Path) -> Any:
    """Returns the stock pipeline from the checkpoints in `folder`, in half precision."""
    import diffusers

    untyped: Any = diffusers
    scale = look(art, folder).scale
    text_encoder, tokenizer = text_encoder_of(guide, Captions(art).every_text())
    unet, vae = build_unet(text_encoder.config.hidden_size), build_vae()
    unet.load_state_dict(averaged(folder / "diffusion.pt"))
    vae.load_state_dict(torch.load(folder / "vae.pt", weights_only=True, map_location="cpu")["vae"])
    vae.register_to_config(scaling_factor=scale)
    pipeline = untyped.StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, untyped.DDIMScheduler(**NOISE), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    return pipeline.to(torch.float16)
