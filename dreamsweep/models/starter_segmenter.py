"""The starter segmenter: which of some hundred and eighty things each pixel shows, of drawings.

The starter auditor, which is frozen, says what is where, coarsely: shares of its things by its head, at each place of its last map. A
light decoder on its network's maps (a feature pyramid: Lin et al., 2017) says it for each pixel. The decoder learned scenes of drawings
from the drawings' own masks (`dreamsweep.training.train_segmenter`). Its last class is everything drawn that is none of its things.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dreamsweep.compute.pool import pooled
from dreamsweep.errors import WeightsError
from dreamsweep.models.efficientnet_lite import EfficientNetLite, load_lite
from dreamsweep.models.segmenter import BACKGROUND, Segmenter
from dreamsweep.spec.judges import AUDITOR, SEGMENTER
from dreamsweep.weights.starter import expected_sha256, read_weights, thing_names, write_weights

SIDE = 160
"""Pixels on a side of what the network sees of a picture."""
MAP_SIDE = 128
"""Pixels on a side of the maps of classes."""
MOSTLY = 0.5
"""Share of the background from which a pixel shows nothing."""
LEAST_SHARE = 1e-3
"""Share of the auditor's that counts as none."""
OTHER = "something else"
"""Name of the class of drawings that show none of the things."""


@dataclass(frozen=True)
class SegmenterShape:
    """Sizes of the decoder that its state dict does not name."""

    channels: tuple[int, ...]
    """Channels of the network's maps that it reads, the largest map first."""
    width: int
    classes: int
    """Classes, with the background and everything else."""


class Mix(nn.Module):
    """A residual block of a depthwise and a pointwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        self.around_norm = nn.BatchNorm2d(width)
        self.across = nn.Conv2d(width, width, 1, bias=False)
        self.across_norm = nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "n d y x"]) -> Float[Tensor, "n d y x"]:
        around = F.relu(self.around_norm(self.around(x)))
        return F.relu(x + self.across_norm(self.across(around)))


@dataclass(frozen=True)
class Seen:
    """What the auditor's frozen parts say of pictures."""

    levels: list[Float[Tensor, "n _ _ _"]]
    """Maps of the network, the largest first, and last the features of each place."""
    places: Float[Tensor, "n t v u"]
    """Logarithms of the shares of the things at each of these places, by the auditor's head; the last is everything else."""
    whole: Float[Tensor, "n t 1 1"]
    """The same of the whole pictures."""


class Frozen(nn.Module):
    """The auditor's network, and its head with the auditor's things summed to those of the segmenter."""

    project: Tensor
    project_bias: Tensor
    classify: Tensor
    classify_bias: Tensor
    thing_of: Tensor

    def __init__(self, tower: EfficientNetLite, head: Mapping[str, Tensor], thing_of: Float[Tensor, "m t"]) -> None:
        super().__init__()
        self.tower = tower
        for key, value in head.items():
            self.register_buffer(key, value.float())
        self.register_buffer("thing_of", thing_of)

    def see(self, levels: list[Float[Tensor, "n _ _ _"]]) -> Seen:
        """Returns the network's maps of pictures with what the head says of the last one."""
        features = levels[-1].float()
        return Seen(levels, self._shares(features), self._shares(features.mean((2, 3), keepdim=True)))

    def _shares(self, features: Float[Tensor, "n d y x"]) -> Float[Tensor, "n t y x"]:
        vectors = F.linear(features.movedim(1, 3), self.project, self.project_bias)
        things = F.linear(vectors, self.classify[:-1], self.classify_bias[:-1]).softmax(-1)  # the last of the auditor's classes is nothing
        return (things @ self.thing_of + LEAST_SHARE).log().movedim(3, 1)


class Decoder(nn.Module):
    """What the frozen parts say, to one logit for each class and place of the largest map that is read."""

    def __init__(self, shape: SegmenterShape) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, shape.width, 1, bias=False) for channels in shape.channels)
        self.lateral_norm = nn.ModuleList(nn.BatchNorm2d(shape.width) for _ in shape.channels)
        self.mean = nn.Linear(shape.channels[-1], shape.width)
        self.mix = nn.ModuleList(Mix(shape.width) for _ in shape.channels)
        self.classify = nn.Conv2d(shape.width, shape.classes, 1)
        self.trust = nn.Parameter(torch.tensor([0.5, 0.5]))
        """Weights of the head's shares at each place, and of those of the whole picture."""

    def forward(self, seen: Seen) -> Float[Tensor, "n c y x"]:
        """Reads as many of the levels, from the last, as it has channels for."""
        x = self.mean(seen.levels[-1].mean((2, 3)))[..., None, None]
        parts = (reversed(part) for part in (self.lateral, self.lateral_norm, self.mix))
        for level, lateral, norm, mix in zip(seen.levels[: -len(self.mix) - 1 : -1], *parts, strict=True):
            x = mix(_resized(x, level.shape[-2:]) + norm(lateral(level)))
        shares = _resized(self.trust[0] * seen.places + self.trust[1] * seen.whole, x.shape[-2:])
        logits: Tensor = self.classify(x).float() + F.pad(shares, (0, 0, 0, 0, 1, 0))  # the background has none
        return logits


