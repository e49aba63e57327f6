"""Trains the starter dVAE: DALL-E's stock encoder and decoder, small, over a codebook of picture patches.

Plain gumbel training (Ramesh et al., 2021) collapses at this size, so the codes are set first, by k-means over patches; the
decoder then learns to draw them, the encoder to name them, and at last both together, with hard codes and a straight-through
gradient (Bengio et al., 2013).
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamsweep.models.dvae import DvaeShape, build_decoder, build_encoder, decode, encode_logits
from dreamsweep.training.art import Art
from dreamsweep.training.augment import on_white, premultiplied

SHAPE = DvaeShape(n_hid=24, n_init=96, codes=1024)
SIDE, PATCH = 128, 8


@dataclass(frozen=True)
class DvaeRun:
    """How the dVAE is trained."""

    seed: int = 0
    decoder_steps: int = 1000
    encoder_steps: int = 600
    joint_steps: int = 3400
    batch: int = 16
    crop: int = 64
    """Pixels on a side of what is trained on: codes are local, and a quarter of a picture costs a quarter."""
    learning_rate: float = 2e-3


def train_dvae(art: Art, run: DvaeRun, folder: Path) -> Path:
    """Trains encoder and decoder, going on from `folder`'s checkpoint where there is one; returns its path."""
    torch.manual_seed(run.seed)
    data = ArtOnWhite(art, art.of_styles("train"))
    held_out = ArtOnWhite(art, np.flatnonzero(art.style_of == art.styles.index("twemoji"))[::16]).pictures(None)
    checkpoint = folder / "dvae.pt"
    if checkpoint.exists():
        record = torch.load(checkpoint, weights_only=True)
    else:
        centres = patch_codebook(data, run.seed)
        record = {"step": 0, "centres": centres}
    encoder, decoder = build_encoder(SHAPE).requires_grad_(True), build_decoder(SHAPE).requires_grad_(True)
    if "encoder" in record:
        encoder.load_state_dict(record["encoder"])
        decoder.load_state_dict(record["decoder"])
    centres = record["centres"]
    total = run.decoder_steps + run.encoder_steps + run.joint_steps
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=run.learning_rate, betas=(0.9, 0.98))
    if "optimizer" in record:
        optimizer.load_state_dict(record["optimizer"])
    started = time.monotonic()
    for step in range(record["step"], total):
        rng = torch.Generator().manual_seed(run.seed * 1_000_003 + step)
        pictures = random_crops(data.pictures(rng, run.batch), run.crop, rng)
        loss = _loss(step, run, pictures, centres, encoder, decoder)
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate * _schedule(step, run)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*encoder.parameters(), *decoder.parameters()], 1.0)
        optimizer.step()
        done = step + 1
        if done % 250 == 0 or done == total:
            through = psnr_through(encoder, decoder, held_out)
            print(f"step {done}/{total} loss {loss:.4f} held-out PSNR {through:.2f} dB, {time.monotonic() - started:.0f} s", flush=True)  # noqa: T201
            folder.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            torch.save(
                {
                    "step": done, "centres": centres, "encoder": encoder.state_dict(), "decoder": decoder.state_dict(),
                    "optimizer": optimizer.state_dict(),
                },
                partial,
            )  # fmt: skip
            partial.replace(checkpoint)
    return checkpoint


def _loss(step: int, run: DvaeRun, pictures: Tensor, centres: Tensor, encoder: nn.Module, decoder: nn.Module) -> Tensor:
    """Trains the decoder by regression, then encoder by classification, then both through hard codes."""
    if step < run.decoder_steps + run.encoder_steps:
        codes = nearest_codes(pictures, centres)
        if step < run.decoder_steps:
            one_hot = F.one_hot(codes, SHAPE.codes).permute(0, 3, 1, 2).float()
            return F.mse_loss(decode(decoder, one_hot), pictures)
        return F.cross_entropy(encode_logits(encoder, pictures), codes)
    soft = encode_logits(encoder, pictures).softmax(1)
    hard = F.one_hot(soft.argmax(1), SHAPE.codes).permute(0, 3, 1, 2).float()
    return F.mse_loss(decode(decoder, hard + soft - soft.detach()), pictures)


def _schedule(step: int, run: DvaeRun) -> float:
    """Returns a cosine over each of the three phases; the last starts lower, for it must not undo the first two."""
    ends = np.cumsum([run.decoder_steps, run.encoder_steps, run.joint_steps])
    phase = int(np.searchsorted(ends, step, side="right"))
    length = (run.decoder_steps, run.encoder_steps, run.joint_steps)[phase]
    share = 1 - (ends[phase] - step) / length
    peak = 1.0 if phase < 2 else 0.5
    return float(peak * min(1.0, share * length / 50 + 0.02) * 0.5 * (1 + math.cos(math.pi * share)))


