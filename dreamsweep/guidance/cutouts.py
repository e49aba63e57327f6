"""Cutouts: seeded views of a batch of pictures, as a perceptor sees them.

Where the views of an iteration lie is drawn first, for all trials and on their device; pictures are looked at afterwards, all views at
once or some at a time. One letter, one meaning: b trials, k cutouts, r what a perceptor sees.
"""

import math
from dataclasses import dataclass
from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.devices import constant
from dreamsweep.compute.images import paper
from dreamsweep.compute.randomness import Draws
from dreamsweep.spec import BoxViews, PerspectiveViews, Sides, TurnedViews, Views


@dataclass(frozen=True)
class Projections:
    """Views through projective maps, averaged where they are coarser than the picture, of one colour outside it, with noise."""

    matrices: Float[Tensor, "b k 3 3"]
    """From view to picture."""
    noise: Float[Tensor, "b k c y x"]
    """Of a view's shape, or zeros `b k 1 1 1`."""
    side: int
    outside: Float[Tensor, "3 1 1"]

    def __len__(self) -> int:
        return self.matrices.shape[1]

    def of(self, pictures: Float[Tensor, "b 3 h w"], some: slice = slice(None)) -> Float[Tensor, "b k 3 r r"]:
        """Returns what some of the views show of each picture."""
        matrices = self.matrices[:, some]
        (b, k), (h, w) = matrices.shape[:2], pictures.shape[2:]
        finer = max(1, min(4, round(max(h, w) / self.side)))  # sample finer and average: a bare bilinear sample would alias
        grid = homography_grid(matrices.flatten(0, 1), self.side * finer).to(pictures.dtype)  # b·k r r 2
        outside = self.outside
        ink = (outside - pictures)[:, None].expand(b, k, *pictures.shape[1:]).flatten(0, 1)
        views = outside - F.avg_pool2d(F.grid_sample(ink, grid, align_corners=False), finer)
        shown: Tensor = views.unflatten(0, (b, k)) + self.noise[:, some]
        return shown.clamp(0, 1)


@dataclass(frozen=True)
class Boxes:
    """Square cutouts at whole pixels; each pixel of a view is the nearest one of the picture, as in Big Sleep."""

    rows: Int[Tensor, "b k r"]
    columns: Int[Tensor, "b k r"]

    @classmethod
    def at(cls, corners: Int[Tensor, "b k 2"], sizes: Int[Tensor, "b k"], side: int) -> "Boxes":
        """Boxes by their top left corners (row, column) and sizes, in pixels."""
        within = _nearest(sizes, side)
        return cls(corners[..., :1] + within, corners[..., 1:] + within)

    def __len__(self) -> int:
        return self.rows.shape[1]

    def of(self, pictures: Float[Tensor, "b 3 h w"], some: slice = slice(None)) -> Float[Tensor, "b k 3 r r"]:
        """Returns what some of the views show of each picture."""
        index = self.rows[:, some, :, None] * pictures.shape[3] + self.columns[:, some, None]  # b k r r
        flat = index.flatten(1)[:, None].expand(-1, 3, -1)
        shown: Tensor = pictures.flatten(2).gather(2, flat).unflatten(2, index.shape[1:])  # b 3 k r r
        return shown.transpose(1, 2)


def make_cutouts(pictures: Tensor, views: Views, draws: Draws, side: int) -> Float[Tensor, "b k 3 r r"]:
    """Returns all of an iteration's views of each picture."""
    return draw_views(views, draws, side, pictures.shape[-1]).of(pictures)


def draw_views(views: Views, draws: Draws, side: int, width: int) -> Projections | Boxes:
    """Draws where the views of an iteration lie, each trial's from its own seed; pictures are `width` pixels wide, views `side`."""
    if isinstance(views, BoxViews):
        return Boxes.at(*draw_boxes(views, draws, width), side)
    matrices, noise = _draw_projections(views, draws, side)
    return Projections(matrices, noise, side, paper(views.outside, matrices.device))


def draw_boxes(views: BoxViews, draws: Draws, width: int) -> tuple[Int[Tensor, "b k 2"], Int[Tensor, "b k"]]:
    """Draws boxes in pixels: corners (row, column), uniform, and sizes, normal and clipped."""
    sizes = (_draw_sides(views.sides, views.count, draws) * width).long().clamp(min=1)
    room = (width - sizes)[..., None]
    return (draws.uniform("cutouts.corners", views.count, 2) * (room + 1)).long().minimum(room), sizes


