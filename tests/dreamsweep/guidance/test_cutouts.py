"""Cutouts are seeded, lie inside the picture and show what is there."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamsweep.compute.images import paper
from dreamsweep.compute.randomness import Draws, generator
from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.guidance.cutouts import (
    Boxes,
    Projections,
    crops,
    draw_boxes,
    draw_views,
    from_quadrilateral,
    homography_grid,
    make_cutouts,
    perspectives,
    resized_crops,
)
from dreamsweep.spec import BigSleepSpec, DalleSpec, PerspectiveViews, StrokesSpec, TurnedViews, Views

VIEWS: list[Views] = [spec.steering.views for spec in (DalleSpec(cutouts=6), StrokesSpec(cutouts=6), BigSleepSpec(cutouts=3, accumulate=2))]


@pytest.mark.parametrize("views", VIEWS, ids=lambda views: type(views).__name__)
def test_cutouts_come_from_the_seed_and_the_iteration_alone(views: Views) -> None:
    pictures = torch.rand(3, 3, 40, 40, generator=generator(0, "test"))
    seen = make_cutouts(pictures, views, Draws([4, 5, 4], 7), 16)
    assert seen.shape == (3, 6, 3, 16, 16)
    assert seen.min() >= 0 and seen.max() <= 1
    torch.testing.assert_close(seen[1], make_cutouts(pictures[1:2], views, Draws([5], 7), 16)[0], atol=1e-5, rtol=0)
    other = make_cutouts(pictures, views, Draws([4, 5, 4], 8), 16)
    assert (seen - other).abs().mean() > 0.01


@pytest.mark.parametrize("views", VIEWS, ids=lambda views: type(views).__name__)
def test_cutouts_of_a_white_picture_are_white(views: Views) -> None:
    views = replace(views, noise=0.0) if isinstance(views, TurnedViews) else views
    seen = make_cutouts(torch.ones(1, 3, 40, 40), views, Draws([0], 1), 16)
    torch.testing.assert_close(seen, torch.ones_like(seen))


@pytest.fixture
def transforms() -> Any:
    """torchvision's, which CLIPDraw augments with."""
    declare_missing_ops()
    return pytest.importorskip("torchvision.transforms", reason="torchvision, to compare with, is not installed")


