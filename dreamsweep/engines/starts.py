"""Starts that a guide chooses: one of the few pictures, or named things, that it finds nearest to the prompt. Seed 0 takes the nearest.

Any other seed takes one of those and, of pictures, moves, resizes or mirrors it, so that seeds differ from the first iteration on.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.colours import painted
from dreamsweep.compute.randomness import Draws
from dreamsweep.guidance.protocol import Chooser
from dreamsweep.guidance.wording import colour_of, things_in
from dreamsweep.models.biggan import Biggan, draw, load_biggan
from dreamsweep.models.dvae import load_dvae
from dreamsweep.spec import Trial, WeightsName

CHOICE = 3
SYNONYMS = 0.05
"""Difference of cosines up to which two names mean the same: "cat face" and "cat", hardly "rocket" and "airplane"."""
DRAWN_AT_ONCE = 16 * 128**2
"""Pixels of pictures of classes that are drawn together."""
ZOOM, SHIFT = 0.15, 0.06
"""Largest change of a start's size, as a logarithm, and of its place, as a share of the side."""
THING_SIDE = 128
"""Pixels on a side of a thing's picture, as the starter BigGAN draws it."""


class ShapeStarts:
    """Starts from average pictures of like things, `n 3 y x`: hearts, discs, faces."""

    def __init__(self, shapes: Float[Tensor, "n 3 y x"]) -> None:
        self.shapes = shapes

    def __call__(self, side: int, trials: Sequence[Trial], guide: Chooser) -> Float[Tensor, "b 3 h w"]:
        """Returns the picture that each trial starts from, `side` pixels on a side, in [0, 1]."""
        pictures = F.interpolate(self.shapes, size=(side, side), mode="bilinear", align_corners=False).clamp(0, 1)
        return placed(pictures[choose(guide.weigh(pictures), trials, "shape")], trials)


class ThingStarts:
    """Starts from pictures of named things, as a BigGAN draws them, in the colour that the prompt gives the thing."""

    def __init__(self, biggan: Biggan) -> None:
        self.biggan = biggan

    def __call__(self, side: int, trials: Sequence[Trial], guide: Chooser, key: int = 0) -> Float[Tensor, "b 3 h w"]:
        """Returns the picture that each trial starts from, `side` pixels on a side, in [0, 1]; of a walk, that of its prompt `key`."""
        chosen = likeliest_classes(self.biggan, trials, guide, key).tolist()
        pictures = torch.cat([self._picture(of_class, text_at(trial, key)) for of_class, trial in zip(chosen, trials, strict=True)])
        return placed(F.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1), trials)

    def _picture(self, of_class: int, text: str) -> Float[Tensor, "1 3 h w"]:
        """Returns a class's picture, drawn by itself, so that it is the same to the last bit in every batch."""
        (picture,) = class_pictures(self.biggan, [of_class])
        colour = colour_of(text, self.biggan.names[of_class]) if self.biggan.names else None
        return painted(picture[0], colour)[None] if colour else picture

    def along(self, side: int, trials: Sequence[Trial], guide: Chooser) -> list[Float[Tensor, "_ 3 h w"]]:
        """Returns for each trial the pictures of the things that it passes, one for its prompt and one for each that it goes on to."""
        counts = [1 + len(trial.prompt.to) for trial in trials]
        pictures = torch.stack([self(side, trials, guide, key) for key in range(max(counts))], 1)
        return [passed[:count] for passed, count in zip(pictures, counts, strict=True)]


Starts = ShapeStarts | ThingStarts
"""Pictures to start from, for one batch."""