class ArtOnWhite:
    """Art as the dVAE sees it: on white, at full size."""

    def __init__(self, art: Art, chosen: np.ndarray) -> None:
        self.rgba = art.rgba[chosen]

    def pictures(self, rng: torch.Generator | None, count: int | None = None) -> Tensor:
        """Returns `count` random pictures, sometimes mirrored, moved and resized, in [0, 1], `n 3 h w`; all of them, plain, without
        `rng`.
        """
        if rng is None:
            return on_white(premultiplied(self.rgba))
        index = torch.randint(len(self.rgba), (count or len(self.rgba),), generator=rng)
        return moved(on_white(premultiplied(self.rgba[index.numpy()])), rng)

    def moved(self, rng: torch.Generator) -> Tensor:
        """Returns all of them in order, moved as `pictures` moves them."""
        return moved(on_white(premultiplied(self.rgba)), rng)


def moved(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Returns pictures on white, `n 3 128 128`, moved, resized and half of them mirrored."""
    n = len(pictures)
    zoom = torch.exp(torch.rand(n, generator=rng) * 0.5 - 0.15)
    mirror = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0)
    shift = (torch.rand(n, 2, generator=rng) - 0.5) * 0.2
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, shift
    grid = F.affine_grid(theta, [n, 3, SIDE, SIDE], align_corners=False)
    return 1 - F.grid_sample(1 - pictures, grid, align_corners=False)


def random_crops(pictures: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """Returns a square piece of each picture, `n 3 side side`, anywhere."""
    offsets = torch.randint(pictures.shape[-1] - side + 1, (len(pictures), 2), generator=rng).tolist()
    return torch.stack([p[:, y : y + side, x : x + side] for p, (y, x) in zip(pictures, offsets, strict=True)])


def patches_of(pictures: Tensor) -> Tensor:
    """Cuts `n 3 h w` → `n h/8 w/8 192`."""
    n, c, h, w = pictures.shape
    tiles = pictures.reshape(n, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(n, h // PATCH, w // PATCH, -1)


def nearest_codes(pictures: Tensor, centres: Tensor) -> Tensor:
    """Returns the nearest centre of each patch, `n h/8 w/8`."""
    patches = patches_of(pictures)
    flat = patches.reshape(-1, patches.shape[-1])
    return torch.cdist(flat, centres).argmin(1).reshape(patches.shape[:3])


def patch_codebook(data: ArtOnWhite, seed: int, pictures: int = 3000, samples: int = 120_000, rounds: int = 25) -> Tensor:
    """k-means over patches, `codes 192`: plain patches are thinned out, and a centre that wins nothing is put elsewhere."""
    rng = torch.Generator().manual_seed(seed)
    flat = patches_of(data.pictures(rng, pictures)).reshape(-1, 3 * PATCH * PATCH)
    busy = flat.std(1) > 0.02
    order = torch.randperm(len(flat), generator=rng)
    keep = torch.cat([order[busy[order]][: samples * 9 // 10], order[~busy[order]][: samples // 10]])
    flat = flat[keep]
    centres = flat[torch.randperm(len(flat), generator=rng)[: SHAPE.codes]].clone()
    for _ in range(rounds):
        winner = torch.cat([torch.cdist(part, centres).argmin(1) for part in flat.split(8192)])
        counts = torch.bincount(winner, minlength=SHAPE.codes)
        sums = torch.zeros_like(centres).index_add_(0, winner, flat)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
        idle = (counts == 0).nonzero().flatten()
        centres[idle] = flat[torch.randint(len(flat), (len(idle),), generator=rng)]
    centres[0] = 1.0  # white, the ground of all the art
    return centres


@torch.no_grad()
def psnr_through(encoder: nn.Module, decoder: nn.Module, pictures: Tensor) -> float:
    """Returns mean PSNR in dB of pictures through encoder, hard codes and decoder."""
    values = []
    for part in pictures.split(32):
        codes = encode_logits(encoder, part).argmax(1)
        drawn = decode(decoder, F.one_hot(codes, SHAPE.codes).permute(0, 3, 1, 2).float())
        error = (drawn - part).pow(2).flatten(1).mean(1)
        values.append(-10 * error.clamp(min=1e-10).log10())
    return float(torch.cat(values).mean())
