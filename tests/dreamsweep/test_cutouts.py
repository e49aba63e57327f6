"""Cutouts are seeded, lie inside the picture and show what is there."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamsweep.cutouts import Boxes, crops, draw_views, homography, homography_grid, make_cutouts, perspectives
from dreamsweep.randomness import generator
from dreamsweep.spec import BigSleepSpec, DalleSpec, GuidedEngineSpec, StrokesSpec

ENGINES: list[GuidedEngineSpec] = [
    DalleSpec(num_iter=5, cutouts=6),
    StrokesSpec(num_iter=5, cutouts=6),
    BigSleepSpec(num_iter=5, cutouts=3, accumulate=2),
]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.engine)
def test_cutouts_come_from_the_seed_and_the_iteration_alone(engine: GuidedEngineSpec) -> None:
    pictures = torch.rand(3, 3, 40, 40, generator=generator(0, "test"))
    views = make_cutouts(pictures, engine, [4, 5, 4], 7, 16)
    assert views.shape == (3, 6, 3, 16, 16)
    assert views.min() >= 0 and views.max() <= 1
    torch.testing.assert_close(views[1], make_cutouts(pictures[1:2], engine, [5], 7, 16)[0], atol=1e-5, rtol=0)
    other = make_cutouts(pictures, engine, [4, 5, 4], 8, 16)
    assert (views - other).abs().mean() > 0.01


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.engine)
def test_cutouts_of_a_white_picture_are_white(engine: GuidedEngineSpec) -> None:
    engine = engine.model_copy(update={"noise": 0.0}) if isinstance(engine, DalleSpec) else engine
    views = make_cutouts(torch.ones(1, 3, 40, 40), engine, [0], 1, 16)
    torch.testing.assert_close(views, torch.ones_like(views))


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.2, 1.0), seed=st.integers(0, 1000))
def test_an_unturned_crop_stays_inside_the_picture(share: float, seed: int) -> None:
    matrix = crops(torch.tensor([share]), torch.zeros(1), generator(seed, "crop"))
    grid = homography_grid(matrix, 8)
    assert grid.abs().max() <= 1 + 1e-5
    width = float(grid[0, 0, -1, 0] - grid[0, 0, 0, 0]) / (2 - 2 / 8)
    assert math.isclose(width, share, rel_tol=1e-4)


def test_a_homography_takes_four_points_where_it_should() -> None:
    source = torch.tensor([[[-1.0, -1], [1, -1], [1, 1], [-1, 1]]])
    target = source + torch.rand(1, 4, 2, generator=generator(1, "corners")) * 0.4
    matrix = homography(source, target)[0]
    mapped = torch.cat([source[0], torch.ones(4, 1)], 1) @ matrix.T
    torch.testing.assert_close(mapped[:, :2] / mapped[:, 2:], target[0], atol=1e-5, rtol=0)


def test_perspectives_shrink_the_picture_within_the_view() -> None:
    grid = homography_grid(perspectives(5, 0.5, generator(3, "p")), 16)
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
    spec = BigSleepSpec(cutouts=200, cutout_min=0.5, cutout_max=0.95)
    views = draw_views(spec, [0, 1], 1, 100, 100)
    assert isinstance(views, Boxes)
    for index in (views.rows, views.columns):
        assert index.min() >= 0 and index.max() < 100
        extent = index[..., -1] - index[..., 0] + 1
        assert extent.min() >= 49 and extent.max() <= 95
        assert (extent > 90).float().mean() > 0.2 and index[..., 0].float().std() > 3