def _resized(maps: Float[Tensor, "n c _ _"], sides: torch.Size) -> Float[Tensor, "n c y x"]:
    return F.interpolate(maps, size=tuple(sides), mode="bilinear", align_corners=False)


class StarterNetwork(nn.Module):
    """The frozen parts and the decoder: which class each pixel has, by means over a picture and its mirror image.

    A pixel is first background or not. What it shows is then weighed by how much of the whole picture shows that, so that one thing is not
    taken for several.
    """

    def __init__(self, frozen: Frozen, decoder: Decoder) -> None:
        super().__init__()
        self.frozen, self.decoder = frozen, decoder

    def forward(self, pictures: Float[Tensor, "n 3 r r"]) -> dict[str, Float[Tensor, "n c y x"]]:
        views = torch.cat([pictures, pictures.flip(-1)])
        plain, mirrored = self.decoder(self.frozen.see(self.frozen.tower.levels(views))).softmax(1).chunk(2)
        shares = _resized((plain + mirrored.flip(-1)) / 2, torch.Size((MAP_SIDE, MAP_SIDE)))
        background, things = shares[:, :1] > MOSTLY, shares[:, 1:]
        return {"out": torch.cat([background.float(), things * things.mean((2, 3), keepdim=True)], 1)}


def sized(pictures: Tensor) -> Float[Tensor, "n 3 r r"]:
    """Returns whole pictures of 8 bits at the size that the network sees, in [0, 1]."""
    scaled = pictures.float() / 255
    return F.interpolate(scaled, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


@pooled
def load_starter_segmenter(device: str) -> Segmenter:
    """Returns the segmenter that ships with dreamsweep. Raises WeightsError when its file or the auditor's is missing or damaged."""
    tensors, metadata, sha256 = read_weights(SEGMENTER)
    record, things, words = (json.loads(metadata[key]) for key in ("shape", "things", "words"))
    decoder = _decoder(tensors, SegmenterShape(tuple(record["channels"]), record["width"], record["classes"]))
    if (auditor := json.loads(metadata["auditor"])) != (actual := expected_sha256(AUDITOR)):
        raise WeightsError(
            f"weights {SEGMENTER!r}: it was trained on another {AUDITOR} (SHA-256 {auditor[:12]}…, here {actual[:12]}…); restore both "
            "files with git, or train it again: python -m dreamsweep.training segmenter."
        )
    return Segmenter(
        StarterNetwork(load_frozen(words), decoder).eval().requires_grad_(False).to(device),
        sized,
        (BACKGROUND, *things, OTHER),
        sha256,
        words_of(words),
        f"{len(things)} things that {SEGMENTER} knows",
    )


def load_frozen(words: Sequence[Sequence[str]]) -> Frozen:
    """Returns the auditor's parts for things that these words name. Raises WeightsError when its file is missing or damaged."""
    tensors, metadata, _ = read_weights(AUDITOR)
    place = {word: at for at, spoken in enumerate(words) for word in spoken}
    places = torch.tensor([place.get(name, len(words)) for name in json.loads(metadata["names"])])
    head = {key.removeprefix("head."): value for key, value in tensors.items() if key.startswith("head.")}
    return Frozen(load_lite(tensors, json.loads(metadata["shape"])), head, F.one_hot(places, len(words) + 1).float())


def _decoder(tensors: Mapping[str, Tensor], shape: SegmenterShape) -> Decoder:
    decoder = Decoder(shape)
    try:
        decoder.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in tensors.items()})
    except RuntimeError as error:
        reason = str(error).split("\n")[0].rstrip(":.")
        raise WeightsError(f"weights {SEGMENTER!r}: its file holds no segmenter ({reason}); restore it with git.") from None
    return decoder


def words_of(words: Sequence[Sequence[str]]) -> tuple[tuple[str, int], ...]:
    """Returns words with the place of their class, from 1; names of other things that drawings show name no class."""
    named = {word: at for at, spoken in enumerate(words, 1) for word in spoken}
    return tuple({**dict.fromkeys(thing_names(), 0), **named}.items())


def save_segmenter(
    path: Path, shape: SegmenterShape, decoder: Mapping[str, Tensor], things: Sequence[str], words: Sequence[Sequence[str]], auditor: str
) -> None:
    """Writes a decoder's weights in half precision, with its shape, its things, words that name each, and its auditor's SHA-256."""
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in decoder.items()}
    record = {"shape": asdict(shape), "things": things, "words": words, "auditor": auditor}
    write_weights(path, tensors, {key: json.dumps(value) for key, value in record.items()})
