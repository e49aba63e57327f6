"""Trains the starter BigGAN: the stock generator, small, by regression of one picture a class.

No discriminator: a class's vector is free to become the code of its picture (Bojanowski et al., Optimizing the Latent Space of
Generative Networks, 2018). It starts from the picture's principal components; the generator grows with the pictures, from 32 to 128
px (Karras et al., 2018). The noise vector shares the class vector's weights, at a tenth of their strength: it moves a picture towards
its neighbours, and there is nothing to learn to ignore.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_pretrained_biggan import BigGAN, BigGANConfig
from pytorch_pretrained_biggan.model import BigGANBatchNorm
from torch import Tensor, nn

from dreamsweep.compute.precision import autocast_where_fast
from dreamsweep.models.biggan import features, finish, plain
from dreamsweep.training.art import Art
from dreamsweep.weights.starter import thing_names

STYLES = ("fluent-emoji-flat", "noto", "fxemoji")
"""The style that each thing is drawn in: the first of these that has it, or else the first of all that are trained on."""
BLOCKS = ((True, 16, 16), (True, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1))
WIDTH, Z = 16, 192
STAGES = ((2, 0.49), (3, 0.15), (4, 0.36))
"""Which block's features become the picture, and for what share of the steps: at 32, 64 and 128 px."""
NOISE = 0.1
"""Strength of the noise vector relative to the class vector."""


@dataclass(frozen=True)
class BigganRun:
    """How the BigGAN is trained."""

    seed: int = 0
    steps: int = 5600
    batch: int = 16
    learning_rate: float = 1.2e-3
    every: int = 250
    """Steps between checkpoints."""


def starter_config(classes: int) -> BigGANConfig:
    """Returns the stock class's arguments."""
    return BigGANConfig(
        output_dim=128, z_dim=Z, class_embed_dim=Z, channel_width=WIDTH, num_classes=classes, layers=[list(b) for b in BLOCKS],
        attention_layer_position=len(BLOCKS), n_stats=2,
    )  # fmt: skip


class ThingPictures:
    """One picture of each thing, on white."""

    def __init__(self, art: Art) -> None:
        things = {name.lower() for name in thing_names()}
        order = [*(art.styles.index(s) for s in STYLES if s in art.styles), *range(len(art.styles))]
        chosen: dict[str, int] = {}
        for i in sorted(art.of_styles("train"), key=lambda i: order.index(art.style_of[i])):
            name = art.names[art.name_of[i]]
            if name in things:
                chosen.setdefault(name, int(i))
        self.names = tuple(sorted(chosen))
        rgba = torch.from_numpy(art.rgba[[chosen[name] for name in self.names]]).permute(0, 3, 1, 2).float() / 255
        self.pictures = rgba[:, :3] * rgba[:, 3:] + 1 - rgba[:, 3:]

    def __len__(self) -> int:
        return len(self.names)


