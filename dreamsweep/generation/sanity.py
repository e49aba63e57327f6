"""Measures that tell trained weights from random ones: pictures recognised, pictures rebuilt, pictures that are no noise.

Each fails with high probability on random weights. A perceptor is shown eight pictures of things, drawn by the starter BigGAN; the
pictures of other networks are shown to a perceptor that has passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.randomness import Draws
from dreamsweep.guidance.targets import shrink
from dreamsweep.guidance.wording import things_in
from dreamsweep.judges.auditor import Auditor
from dreamsweep.judges.segments import classes_in, shares_of
from dreamsweep.models.biggan import Biggan, draw, load_biggan
from dreamsweep.models.segmenter import Segmenter
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.weights.starter import thing_names

THINGS = ("red heart", "red apple", "rocket", "umbrella", "crescent moon", "basketball", "rainbow", "mushroom")
"""What the shown pictures are of, by the starter BigGAN's own names: everyday things, none like another."""
OTHER_NAMES = 92
"""Names, beside those of what was drawn, among which a perceptor looks for the right one: with `THINGS`, a hundred."""
ENOUGH = 0.75
"""Share of the pictures that must be recognised: six of eight, both of two."""
TOP = 5
"""A drawn picture is recognised when its own name is among so many nearest of a hundred."""
LEAST_GAIN = 3.0
"""Decibels by which rebuilt pictures must beat pictures of one colour: half of the squared error."""
LEAST_SPREAD = 0.02
"""Standard deviation of the pixels, in [0, 1], below which a picture is blank."""
LEAST_CORRELATION = 0.5
"""Correlation of neighbouring pixels below which a picture is noise."""


@dataclass(frozen=True)
class Recognition:
    """How many of several pictures a perceptor recognised."""

    right: int
    count: int

    @property
    def enough(self) -> bool:
        """Whether that is more than chance."""
        return self.right >= ENOUGH * self.count

    def __str__(self) -> str:
        return f"{self.right} of {self.count}"


def class_pictures(biggan: Biggan, classes: Sequence[int], truncation: float = 1.0, noise: float = 0.0) -> Float[Tensor, "n 3 h w"]:
    """Returns pictures of a BigGAN's classes, each with one noise vector of so much deviation for all layers."""
    latents = Draws(classes).normal("sanity", biggan.z_dim)
    one_hot = torch.nn.functional.one_hot(torch.tensor(classes), biggan.classes).float()
    z, c = (vector[:, None].expand(-1, biggan.vectors, -1).to(biggan.device) for vector in (noise * latents, one_hot))
    with torch.no_grad():
        return draw(biggan.model, z, c, truncation)


def shown_pictures(device: str) -> Float[Tensor, "8 3 128 128"]:
    """Returns pictures of `THINGS`. Raises WeightsError when the starter BigGAN is missing or damaged, or has no such things."""
    biggan = load_biggan("starter", 128, device)
    return class_pictures(biggan, [index_of(name, biggan.names) for name in THINGS])


def index_of(name: str, names: Sequence[str]) -> int:
    """Returns the place of a name; of one that is not there, its place among `THINGS`, whose picture is then of something else."""
    return names.index(name) if name in names else THINGS.index(name) % max(1, len(names))


def ranks(texts: Float[Tensor, "m d"], pictures: Float[Tensor, "n d"]) -> Int[Tensor, "n"]:
    """Returns the rank, from 1, of each picture's own text, the one at its place, among all texts. Ties count against it; NaN is last."""
    similarity = (pictures.float() @ texts.float().T).nan_to_num(nan=-2.0)
    return (similarity >= similarity.diagonal()[:, None]).sum(1)


@torch.no_grad()
def recognises_things(perceptor: Perceptor, pictures: Float[Tensor, "8 3 h w"]) -> Recognition:
    """Returns how many of the shown pictures a perceptor gives their own name, of the eight names."""
    texts = perceptor.embed_texts([f"a {name}" for name in THINGS])
    embedded = perceptor.embed_pictures(shrink(pictures, perceptor.resolution))
    return Recognition(int((ranks(texts, embedded) == 1).sum()), len(pictures))


def names_things(auditor: Auditor, pictures: Float[Tensor, "8 3 h w"]) -> Recognition:
    """Returns how many of the shown pictures an auditor gives their own name, or one that the name holds, of all that it knows."""
    likeliest = auditor.shares(pictures)[0][:, :-1].argmax(1).tolist()
    named = [at in things_in(name, auditor.names) for at, name in zip(likeliest, THINGS, strict=True)]
    return Recognition(sum(named), len(named))


def finds_things(segmenter: Segmenter, pictures: Float[Tensor, "8 3 h w"]) -> Recognition:
    """Returns in how many of the shown pictures a segmenter's largest class, the background aside, is that of their own name."""
    shares = shares_of(segmenter.classes_of(pictures), len(segmenter.classes))
    largest = (1 + shares[:, 1:].argmax(1)).tolist()
    right = [at in classes_in(name, segmenter.words) and row[at] > 0 for at, name, row in zip(largest, THINGS, shares, strict=True)]
    return Recognition(sum(map(bool, right)), len(right))


@torch.no_grad()
def recognised(perceptor: Perceptor, pictures: Float[Tensor, "n 3 h w"], prompts: Sequence[str]) -> Recognition:
    """Returns how many drawn pictures have their own prompt among the `TOP` nearest of a hundred texts."""
    texts = perceptor.embed_texts([*prompts, *other_texts(prompts)])
    embedded = perceptor.embed_pictures(shrink(pictures.to(texts.device), perceptor.resolution))
    return Recognition(int((ranks(texts, embedded) <= TOP).sum()), len(pictures))


def other_texts(prompts: Sequence[str]) -> list[str]:
    """Returns texts of other things: evenly spaced names, without those that a prompt has a word of."""
    words = {word for prompt in prompts for word in prompt.lower().split()}
    names = [name for name in (*THINGS, *thing_names()) if not words & set(name.lower().split())]
    return [f"a {name}" for name in names[:: len(names) // OTHER_NAMES]]


def decibels(pictures: Float[Tensor, "n 3 h w"], rebuilt: Float[Tensor, "n 3 h w"]) -> float:
    """Returns the peak signal-to-noise ratio of rebuilt pictures."""
    return float(-10 * (pictures - rebuilt).square().mean().log10())


def fault_of(pictures: Float[Tensor, "n 3 h w"]) -> str | None:
    """Says what is wrong with pictures of any thing, as the end of a sentence about them; None where nothing is."""
    if not pictures.isfinite().all():
        return "hold values that are no numbers"
    if float(pictures.flatten(1).std(1).min()) < LEAST_SPREAD:
        return "are blank"
    if min(map(_smoothness, pictures)) < LEAST_CORRELATION:
        return "are noise"
    return None


def _smoothness(picture: Float[Tensor, "3 h w"]) -> float:
    """Returns the correlation of neighbouring pixels, across and down."""
    pairs = ((picture[..., 1:], picture[..., :-1]), (picture[..., 1:, :], picture[..., :-1, :]))
    return min(float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) for first, second in pairs)
