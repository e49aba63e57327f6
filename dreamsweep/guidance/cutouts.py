"""Cutouts: seeded views of a batch of pictures, as a perceptor sees them.

Where the views of an iteration lie is drawn first, for all trials; pictures are looked at afterwards, all views at once or some at a
time. One letter, one meaning: b trials, k cutouts, r what a perceptor sees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.images import paper
from dreamsweep.compute.randomness import generator
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
        grid = homography_grid(matrices.flatten(0, 1), self.side * finer).to(pictures)  # b·k r r 2
        outside = self.outside.to(pictures)
        ink = (outside - pictures)[:, None].expand(b, k, *pictures.shape[1:]).flatten(0, 1)
        views = outside - F.avg_pool2d(F.grid_sample(ink, grid, align_corners=False), finer)
        shown: Tensor = views.unflatten(0, (b, k)) + self.noise[:, some].to(pictures)
        return shown.clamp(0, 1)


@dataclass(frozen=True)
class Boxes:
    """Square cutouts at whole pixels; each pixel of a view is the nearest one of the picture, as in Big Sleep."""

    rows: Int[Tensor, "b k r"]
    columns: Int[Tensor, "b k r"]

    @classmethod
    def at(cls, corners: Int[Tensor, "b k 2"], sizes: Int[Tensor, "b k"], side: int) -> "Boxes":
        """Boxes by their top left corners (row, column) and sizes, in pixels."""
        within = torch.stack([_nearest(int(size), side) for size in sizes.flatten()]).unflatten(0, sizes.shape)
        return cls(corners[..., :1] + within, corners[..., 1:] + within)

    def __len__(self) -> int:
        return self.rows.shape[1]

    def of(self, pictures: Float[Tensor, "b 3 h w"], some: slice = slice(None)) -> Float[Tensor, "b k 3 r r"]:
        """Returns what some of the views show of each picture."""
        index = self.rows[:, some, :, None] * pictures.shape[3] + self.columns[:, some, None]  # b k r r
        flat = index.flatten(1)[:, None].expand(-1, 3, -1).to(pictures.device)
        shown: Tensor = pictures.flatten(2).gather(2, flat).unflatten(2, index.shape[1:])  # b 3 k r r
        return shown.transpose(1, 2)


def make_cutouts(pictures: Tensor, views: Views, seeds: Sequence[int], iteration: int, side: int) -> Float[Tensor, "b k 3 r r"]:
    """Returns all of an iteration's views of each picture."""
    return draw_views(views, seeds, iteration, side, pictures.shape[-1]).of(pictures)


def draw_views(views: Views, seeds: Sequence[int], iteration: int, side: int, width: int) -> Projections | Boxes:
    """Draws where the views of an iteration lie, each trial's from its own seed; pictures are `width` pixels wide, views `side`."""
    if isinstance(views, BoxViews):
        corners, sizes = zip(*(draw_boxes(views, seed, iteration, width) for seed in seeds), strict=True)
        return Boxes.at(torch.stack(corners), torch.stack(sizes), side)
    matrices, noise = zip(*(_draw_projections(views, generator(seed, "cutouts", iteration), side) for seed in seeds), strict=True)
    return Projections(torch.stack(matrices), torch.stack(noise), side, paper(views.outside))


def draw_boxes(views: BoxViews, seed: int, iteration: int, width: int) -> tuple[Tensor, Tensor]:
    """Draws one trial's boxes in one iteration: corners `k 2`, uniform, and sizes `k`, normal and clipped."""
    rng = generator(seed, "cutouts", iteration)
    sizes = (_draw_sides(views.sides, views.count, rng) * width).long().clamp(min=1)
    room = (width - sizes)[:, None]
    return (torch.rand(views.count, 2, generator=rng) * (room + 1)).long().minimum(room), sizes


