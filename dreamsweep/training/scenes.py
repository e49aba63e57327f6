"""Scenes for the segmenter: one to four drawings on varied backgrounds, and the class of each pixel by the drawings' own masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Generator, Tensor

from dreamsweep.training.art import OBJECT_GROUPS, SIDE, Art
from dreamsweep.training.augment import bend, damage, grounds, place_on_white, premultiplied, recolour, shuffle_patches
from dreamsweep.training.segment_classes import SEGMENT_CLASSES, SegmentClass, places_of

THINGS = (0.12, 0.5, 0.2, 0.1, 0.08)
"""Shares of the scenes with no drawing, with one, two, three and four."""
OTHERS = 0.2
"""Share of the drawings that belong to no class."""
DAMAGED = 0.5
"""Share of the scenes that are drawn with outlines, less detail, noise or holes."""
RECOLOURED, REPAINTED = 0.5, 0.15
"""Shares of the drawings in slightly other colours, and in quite others: red, green and blue in another order."""
GROUNDS = {"white": 0.4, "colours": 0.28, "noise": 0.08, "shuffled": 0.12, "nothing": 0.12}
"""Shares of the backgrounds. `shuffled` are drawings whose patches are in another order; `nothing` is what engines draw at first."""
PATCHES = (8, 16, 32)
"""Sides of these patches in pixels."""
OPAQUE = 0.5
"""Opacity from which a pixel is the drawing's."""