def _draw_projections(views: TurnedViews | PerspectiveViews, draws: Draws, side: int) -> tuple[Tensor, Tensor]:
    """Draws homographies `b k 3 3` from view to picture, and noise `b k 3 r r` (or zeros `b k 1 1 1`)."""
    match views:
        case TurnedViews():
            share = _draw_sides(views.sides, views.count, draws)
            angle = (draws.uniform("cutouts.angles", views.count) * 2 - 1) * math.radians(views.rotation)
            return crops(share, angle, draws), draws.normal("cutouts.noise", views.count, 3, side, side) * views.noise
        case PerspectiveViews():
            sides = resized_crops(views.count, views.area, draws)
            matrices = perspectives(views.count, views.distortion, draws) @ crops(sides, torch.zeros_like(sides[..., 0]), draws)
            return matrices, matrices.new_zeros(*matrices.shape[:2], 1, 1, 1)
        case _:
            assert_never(views)


def _draw_sides(sides: Sides, count: int, draws: Draws) -> Float[Tensor, "b k"]:
    """Sides of cutouts as shares of the picture's."""
    return (draws.normal("cutouts.sides", count) * sides.std + sides.mean).clamp(sides.low, sides.high)


def _nearest(sizes: Int[Tensor, "b k"], side: int) -> Int[Tensor, "b k r"]:
    """Returns which of so many pixels torch's nearest-neighbour resampling takes for each of `side`."""
    taken = torch.arange(side, device=sizes.device) * (sizes.float() / side)[..., None]
    return taken.long().minimum(sizes[..., None] - 1)


def resized_crops(k: int, area: tuple[float, float], draws: Draws) -> Float[Tensor, "b k 2"]:
    """Widths and heights of crops of so much of the picture's area, between 3:4 and 4:3; of ten, the first that fits into it.

    As torchvision's RandomResizedCrop, in shares of the picture in place of pixels.
    """
    areas = draws.uniform("cutouts.areas", k, 10) * (area[1] - area[0]) + area[0]
    ratio = ((draws.uniform("cutouts.ratios", k, 10) * 2 - 1) * math.log(4 / 3)).exp()
    sides = torch.stack([(areas * ratio).sqrt(), (areas / ratio).sqrt()], -1)  # b k 10 2
    fits = (sides <= 1).all(-1)
    first = sides.gather(2, fits.int().argmax(2)[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    return torch.where(fits.any(2)[..., None], first, 1.0)


def crops(share: Float[Tensor, "b k *side"], angle: Float[Tensor, "b k"], draws: Draws) -> Float[Tensor, "b k 3 3"]:
    """Crops of side `share` (`b k`, or `b k 2`: width and height), turned by `angle` (radians), placed uniformly inside the picture."""
    width, height = share.unbind(2) if share.ndim == 3 else (share, share)
    offset = (draws.uniform("cutouts.places", share.shape[1], 2) * 2 - 1) * (1 - torch.stack([width, height], 2))
    cos, sin, zero, x, y = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), *offset.unbind(2)
    return _matrix([cos * width, -sin * height, x], [sin * width, cos * height, y], [zero, zero, zero + 1])


def perspectives(k: int, distortion: float, draws: Draws) -> Float[Tensor, "b k 3 3"]:
    """Returns random perspectives: each corner of the picture moves inwards by up to `distortion` of half its side."""
    moved = 1 - draws.uniform("cutouts.perspectives", k, 4, 2) * distortion
    corners = constant((-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0), moved.device)
    return from_quadrilateral(corners.view(4, 2) * moved)


def from_quadrilateral(corners: Float[Tensor, "b k 4 2"]) -> Float[Tensor, "b k 3 3"]:
    """Returns the projective maps that take four corners to those of the square from -1 to 1, (-1, -1) and (1, -1) first.

    In closed form (Heckbert, "Fundamentals of texture mapping and image warping", 1989, §2.2): solvers wait for a device's answer.
    """
    (x0, x1, x2, x3), (y0, y1, y2, y3) = corners[..., 0].unbind(2), corners[..., 1].unbind(2)
    dx1, dx2, dy1, dy2 = x1 - x2, x3 - x2, y1 - y2, y3 - y2
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
    a, b, d, e = x1 - x0 + g * x1, x3 - x0 + h * x3, y1 - y0 + g * y1, y3 - y0 + h * y3
    # the adjugate of [a b x0, d e y0, g h 1], which maps the square from 0 to 1 onto the corners
    u = [e - y0 * h, x0 * h - b, b * y0 - x0 * e]
    v = [y0 * g - d, a - x0 * g, x0 * d - a * y0]
    w = [d * h - e * g, b * g - a * h, a * e - b * d]
    return _matrix([2 * p - q for p, q in zip(u, w, strict=True)], [2 * p - q for p, q in zip(v, w, strict=True)], w)


def _matrix(*rows: list[Float[Tensor, "b k"]]) -> Float[Tensor, "b k 3 3"]:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def homography_grid(matrices: Float[Tensor, "n 3 3"], side: int) -> Float[Tensor, "n r r 2"]:
    """Returns where each pixel of an `r r` view looks in the picture, in `grid_sample`'s coordinates."""
    line = (torch.arange(side, device=matrices.device) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)  # r r 3
    mapped = torch.einsum("nij,hwj->nhwi", matrices, points)
    return mapped[..., :2] / mapped[..., 2:]