def _draw_projections(views: TurnedViews | PerspectiveViews, rng: torch.Generator, side: int) -> tuple[Tensor, Tensor]:
    """Draws one trial's views: homographies `k 3 3` from view to picture, and noise `k 3 r r` (or zeros `k 1 1 1`)."""
    match views:
        case TurnedViews():
            share = _draw_sides(views.sides, views.count, rng)
            angle = (torch.rand(views.count, generator=rng) * 2 - 1) * math.radians(views.rotation)
            matrices = crops(share, angle, rng)
            return matrices, torch.randn(views.count, 3, side, side, generator=rng) * views.noise
        case PerspectiveViews():
            sides = resized_crops(views.count, views.area, rng)
            matrices = perspectives(views.count, views.distortion, rng) @ crops(sides, torch.zeros(views.count), rng)
            return matrices, torch.zeros(views.count, 1, 1, 1)
        case _:
            assert_never(views)


def _draw_sides(sides: Sides, count: int, rng: torch.Generator) -> Float[Tensor, "k"]:
    """Sides of cutouts as shares of the picture's."""
    return (torch.randn(count, generator=rng) * sides.std + sides.mean).clamp(sides.low, sides.high)


def _nearest(size: int, side: int) -> Int[Tensor, " r"]:
    """Returns which of `size` pixels torch's nearest-neighbour resampling takes for each of `side`."""
    return F.interpolate(torch.arange(size, dtype=torch.float32)[None, None], size=side, mode="nearest")[0, 0].long()


def resized_crops(k: int, area: tuple[float, float], rng: torch.Generator) -> Float[Tensor, "k 2"]:
    """Widths and heights of crops of so much of the picture's area, between 3:4 and 4:3; of ten, the first that fits into it.

    As torchvision's RandomResizedCrop, in shares of the picture in place of pixels.
    """
    areas = torch.rand(k, 10, generator=rng) * (area[1] - area[0]) + area[0]
    ratio = ((torch.rand(k, 10, generator=rng) * 2 - 1) * math.log(4 / 3)).exp()
    sides = torch.stack([(areas * ratio).sqrt(), (areas / ratio).sqrt()], -1)  # k 10 2
    fits = (sides <= 1).all(-1)
    first = sides[torch.arange(k), fits.int().argmax(1)]
    return torch.where(fits.any(1)[:, None], first, 1.0)


def crops(share: Tensor, angle: Tensor, rng: torch.Generator) -> Float[Tensor, "k 3 3"]:
    """Crops of side `share` (`k`, or `k 2`: width and height), turned by `angle` (`k`, radians), placed uniformly inside the picture."""
    k = len(share)
    width, height = share.unbind(1) if share.ndim == 2 else (share, share)
    offset = (torch.rand(k, 2, generator=rng) * 2 - 1) * (1 - torch.stack([width, height], 1))
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.zeros(k, 3, 3)
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = cos * width, -sin * height, sin * width, cos * height
    matrix[:, :2, 2], matrix[:, 2, 2] = offset, 1.0
    return matrix


def perspectives(k: int, distortion: float, rng: torch.Generator) -> Float[Tensor, "k 3 3"]:
    """Returns random perspectives: each corner of the picture moves inwards by up to `distortion` of half its side."""
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    seen_at = corners * (1 - torch.rand(k, 4, 2, generator=rng) * distortion)
    return homography(seen_at, corners.expand(k, 4, 2))


def homography(source: Float[Tensor, "k 4 2"], target: Float[Tensor, "k 4 2"]) -> Float[Tensor, "k 3 3"]:
    """Returns the projective maps that take four points to four others."""
    x, y = source.unbind(-1)
    u, v = target.unbind(-1)
    ones, zeros = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, ones, zeros, zeros, zeros, -u * x, -u * y], -1)
    rows_v = torch.stack([zeros, zeros, zeros, x, y, ones, -v * x, -v * y], -1)
    solved = torch.linalg.solve(torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1))
    return torch.cat([solved, torch.ones(len(solved), 1)], 1).reshape(-1, 3, 3)


def homography_grid(matrices: Float[Tensor, "n 3 3"], side: int) -> Float[Tensor, "n r r 2"]:
    """Returns where each pixel of an `r r` view looks in the picture, in `grid_sample`'s coordinates."""
    line = (torch.arange(side) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)  # r r 3
    mapped = torch.einsum("nij,hwj->nhwi", matrices, points)
    return mapped[..., :2] / mapped[..., 2:]