@dataclass(frozen=True)
class Scenes:
    """Draws scenes of drawings, and where each class is."""

    art: Art
    drawings: tuple[NDArray[np.int64], ...]
    """Indices of the drawings of each class, from class 1; last of those that belong to none."""
    nothing: UInt8[Tensor, "n 3 h w"] = field(default_factory=lambda: torch.full((1, 3, SIDE, SIDE), 255, dtype=torch.uint8))
    """Pictures that show nothing, for backgrounds."""
    damaged: float = DAMAGED
    things: tuple[float, ...] = THINGS

    @property
    def classes(self) -> int:
        """Number of the classes, with the background and everything else."""
        return 1 + len(self.drawings)

    def draw(self, count: int, rng: Generator) -> tuple[Float[Tensor, "n 3 h w"], Int[Tensor, "n h w"]]:
        """Returns pictures in [0, 1], 128 pixels high and wide, and the class of each pixel; every draw comes from `rng`."""
        pictures, labels = self._grounds(count, rng), torch.zeros(count, SIDE, SIDE, dtype=torch.int64)
        counts = torch.multinomial(torch.tensor(self.things), count, replacement=True, generator=rng)
        for number in range(int(counts.max())):
            chosen = torch.nonzero(counts > number).flatten()
            classes = self._chosen_classes(len(chosen), rng)
            drawn = self._placed(self._drawings(classes, rng), counts[chosen], rng)
            pictures[chosen] = drawn[:, :3] + (1 - drawn[:, 3:]) * pictures[chosen]
            labels[chosen] = torch.where(drawn[:, 3] > OPAQUE, classes[:, None, None], labels[chosen])
        damaged = torch.rand(count, generator=rng) < self.damaged
        if damaged.any():
            pictures[damaged] = damage(pictures[damaged], rng)
        return pictures.clamp(0, 1), labels

    def _chosen_classes(self, count: int, rng: Generator) -> Int[Tensor, "n"]:
        drawn = torch.tensor([at for at, pool in enumerate(self.drawings[:-1], 1) if len(pool)])
        known = drawn[torch.randint(len(drawn), (count,), generator=rng)]
        others = OTHERS if len(self.drawings[-1]) else 0.0
        return torch.where(torch.rand(count, generator=rng) < others, len(self.drawings), known)

    def _drawings(self, classes: Int[Tensor, "n"], rng: Generator) -> Float[Tensor, "n 4 h w"]:
        """Returns a premultiplied drawing of each class, some in other colours."""
        shares = torch.rand(len(classes), generator=rng).tolist()
        pools = [self.drawings[at - 1] for at in classes.tolist()]
        rgba = premultiplied(self.art.rgba[[pool[int(share * len(pool))] for pool, share in zip(pools, shares, strict=True)]])
        colours = torch.where(torch.rand(len(rgba), 1, 1, 1, generator=rng) < RECOLOURED, recolour(rgba, rng), rgba[:, :3])
        repainted = torch.rand(len(rgba), 1, 1, 1, generator=rng) < REPAINTED
        colours = torch.where(repainted, colours[:, torch.randperm(3, generator=rng)], colours)
        return torch.cat([colours, rgba[:, 3:]], 1)

    def _placed(self, rgba: Float[Tensor, "n 4 h w"], counts: Int[Tensor, "n"], rng: Generator) -> Float[Tensor, "n 4 h w"]:
        """Returns the drawings in their places: large where a scene has one, smaller where it has several, turned and bent a little."""
        n = len(rgba)
        low, high = torch.where(counts == 1, 0.45, 0.35), torch.where(counts == 1, 1.05, 0.65)
        size = low + (high - low) * torch.rand(n, generator=rng)
        centre = (2 * torch.rand(2, n, generator=rng) - 1) * ((1 - size).clamp(min=0) + 0.05)
        angle = torch.where(torch.rand(n, generator=rng) < 0.2, torch.rand(n, generator=rng) - 0.5, torch.randn(n, generator=rng) * 0.08)
        mirror = torch.where(torch.rand(n, generator=rng) < 0.3, -1.0, 1.0)
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        turn = torch.stack([torch.stack([cos * mirror, -sin * mirror], 1), torch.stack([sin, cos], 1)], 1)
        theta = torch.cat([turn, -(turn @ centre.T[..., None])], 2)
        return bend(rgba, theta, rng)

    def _grounds(self, count: int, rng: Generator) -> Float[Tensor, "n 3 h w"]:
        kinds = torch.multinomial(torch.tensor([*GROUNDS.values()]), count, replacement=True, generator=rng)
        pictures = torch.ones(count, 3, SIDE, SIDE)
        for number, kind in enumerate(GROUNDS):
            chosen = torch.nonzero(kinds == number).flatten()
            if len(chosen) and kind != "white":
                pictures[chosen] = self._ground(kind, len(chosen), rng)
        return pictures

    def _ground(self, kind: str, count: int, rng: Generator) -> Float[Tensor, "n 3 h w"]:
        match kind:
            case "colours":
                return grounds(count, SIDE, SIDE, rng)
            case "noise":
                side = int(torch.randint(4, 48, (1,), generator=rng))
                mode = "nearest" if torch.rand(1, generator=rng) < 0.3 else "bicubic"
                small = torch.rand(count, 3, side, side, generator=rng)
                return F.interpolate(small, (SIDE, SIDE), mode=mode).clamp(0, 1)
            case "shuffled":
                classes = self._chosen_classes(count, rng)
                patch = PATCHES[int(torch.randint(len(PATCHES), (1,), generator=rng))]
                return shuffle_patches(place_on_white(self._drawings(classes, rng), rng), rng, patch)
            case _:
                chosen = torch.randint(len(self.nothing), (count,), generator=rng)
                mirrored = torch.rand(count, 1, 1, 1, generator=rng) < 0.5
                pictures = self.nothing[chosen].float() / 255
                return torch.where(mirrored, pictures.flip(-1), pictures)


def drawings_of(art: Art, chosen: NDArray[np.int64], classes: Sequence[SegmentClass] = SEGMENT_CLASSES) -> tuple[NDArray[np.int64], ...]:
    """Returns those of the chosen drawings that show each class, maybe none, and last those of things that belong to no class."""
    place_of = np.array(places_of(art.names, classes))[art.name_of[chosen]]
    is_thing = np.isin(np.array(art.groups)[art.name_of[chosen]], OBJECT_GROUPS)
    return (*(chosen[place_of == at] for at in range(1, len(classes) + 1)), chosen[(place_of == 0) & is_thing])
