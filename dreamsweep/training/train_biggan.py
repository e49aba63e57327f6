"""Trains the starter BigGAN: the stock generator, small, by regression of one picture a class.

No discriminator: a class's vector is free to become the code of its picture (Bojanowski et al., Optimizing the Latent Space of
Generative Networks, 2018). It starts from the picture's principal components; the generator grows with the pictures, from 32 to 128
px (Karras et al., 2018). The noise vector shares the class vector's weights, at a tenth of their strength: it moves a picture towards
its neighbours, and there is nothing to learn to ignore.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
from dreamsweep.training.training import Run, averaged, fit
from dreamsweep.weights.starter import thing_names

STYLES = ("fluent-emoji-flat", "noto", "fxemoji")
"""The style that each thing is drawn in: the first of these that has it, or else the first of all that are trained on."""
BLOCKS = ((True, 16, 16), (True, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 1))
WIDTH, Z = 16, 192
NOISE = 0.1
"""Strength of the noise vector relative to the class vector."""


@dataclass(frozen=True)
class Stage:
    """A part of the training, at the size that one block draws."""

    block: int
    name: str
    """Name of its checkpoint's file, without the ending."""
    run: Run


STAGES = (
    Stage(2, "biggan-32", Run(steps=2750, batch=16, learning_rate=1.2e-3)),
    Stage(3, "biggan-64", Run(steps=850, batch=16, learning_rate=1.2e-3)),
    Stage(4, "biggan", Run(steps=2000, batch=16, learning_rate=1.2e-3)),
)
"""Pictures grow with them, from 32 to 128 px."""
GROWING = (2, 3)
"""Blocks whose features become a picture by a temporary layer."""


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


class Student(nn.Module):
    """The generator while it grows: its class vectors, and a temporary last layer for each stage but the last."""

    def __init__(self, codes: Tensor, seed: int = 0) -> None:
        super().__init__()
        self.model = plain(starter_config(len(codes)), seed)
        self.codes = nn.Parameter(codes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.heads = nn.ModuleDict({str(block): nn.Conv2d(WIDTH * BLOCKS[block][2], 3, 3, padding=1) for block in GROWING})
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


def train_biggan(art: Art, stages: Sequence[Stage], folder: Path, device: str = "cpu") -> Path:
    """Trains the BigGAN stage by stage, going on from `folder`'s last checkpoint where there is one; returns the path of the last."""
    data = ThingPictures(art)
    pictures = data.pictures.to(device)
    student = Student(principal_components(data.pictures, Z), stages[0].run.seed)
    student.calibrate()
    student.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    paths = [folder / f"{stage.name}.pt" for stage in stages]
    begun = max((number for number, path in enumerate(paths) if path.exists()), default=0)
    for stage, path in [*zip(stages, paths, strict=True)][begun:]:
        fit(student, partial(_loss, student, pictures, stage), stage.run, path)
        student.load_state_dict(averaged(path))
        print(f"{stage.name}: fit {fit_psnr(student, pictures, stage.block):.2f} dB", flush=True)  # noqa: T201
    return paths[-1]


def _loss(student: Student, pictures: Tensor, stage: Stage, step: int) -> Tensor:
    """Returns how far some things are from their pictures, drawn with a little noise."""
    rng = stage.run.at(step)
    index = torch.randint(len(pictures), (stage.run.batch,), generator=rng).to(pictures.device)
    noise = torch.randn(stage.run.batch, len(BLOCKS) + 1, Z, generator=rng).to(pictures.device) * NOISE
    with autocast_where_fast(pictures.device):
        drawn = student(student.codes[index][:, None] + noise, stage.block).float()
    return F.mse_loss(drawn, F.adaptive_avg_pool2d(pictures[index], drawn.shape[-1]))


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
def fit_psnr(student: Student, pictures: Tensor, block: int) -> float:
    """Returns mean PSNR in dB of the training pictures, drawn without noise after a block."""
    values = []
    for part in torch.arange(len(pictures), device=pictures.device).split(64):
        drawn = student(student.codes[part][:, None].expand(-1, len(BLOCKS) + 1, -1), block)
        error = (drawn - F.adaptive_avg_pool2d(pictures[part], drawn.shape[-1])).pow(2).flatten(1).mean(1)
        values.append(-10 * error.clamp(min=1e-10).log10())
    return float(torch.cat(values).mean())


def trained(art: Art, checkpoint: Path) -> tuple[BigGAN, tuple[str, ...]]:
    """Returns the generator of a checkpoint with its class vectors in place, and the names of its classes."""
    names = ThingPictures(art).names
    student = Student(torch.zeros(len(names), Z))
    student.load_state_dict(averaged(checkpoint))
    model = student.model
    with torch.no_grad():
        model.embeddings.weight.copy_(student.codes.T)
        for module in model.modules():
            if isinstance(module, nn.Linear) and module.in_features == 2 * Z:
                module.weight[:, :Z] = NOISE * module.weight[:, Z:]
        rgb = model.generator.conv_to_rgb
        rgb.weight = nn.Parameter(F.pad(rgb.weight, (0, 0, 0, 0, 0, 0, 0, WIDTH - 3)))
        rgb.bias = nn.Parameter(F.pad(rgb.bias, (0, WIDTH - 3)))
    return model.eval(), names


def restored(model: BigGAN) -> dict[str, Tensor]:
    """Returns the student's weights from those of a frozen generator; what it does not use at full size is random."""
    student = Student(model.embeddings.weight.T.clone())
    student.model.load_state_dict(model.state_dict())
    return student.state_dict()
