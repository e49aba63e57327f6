"""Strokes laid over a picture as a painter lays them: broad ones first, then finer ones where the picture is not met yet.

Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes" (SIGGRAPH 1998): layers from coarse to fine, each where
what is painted differs most from the picture, strokes along its edges. Litwinowicz, "Processing images and video for an impressionist
effect" (SIGGRAPH 1997): a stroke ends where it meets an edge. Ours: a stroke is as wide as fits between the edges beside it.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from dreamsweep.compute.colours import LEAST_INK
from dreamsweep.engines.rasterise import Strokes, rasterise

LAYERS, FINER = 4, 1.6
"""Layers of strokes, and how much thinner than in the one before the widest of a layer are."""
EDGE = 0.15
"""Difference of a channel between pixels, of 1, from which there is an edge between them, or a stroke of one ends at the other."""
THINNEST = 3.0
"""Width of strokes that lie on an edge, pixels."""
CLEAR = 0.6
"""A stroke goes on for as long as this share of its width still fits between the edges."""
REACH = 16
"""Farthest that a stroke goes to either side of its middle, pixels."""
FLAT = 0.004
"""Slope of the lightness, of 1 a pixel, below which a stroke has no edge to follow."""
MISSED = 1.5
"""Power of the difference between picture and painting that says how likely a stroke is placed there."""


def lay_over(
    picture: Float[Tensor, "3 h w"],
    strokes: Strokes,
    widest: float,
    chances: Float[Tensor, "p 2"],
    paper: Float[Tensor, "3 1 1"],
) -> Strokes:
    """Returns one trial's strokes, straight and opaque, laid over a picture in its colours; points and widths are in pixels.

    They keep their numbers of segments. `chances`, uniform in [0, 1), spread the strokes and turn those that have no edge to follow.
    """
    height, width = picture.shape[1:]
    count = strokes.widths.shape[1]
    room, along = _room(picture), _along(picture)
    laid: list[Strokes] = []
    missed = ((picture - paper).abs().amax(0) > LEAST_INK).double()
    for layer, (first, end) in enumerate(pairwise(round(count * part / LAYERS) for part in range(LAYERS + 1))):
        if laid:
            missed = (rasterise(_joined(laid), height, width, paper)[0] - picture).abs().amax(0).double() ** MISSED
        places = _spread(missed, chances[first:end, 0])
        widths = (2 * _at(room, places)).clamp(THINNEST, max(THINNEST, widest / FINER**layer)).clamp(max=widest)
        turned = _at(along, places)
        turned = torch.where((turned.norm(dim=0) < FLAT)[None], _directions(chances[first:end, 1]), turned)
        turned = (turned / turned.norm(dim=0)).T
        ends = [places + _run(picture, room, places, widths, way * turned)[:, None] * way * turned for way in (-1, 1)]
        segments = strokes.segments[:, first:end]
        share = (torch.arange(strokes.points.shape[2]) / (3 * segments[0, :, None])).clamp(max=1)[..., None]  # p n 1
        ink = torch.cat([_at(picture, places).T, torch.ones(len(places), 1)], 1)
        laid.append(Strokes(torch.lerp(ends[0][:, None], ends[1][:, None], share)[None], segments, widths[None], ink[None]))
    return _joined(laid)


def _room(picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Returns how far each pixel is from the nearest edge; a picture without edges leaves all the room that there is."""
    largest = F.max_pool2d(picture[None], 3, 1, 1)
    least = -F.max_pool2d(-picture[None], 3, 1, 1)
    smooth = ((largest - least).amax(1) <= EDGE)[0]
    if smooth.all():
        return torch.full_like(picture[0], max(picture.shape))
    return torch.from_numpy(distance_transform_edt(smooth.numpy())).float()


def _along(picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "2 h w"]:
    """Returns x and y of the lightness's slope, a quarter turn from where it points: along the edges."""
    light = F.avg_pool2d(F.pad(picture.mean(0)[None, None], (5, 5, 5, 5), mode="replicate"), 9, 1)[0, 0]
    return torch.stack([light[:-2, 1:-1] - light[2:, 1:-1], light[1:-1, 2:] - light[1:-1, :-2]])


def _spread(missed: Float[Tensor, "h w"], chances: Float[Tensor, "p"]) -> Float[Tensor, "p 2"]:
    """Returns x and y of as many pixels' middles, from top to bottom: stroke i gets the i-th part of what is missed."""
    total = (missed.flatten() + 1e-9).cumsum(0)
    thrown = (torch.arange(len(chances)) + chances.double()) / len(chances) * total[-1]
    pixels = torch.searchsorted(total, thrown).clamp(max=len(total) - 1)
    return torch.stack([pixels % missed.shape[1], torch.div(pixels, missed.shape[1], rounding_mode="floor")], 1) + 0.5


def _directions(chances: Float[Tensor, "p"]) -> Float[Tensor, "2 p"]:
    turn = 2 * torch.pi * chances
    return torch.stack([turn.cos(), turn.sin()])


def _run(
    picture: Float[Tensor, "3 h w"],
    room: Float[Tensor, "h w"],
    places: Float[Tensor, "p 2"],
    widths: Float[Tensor, "p"],
    way: Float[Tensor, "p 2"],
) -> Float[Tensor, "p"]:
    """Returns how many pixels each stroke goes on one way before the edges close in, the colour changes or the picture ends."""
    size, colours = torch.tensor(picture.shape[:0:-1]), _at(picture, places)
    wanted = torch.where(widths > THINNEST, CLEAR * widths, 0.0)
    going, run = torch.ones_like(widths, dtype=torch.bool), torch.zeros_like(widths)
    for step in range(1, REACH + 1):
        position = places + step * way
        alike = (_at(picture, position) - colours).abs().amax(0) < EDGE
        going = going & ((position >= 0) & (position < size)).all(1) & alike & (2 * _at(room, position) >= wanted)
        run = torch.where(going, step, run)
    return run


def _at(field: Float[Tensor, "*c h w"], places: Float[Tensor, "p 2"]) -> Float[Tensor, "*c p"]:
    """Returns the values of a field at places, x and y in pixels."""
    x, y = places.long().unbind(1)
    return field[..., y.clamp(0, field.shape[-2] - 1), x.clamp(0, field.shape[-1] - 1)]


def _joined(parts: list[Strokes]) -> Strokes:
    return Strokes(*(torch.cat([getattr(part, name) for part in parts], 1) for name in Strokes.__dataclass_fields__))
