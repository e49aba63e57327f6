"""Marks of the segmenter, on scenes of drawings in styles that it was never trained on."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.models.segmenter import Segmenter
from dreamsweep.training.art import Art
from dreamsweep.training.card import Marks
from dreamsweep.training.scenes import Scenes, drawings_of

SCENES, BATCH, SEED = 192, 32, 77
ONE_EACH = (0.0, 1.0, 0.0, 0.0, 0.0)
"""Shares of the scenes by their number of drawings: each has one."""


def segmenter_marks(art: Art, segmenter: Segmenter, style: str, count: int = SCENES) -> list[Marks]:
    """Returns mean IoU and pixel accuracy on scenes of a held-out style, as drawn and damaged, and on scenes of one drawing each.

    A class's IoU is over all scenes together. The mean is over the things, so neither the background's nor everything else's is in it.
    """
    drawings = drawings_of(art, np.flatnonzero(art.style_of == art.styles.index(style)))
    marks = []
    for manner, damaged in (("clean", 0.0), ("damaged", 1.0)):
        table = confusion(segmenter, Scenes(art, drawings, damaged=damaged), count)
        ious = class_ious(table)
        accuracy = float(table.diagonal().sum() / table.sum())
        figure = f"mean IoU {ious[1:-1].nanmean():.1%}, background {ious[0]:.1%}, else {ious[-1]:.1%}; pixel accuracy {accuracy:.1%}"
        marks.append(Marks(f"starter-segmenter: {count} {manner} scenes, held-out {style}", figure))
    right = largest_is_right(segmenter, Scenes(art, drawings, damaged=0.0, things=ONE_EACH), count)
    marks.append(Marks(f"starter-segmenter: largest class of a drawing of a thing, held-out {style}", f"{right:.1%}"))
    return marks


def confusion(segmenter: Segmenter, scenes: Scenes, count: int) -> Int[Tensor, "c c"]:
    """Returns how many pixels of each class (rows) were taken for each class (columns)."""
    classes = scenes.classes
    table = torch.zeros(classes, classes, dtype=torch.int64)
    for start in range(0, count, BATCH):
        pictures, labels = scenes.draw(min(BATCH, count - start), torch.Generator().manual_seed(SEED + start))
        seen = _at(segmenter.classes_of(pictures), labels)
        table += (labels * classes + seen).flatten().bincount(minlength=classes**2).reshape(classes, classes)
    return table


def class_ious(table: Int[Tensor, "c c"]) -> Float[Tensor, "c"]:
    """Returns each class's intersection over union; not a number where no pixel is of the class and none was taken for it."""
    both = table.diagonal()
    return both / (table.sum(0) + table.sum(1) - both)


def largest_is_right(segmenter: Segmenter, scenes: Scenes, count: int) -> float:
    """Returns the share of scenes whose largest class, the background aside, is the drawing's; scenes of other things do not count."""
    right = total = 0
    for start in range(0, count, BATCH):
        pictures, labels = scenes.draw(min(BATCH, count - start), torch.Generator().manual_seed(SEED + start))
        for seen, own in zip(segmenter.classes_of(pictures), labels.flatten(1).amax(1), strict=True):
            if 0 < own < scenes.classes - 1:
                areas = seen.flatten().bincount(minlength=scenes.classes)[1:]
                right += int(areas.argmax() + 1 == own and areas.any())
                total += 1
    return right / max(1, total)


def _at(classes: Int[Tensor, "n y x"], labels: Int[Tensor, "n h w"]) -> Int[Tensor, "n h w"]:
    """Returns a map of classes at the size of the labels."""
    return F.interpolate(classes[:, None].float(), labels.shape[-2:], mode="nearest-exact")[:, 0].long().cpu()