@torch.no_grad()
def likeliest_classes(biggan: Biggan, trials: Sequence[Trial], guide: Chooser, key: int = 0) -> Int[Tensor, "b"]:
    """Returns for each trial a class near its prompt (of a walk, near prompt `key`): by the classes' names where the BigGAN has them, or
    else by their pictures.

    A prompt that holds things' names in so many words gets one of these things. Names are the surer way: to a small guide, "a brown swan"
    is as near to a picture of a llama, and "a purple soap" to a pink heart.
    """
    if biggan.names:
        losses = guide.weigh_names(biggan.names, key)
        for at, trial in enumerate(trials):
            if named := things_in(text_at(trial, key), biggan.names):
                others = torch.ones(len(losses), dtype=torch.bool, device=losses.device)
                others[[*named]] = False
                losses[others, at] = torch.inf
        return choose(losses, trials, "class", SYNONYMS).cpu()
    weighed = [guide.weigh(pictures) for pictures in class_pictures(biggan, range(biggan.classes))]
    return choose(torch.cat(weighed), trials, "class").cpu()


@torch.no_grad()
def class_pictures(biggan: Biggan, classes: Iterable[int], truncation: float = 1.0) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """Yields pictures of classes, without noise, some at a time."""
    side = biggan.model.config.output_dim
    for some in torch.tensor([*classes]).split(max(1, DRAWN_AT_ONCE // side**2)):
        vectors = F.one_hot(some, biggan.classes).float().to(biggan.device)
        latents = vectors.new_zeros(len(some), biggan.vectors, biggan.z_dim)
        yield draw(biggan.model, latents, vectors[:, None].expand(-1, biggan.vectors, -1), truncation)


def text_at(trial: Trial, key: int) -> str:
    """Returns prompt `key` of a walk, or its last one; of a trial that goes nowhere, its prompt."""
    return [trial.prompt.text, *trial.prompt.to][min(key, len(trial.prompt.to))]


def choose(losses: Float[Tensor, "n b"], trials: Sequence[Trial], stream: str, margin: float = torch.inf) -> Int[Tensor, "b"]:
    """Returns for each trial the index of one of the three least losses, no further than `margin` from the least; the seed says which."""
    best = losses.topk(min(CHOICE, len(losses)), dim=0, largest=False)  # 3 b
    close = (best.values - best.values[0] <= margin).sum(0).tolist()
    drawn = Draws([trial.seed for trial in trials]).uniform(stream).tolist()
    ranks = [int(share * count) if trial.seed else 0 for share, count, trial in zip(drawn, close, trials, strict=True)]
    return best.indices[torch.tensor(ranks), torch.arange(len(trials))]


def placed(pictures: Float[Tensor, "b 3 h w"], trials: Sequence[Trial]) -> Float[Tensor, "b 3 h w"]:
    """Returns pictures on white, moved, resized and half of them mirrored by their trials' seeds; those of seed 0 as they are."""
    draws, still = Draws([trial.seed for trial in trials]), torch.tensor([trial.seed == 0 for trial in trials])
    zoom, across, down, side = (draws.uniform("placed", 4) * 2 - 1).masked_fill(still[:, None], 0.0).unbind(1)
    theta = torch.zeros(len(trials), 2, 3)
    theta[:, 0, 0] = (zoom * ZOOM).exp() * torch.where(side < 0, -1.0, 1.0)
    theta[:, 1, 1] = (zoom * ZOOM).exp()
    theta[:, :, 2] = 2 * SHIFT * torch.stack([across, down], 1)
    grid = F.affine_grid(theta.to(pictures), list(pictures.shape), align_corners=False)
    moved = 1 - F.grid_sample(1 - pictures, grid, align_corners=False)
    return torch.where(still[:, None, None, None].to(pictures.device), pictures, moved.clamp(0, 1))


def make_starts(start: str, weights: WeightsName, device: str) -> Starts | None:
    """Returns the pictures of a spec's `start`; None where it starts from something else, or the weights have no such pictures.

    Raises WeightsError when weights are missing or damaged.
    """
    if start == "shape" and (shapes := load_dvae(weights, device).shapes) is not None:
        return ShapeStarts(shapes)
    return make_thing_starts(start, weights, device)


def make_thing_starts(start: str, weights: WeightsName, device: str) -> ThingStarts | None:
    """Returns the pictures of things, where a spec's `start` asks for them. Raises WeightsError when weights are missing or damaged."""
    return ThingStarts(load_biggan(weights, THING_SIDE, device)) if start == "thing" else None