def measures(sides: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Width, height, area and proportion."""
    width, height = sides.unbind(1)
    return width, height, width * height, (width / height).log()


def test_crops_of_strokes_are_torchvision_s(transforms: Any) -> None:
    """Their sizes in law: four thousand of ours, as many of theirs."""
    (ours,) = resized_crops(4000, (0.7, 0.9), Draws([0]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        picture = torch.empty(3, 1000, 1000)
        theirs = torch.tensor([transforms.RandomResizedCrop.get_params(picture, (0.7, 0.9), (3 / 4, 4 / 3)) for _ in range(4000)])
    theirs = theirs[:, [3, 2]] / 1000  # width, height
    assert ours.max() <= 1 and ours.shape == (4000, 2)
    quantiles = torch.tensor([0.02, 0.2, 0.5, 0.8, 0.98])
    for measured, expected in zip(measures(ours), measures(theirs), strict=True):
        torch.testing.assert_close(measured.quantile(quantiles), expected.quantile(quantiles), atol=0.012, rtol=0)
    (placed,) = crops(ours[None], torch.zeros(1, 4000), Draws([1]))
    corner = placed @ torch.tensor([1.0, 1.0, 1.0])
    assert corner.max() <= 1 + 1e-5 and float(corner[:, :2].amax()) > 0.9 and (placed[:, 0, 0] - ours[:, 0]).abs().max() < 1e-6


def test_perspectives_of_strokes_are_torchvision_s(transforms: Any) -> None:
    """The same corners, and the same colour outside: the same views but for where between two pixels a sample lies."""
    count, side = 8, 128
    smooth = torch.nn.functional.interpolate(Draws(range(count)).uniform("test", 3, 8, 8), side, mode="bicubic").clamp(0, 1)
    matrices = perspectives(1, 0.5, Draws(range(count)))
    square = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    corners = square @ torch.linalg.inv(matrices[:, 0]).transpose(1, 2)
    seen_at = ((corners[..., :2] / corners[..., 2:] + 1) / 2 * (side - 1)).tolist()
    ends = [[0, 0], [side - 1, 0], [side - 1, side - 1], [0, side - 1]]
    bilinear, fill = transforms.InterpolationMode.BILINEAR, paper("#204060").flatten().tolist()
    theirs = [transforms.functional.perspective(*pair, bilinear, fill) for pair in zip(smooth, [ends] * count, seen_at, strict=True)]
    ours = Projections(matrices, torch.zeros(count, 1, 1, 1, 1), side, paper("#204060")).of(smooth)[:, 0]
    error = (ours - torch.stack(theirs)).square().mean((1, 2, 3))
    assert -10 * error.mean().log10() > 33, "a corner that lies a twentieth of the side elsewhere leaves 22 dB"


def test_the_paper_of_a_drawing_goes_on_outside_it() -> None:
    blank = paper("#204060").expand(1, 3, 40, 40)
    seen = make_cutouts(blank, PerspectiveViews(8, outside="#204060"), Draws([0], 1), 16)
    torch.testing.assert_close(seen, paper("#204060").expand_as(seen))


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.2, 1.0), seed=st.integers(0, 1000))
def test_an_unturned_crop_stays_inside_the_picture(share: float, seed: int) -> None:
    (matrix,) = crops(torch.tensor([[share]]), torch.zeros(1, 1), Draws([seed]))
    grid = homography_grid(matrix, 8)
    assert grid.abs().max() <= 1 + 1e-5
    width = float(grid[0, 0, -1, 0] - grid[0, 0, 0, 0]) / (2 - 2 / 8)
    assert math.isclose(width, share, rel_tol=1e-4)


def test_a_quadrilateral_is_taken_to_the_square() -> None:
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    corners = square + Draws([1]).uniform("test", 5, 4, 2) * 0.4
    mapped = torch.cat([corners, torch.ones(1, 5, 4, 1)], 3) @ from_quadrilateral(corners).transpose(2, 3)
    torch.testing.assert_close(mapped[..., :2] / mapped[..., 2:], square.expand(1, 5, 4, 2), atol=1e-5, rtol=0)


def test_perspectives_shrink_the_picture_within_the_view() -> None:
    grid = homography_grid(perspectives(5, 0.5, Draws([3]))[0], 16)
    assert (grid[:, 0, 0].abs().max(1).values >= 1 - 0.1).all()  # the view's corner looks at or past the picture's


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 40), seed=st.integers(0, 1000))
def test_a_box_shows_the_nearest_pixels_as_torch_does(size: int, seed: int) -> None:
    pictures = torch.rand(2, 3, 40, 40, generator=generator(seed, "test")).requires_grad_()
    corners = torch.randint(41 - size, (2, 1, 2), generator=generator(seed, "corners"))
    views = Boxes.at(corners, torch.full((2, 1), size), 16).of(pictures)
    cut = [p[:, y : y + size, x : x + size] for p, (y, x) in zip(pictures, corners[:, 0].tolist(), strict=True)]
    wanted = torch.nn.functional.interpolate(torch.stack(cut), size=16, mode="nearest")
    assert torch.equal(views[:, 0], wanted)
    weight = torch.rand(wanted.shape, generator=generator(seed, "weight"))
    ours, torchs = (torch.autograd.grad((x * weight).sum(), pictures, retain_graph=True)[0] for x in (views[:, 0], wanted))
    torch.testing.assert_close(ours, torchs)


def test_big_sleep_s_boxes_are_as_large_as_asked_and_lie_inside() -> None:
    views = draw_views(BigSleepSpec(cutouts=200, cutout_min=0.5, cutout_max=0.95).boxes, Draws([0, 1], 1), 100, 100)
    assert isinstance(views, Boxes)
    for index in (views.rows, views.columns):
        assert index.min() >= 0 and index.max() < 100
        extent = index[..., -1] - index[..., 0] + 1
        assert extent.min() >= 49 and extent.max() <= 95
        assert (extent > 90).float().mean() > 0.2 and index[..., 0].float().std() > 3


def test_boxes_reach_every_edge_and_lie_within() -> None:
    (corners,), (sizes,) = draw_boxes(BigSleepSpec(num_iter=5, cutouts=256).boxes, Draws([0], 1), width=8)
    room = (8 - sizes)[:, None]
    assert (corners >= 0).all() and (corners <= room).all()
    movable = room[:, 0] > 0
    assert (corners[movable] == 0).any(0).all() and (corners == room)[movable].any(0).all()
