"""Paints, and pictures painted in them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PAINTS = {
    "red": (1.0, 0.05, 0.05), "orange": (1.0, 0.5, 0.0), "yellow": (1.0, 0.88, 0.05), "green": (0.1, 0.75, 0.15), "blue": (0.1, 0.35, 1.0),
    "purple": (0.6, 0.15, 0.95), "pink": (1.0, 0.4, 0.72), "brown": (0.55, 0.3, 0.12), "black": (0.05, 0.05, 0.05),
    "white": (0.9, 0.92, 0.95), "grey": (0.5, 0.5, 0.5),
}  # fmt: skip
"""Red, green and blue of a fully saturated pixel, by the colour's name; white is dark enough to be seen on white paper."""
LEAST_INK = 0.15
"""Difference from the paper, of 1, from which a pixel is part of what is drawn."""
GREY = 0.25
"""Mean chroma of a drawing below which it has no colour of its own."""
ALIKE, DARK = 0.95, 0.7
"""Cosine from which a drawing's colours are a paint's; and the brightest channel of dark paints, such as brown, a dark orange."""


def paint(rgb: Float[Tensor, "b 3 h w"], paints: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 h w"]:
    """Returns pictures whose saturated parts have another colour; greys, black and white stay.

    A pixel keeps its least channel, and its chroma (the largest minus the least, as in HSV) becomes so much of the paint.
    """
    least = rgb.amin(1, keepdim=True)
    return least + (rgb.amax(1, keepdim=True) - least) * paints[:, :, None, None]


def painted(picture: Float[Tensor, "3 h w"], colour: str) -> Float[Tensor, "3 h w"]:
    """Returns a drawing on white in one of `PAINTS`, as bright as that allows; one that has this colour already stays as it is."""
    wanted = picture.new_tensor(PAINTS[colour])
    colours = picture - picture.amin(0)
    ink = picture.amin(0) < 1 - LEAST_INK
    if not ink.any():
        return picture
    tint = F.normalize(wanted - wanted.min(), dim=0)
    if wanted.max() > DARK and torch.einsum("chw,c->", colours, tint) > ALIKE * colours.norm(dim=0).sum():
        return picture
    if colours.amax(0)[ink].mean() < GREY:  # what is dark becomes the paint
        darkness = 1 - picture.mean(0)
        return 1 - (darkness / torch.quantile(darkness[ink], 0.95)).clamp(0, 1) * (1 - wanted[:, None, None])
    lit = (picture / torch.quantile(picture.amax(0)[ink], 0.9)).clamp(max=1)
    return paint(lit[None], wanted[None])[0]
