"""Guides compose phrases, cutouts are seeded and lie where they should, judges only mark."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamsweep.guidance import ClipGuide, Judge, crops, homography, homography_grid, make_cutouts, perspectives, spherical_distance
from dreamsweep.randomness import generator
from dreamsweep.spec import DalleSpec, GuidedEngineSpec, Prompt, StrokesSpec, Trial
from tests.dreamsweep.fakes import ColourPerceptor

ENGINES: list[GuidedEngineSpec] = [DalleSpec(num_iter=5, cutouts=6), StrokesSpec(num_iter=5, cutouts=6)]


def a_trial(prompt: Prompt, engine: GuidedEngineSpec = ENGINES[0], seed: int = 0) -> Trial:
    return Trial(
        prompt=prompt, engine=engine, seed=seed, guide="starter-guide", judge="starter-judge", weights="starter",
        snapshot_every=0, judge_every=5,
    )  # fmt: skip


def plain(colour: tuple[float, float, float], side: int = 32) -> torch.Tensor:
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, side, side).clone()


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


def test_the_gradient_reaches_the_picture() -> None:
    pictures = plain((0.5, 0.5, 0.5)).requires_grad_()
    guide = ClipGuide(ColourPerceptor(), [a_trial(Prompt(text="red"))])
    guide(pictures, 1).loss.sum().backward()
    gradient = pictures.grad
    assert gradient is not None
    assert gradient[0, 0].sum() < 0 < gradient[0, 1].sum()  # more red, less green


def test_weights_and_negatives_steer() -> None:
    reddish = plain((0.8, 0.2, 0.2))
    perceptor = ColourPerceptor()

    def loss(prompt: Prompt) -> float:
        return float(ClipGuide(perceptor, [a_trial(prompt)])(reddish, 1).loss)

    red, both = Prompt(text="red"), Prompt.model_validate({"text": "red", "also": ["blue"]})
    mostly_red = Prompt.model_validate({"text": "red", "weight": 3, "also": ["blue"]})
    not_red = Prompt.model_validate({"text": "blue", "negatives": ["red"]})
    assert loss(red) < loss(mostly_red) < loss(both) < loss(Prompt(text="blue")) < loss(not_red)


def test_a_batch_of_prompts_of_different_lengths_is_each_prompt_alone() -> None:
    prompts = [Prompt(text="red"), Prompt.model_validate({"text": "green", "also": ["white"], "negatives": ["blue", "red"]})]
    pictures = torch.rand(2, 3, 32, 32, generator=generator(0, "test"))
    together = ClipGuide(ColourPerceptor(), [a_trial(p, seed=i) for i, p in enumerate(prompts)])(pictures, 3)
    for i, prompt in enumerate(prompts):
        alone = ClipGuide(ColourPerceptor(), [a_trial(prompt, seed=i)])(pictures[i : i + 1], 3)
        torch.testing.assert_close(alone.loss[0], together.loss[i], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.similarity[0], together.similarity[i], atol=1e-5, rtol=0)


def test_contrast_spares_what_means_the_same() -> None:
    engine = DalleSpec(num_iter=5, contrast=1.0)
    guide = ClipGuide(ColourPerceptor(), [a_trial(Prompt(text="red"), engine)], bank=["red", "blue"])
    assert guide.bank is not None and guide.too_like.tolist() == [[True, False]]
    reddish, bluish = plain((0.8, 0.2, 0.2)), plain((0.2, 0.2, 0.8))
    assert guide(reddish, 1).loss < guide(bluish, 1).loss


def test_spherical_distance_is_half_the_squared_angle() -> None:
    angle = torch.tensor([0.1, 1.0, 2.0, 3.0])
    torch.testing.assert_close(spherical_distance(angle.cos()), (angle / 2) ** 2 * 2, atol=1e-4, rtol=1e-3)


def test_a_judge_marks_the_whole_picture() -> None:
    judge = Judge(ColourPerceptor(), [a_trial(Prompt(text="red")), a_trial(Prompt(text="blue"))])
    marks, embedded = judge.mark(torch.cat([plain((0.9, 0.1, 0.1)), plain((0.9, 0.1, 0.1))]))
    assert marks[0] > 0.99 and marks[1] < 0 and embedded.shape == (2, 3)


def test_weighing_many_pictures_is_looking_at_each() -> None:
    trials = [a_trial(Prompt.model_validate(p), seed=0) for p in ("red", "blue", {"text": "green", "negatives": ["red"]})]
    guide = ClipGuide(ColourPerceptor(), trials, ["grey", "white"])
    pictures = torch.cat([plain(c) for c in ((1, 0, 0), (0, 0, 1), (0.2, 0.8, 0.1), (0.5, 0.5, 0.5))])
    weighed = guide.weigh(pictures)
    assert weighed.shape == (4, 3)
    for picture, losses in zip(pictures, weighed, strict=True):
        assert torch.allclose(guide(picture.expand(3, *picture.shape), 0).loss, losses, atol=1e-4)
    assert weighed.argmin(0).tolist() == [0, 1, 2]