class _Student(nn.Module):
    """The generator while it grows: its class vectors, and a temporary last layer for each stage but the last."""

    def __init__(self, data: ThingPictures, seed: int) -> None:
        super().__init__()
        self.model = plain(starter_config(len(data)), seed)
        self.codes = nn.Parameter(principal_components(data.pictures, Z))
        self.heads = nn.ModuleDict({str(block): nn.Conv2d(WIDTH * BLOCKS[block][2], 3, 3, padding=1) for block, _ in STAGES[:-1]})
        rgb = self.model.generator.conv_to_rgb
        rgb.weight, rgb.bias = nn.Parameter(rgb.weight[:3].clone()), nn.Parameter(rgb.bias[:3].clone())

    def forward(self, codes: Tensor, block: int) -> Tensor:
        """Returns pictures of codes, `n vectors z`, after a block."""
        drawn = features(self.model, torch.cat([torch.zeros_like(codes), codes], 2))
        for number, x in enumerate(drawn):
            if number == block:
                return finish(self.model, x) if block == len(BLOCKS) - 1 else (self.heads[str(block)](x).tanh() + 1) / 2
        raise ValueError(f"there is no block {block}")

    @torch.no_grad()
    def calibrate(self, count: int = 256) -> None:
        """Sets each layer's stored statistics to those that it sees now; they stay."""

        def measure(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
            norm.get_buffer("running_means").copy_(inputs[0].mean((0, 2, 3)))
            norm.get_buffer("running_vars").copy_(inputs[0].var((0, 2, 3)) + 1e-3)

        hooks = [m.register_forward_pre_hook(measure) for m in self.model.modules() if isinstance(m, BigGANBatchNorm)]
        codes = self.codes[:count]
        self.model.generator(torch.cat([torch.zeros_like(codes), codes], 1), 1.0)
        for hook in hooks:
            hook.remove()


def train_biggan(art: Art, run: BigganRun, folder: Path, device: str = "cpu") -> Path:
    """Trains the BigGAN, going on from `folder`'s checkpoint where there is one; returns its path."""
    torch.manual_seed(run.seed)
    data = ThingPictures(art)
    pictures = data.pictures.to(device)
    checkpoint, begun = folder / "biggan.pt", 0
    student = _Student(data, run.seed)
    student.calibrate()
    student.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(student.parameters(), lr=run.learning_rate, betas=(0.9, 0.98))
    if checkpoint.exists():
        record = torch.load(checkpoint, weights_only=True, map_location=device)
        begun = record["step"]
        student.load_state_dict(record["student"])
        optimizer.load_state_dict(record["optimizer"])
    started = time.monotonic()
    for step in range(begun, run.steps):
        block, share = stage_at(step / run.steps)
        optimizer.param_groups[0]["lr"] = run.learning_rate * share
        rng = torch.Generator().manual_seed(run.seed * 1_000_003 + step)
        index = torch.randint(len(data), (run.batch,), generator=rng)
        noise = torch.randn(run.batch, len(BLOCKS) + 1, Z, generator=rng).to(device) * NOISE
        with autocast_where_fast(device):
            drawn = student(student.codes[index.to(device)][:, None] + noise, block).float()
        loss = F.mse_loss(drawn, F.adaptive_avg_pool2d(pictures[index.to(device)], drawn.shape[-1]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        if done % run.every == 0 or done == run.steps:
            fit = fit_psnr(student, pictures, block)
            print(f"step {done}/{run.steps} fit {fit:.2f} dB at {drawn.shape[-1]} px, {time.monotonic() - started:.0f} s", flush=True)  # noqa: T201
            folder.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            torch.save({"step": done, "student": student.state_dict(), "optimizer": optimizer.state_dict()}, partial)
            partial.replace(checkpoint)
    return checkpoint


def stage_at(progress: float) -> tuple[int, float]:
    """Returns the stage's block at a share of the run, and the share of the learning rate: in each stage it rises, and falls like a
    cosine.
    """
    begun = 0.0
    for number, (block, length) in enumerate(STAGES):
        if progress < begun + length or number == len(STAGES) - 1:
            within = (progress - begun) / length
            floor = 0.3 if number < len(STAGES) - 1 else 0.01
            return block, min(1.0, within / 0.03 + 0.02) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * within)))
        begun += length
    raise AssertionError


def principal_components(pictures: Tensor, count: int) -> Tensor:
    """Coordinates of pictures along their first components, seen at 32 px: `n count`, mean 0, deviation about 1.

    Weaker components are made less strong than stronger ones, but not by as much as they are weaker.
    """
    flat = F.adaptive_avg_pool2d(pictures, 32).flatten(1)
    u, s, _ = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    missing = max(0, count - u.shape[1])
    coordinates = F.pad(u * s.sqrt(), (0, missing))[:, :count]
    coordinates = coordinates - coordinates.mean(0)  # a component that is not there has any mean
    scaled: Tensor = coordinates / coordinates.std()
    return scaled


@torch.no_grad()
def fit_psnr(student: _Student, pictures: Tensor, block: int) -> float:
    """Returns mean PSNR in dB of the training pictures, drawn without noise after a block."""
    values = []
    for part in torch.arange(len(pictures), device=pictures.device).split(64):
        drawn = student(student.codes[part][:, None].expand(-1, len(BLOCKS) + 1, -1), block)
        error = (drawn - F.adaptive_avg_pool2d(pictures[part], drawn.shape[-1])).pow(2).flatten(1).mean(1)
        values.append(-10 * error.clamp(min=1e-10).log10())
    return float(torch.cat(values).mean())


def trained(art: Art, checkpoint: Path) -> tuple[BigGAN, tuple[str, ...]]:
    """Returns the generator of a checkpoint with its class vectors in place, and the names of its classes."""
    data = ThingPictures(art)
    student = _Student(data, 0)
    student.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu")["student"])
    model = student.model
    with torch.no_grad():
        model.embeddings.weight.copy_(student.codes.T)
        for module in model.modules():
            if isinstance(module, nn.Linear) and module.in_features == 2 * Z:
                module.weight[:, :Z] = NOISE * module.weight[:, Z:]
        rgb = model.generator.conv_to_rgb
        rgb.weight = nn.Parameter(F.pad(rgb.weight, (0, 0, 0, 0, 0, 0, 0, WIDTH - 3)))
        rgb.bias = nn.Parameter(F.pad(rgb.bias, (0, WIDTH - 3)))
    return model.eval(), data.names
