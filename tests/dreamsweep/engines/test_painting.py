"""Strokes laid over a picture as a painter lays them."""

import torch
from torch import Tensor

from dreamsweep.engines.painting import EDGE, LAYERS, THINNEST, lay_over
from dreamsweep.engines.rasterise import Strokes, rasterise

SIDE, WIDEST = 96, 20.0
WHITE = torch.ones(3, 1, 1)


def some_strokes(count: int, segments: int = 2) -> Strokes:
    chosen = 1 + torch.arange(count) % segments
    return Strokes(torch.zeros(1, count, 3 * segments + 1, 2), chosen[None], torch.ones(1, count), torch.zeros(1, count, 4))


def a_house() -> Tensor:
    """A red wall with a thin blue door post, on white."""
    picture = torch.ones(3, SIDE, SIDE)
    picture[1:, 24:72, 16:80] = 0
    picture[:, 40:72, 46:50] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    return picture


def painted(picture: Tensor, count: int = 120, paper: Tensor = WHITE) -> tuple[Strokes, Tensor]:
    chances = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    strokes = lay_over(picture, some_strokes(count), WIDEST, chances, paper)
    return strokes, rasterise(strokes, SIDE, SIDE, paper)[0]


def test_what_is_painted_looks_like_the_picture() -> None:
    picture = a_house()
    strokes, drawn = painted(picture)
    assert (drawn - picture).square().mean() < 0.02 < 0.2 < (WHITE - picture).square().mean()
    assert (strokes.colors[..., 3] == 1).all() and torch.isfinite(strokes.points).all()
    assert (strokes.segments == some_strokes(120).segments).all()


def test_strokes_begin_broad_and_grow_finer_and_are_as_wide_as_fits() -> None:
    strokes, _ = painted(a_house())
    layers = strokes.widths[0].reshape(LAYERS, -1)
    assert layers[0].max() > 2 * layers[-1].max() >= 2 * THINNEST and layers.max() <= WIDEST
    middle = strokes.points[0].mean(1)
    near_the_wall_s_edge = ((middle[:, 0] - 16).abs() < 2) & (middle[:, 1] > 30) & (middle[:, 1] < 66)
    assert near_the_wall_s_edge.any() and (strokes.widths[0][near_the_wall_s_edge] <= 6).all()


def test_a_stroke_keeps_to_one_colour_of_the_picture() -> None:
    picture = a_house()
    strokes, _ = painted(picture)
    for points, colour, segments in zip(strokes.points[0], strokes.colors[0], strokes.segments[0].tolist(), strict=True):
        x, y = points[: 3 * segments + 1].long().clamp(0, SIDE - 1).unbind(1)
        assert ((picture[:, y, x] - colour[:3, None]).abs() < EDGE).all()


def test_more_strokes_come_nearer() -> None:
    picture = a_house()
    few, many = ((painted(picture, count)[1] - picture).square().mean() for count in (16, 160))
    assert many < few / 2


def test_an_empty_picture_and_black_paper_have_strokes_all_the_same() -> None:
    for picture, paper in ((torch.ones(3, SIDE, SIDE), WHITE), (a_house(), torch.zeros(3, 1, 1))):
        strokes, _ = painted(picture, 8, paper)
        assert all(torch.isfinite(getattr(strokes, name)).all() for name in ("points", "widths", "colors"))
