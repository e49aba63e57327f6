"""Guides compose phrases, cutouts are seeded and lie where they should, judges only mark."""

import pytest
import torch

from dreamsweep.compute.randomness import generator
from dreamsweep.guidance import guides as guidance
from dreamsweep.guidance.guides import NEGATIVE_STRENGTH, ClipGuide, Ensemble, make_guide, spherical_distance
from dreamsweep.guidance.protocol import Chooser, Guidance
from dreamsweep.judges.similarity import SimilarityJudge
from dreamsweep.spec import BigSleepSpec, DalleSpec, EngineSpec, InterpolationSpec, Prompt, Trial
from tests.dreamsweep.fakes import ColourPerceptor

DALLE, BIG_SLEEP = DalleSpec(num_iter=5, cutouts=6), BigSleepSpec(num_iter=5, cutouts=6)


def a_trial(prompt: Prompt, engine: EngineSpec = DALLE, seed: int = 0) -> Trial:
    return Trial(prompt=prompt, engine=engine, seed=seed, guide="starter-guide", weights="starter")


def plain(colour: tuple[float, float, float], side: int = 32) -> torch.Tensor:
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, side, side).clone()


def test_the_gradient_reaches_the_picture() -> None:
    pictures = plain((0.5, 0.5, 0.5)).requires_grad_()
    guide = ClipGuide(ColourPerceptor(), [a_trial(Prompt(text="red"))])
    guide(pictures, 1).loss.sum().backward()
    gradient = pictures.grad
    assert gradient is not None
    assert gradient[0, 0].sum() < 0 < gradient[0, 1].sum()  # more red, less green


@pytest.mark.parametrize("engine", [DALLE, BIG_SLEEP.model_copy(update={"accumulate": 3})], ids=lambda e: e.engine)
@pytest.mark.parametrize("at_once", [1, 4])
def test_views_seen_by_parts_are_seen_as_at_once(monkeypatch: pytest.MonkeyPatch, engine: EngineSpec, at_once: int) -> None:
    trials = [a_trial(Prompt.model_validate({"text": "red", "negatives": ["blue"]}), engine, seed) for seed in (0, 1)]
    guide = ClipGuide(ColourPerceptor(), trials, ["green", "white"])
    weight = torch.tensor([2.0, -3.0])

    def guided() -> tuple[Guidance, torch.Tensor]:
        pictures = torch.rand(2, 3, 40, 40, generator=generator(0, "test")).requires_grad_()
        said = guide(pictures * 0.9, 3)
        (gradient,) = torch.autograd.grad((said.loss * weight).sum(), pictures)
        return said, gradient

    monkeypatch.setitem(guidance.VIEW_PIXELS, "cpu", 1 << 30)
    whole, gradient = guided()
    monkeypatch.setitem(guidance.VIEW_PIXELS, "cpu", at_once * 2 * 16 * 16)
    parts, gradient_by_parts = guided()
    torch.testing.assert_close(parts.loss, whole.loss, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts.similarity, whole.similarity, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient_by_parts, gradient, rtol=1e-5, atol=1e-7)


def test_only_a_part_of_the_views_is_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(ColourPerceptor):
        held = 0

        def embed_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
            self.held = max(self.held, len(pictures))
            return super().embed_pictures(pictures)

    perceptor = Counting()
    monkeypatch.setitem(guidance.VIEW_PIXELS, "cpu", 4 * 16 * 16)
    ClipGuide(perceptor, [a_trial(Prompt(text="red"), BIG_SLEEP)] * 2)(torch.rand(2, 3, 40, 40), 1)
    assert perceptor.held == 4


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


def test_what_means_the_same_costs_nothing() -> None:
    engine, picture = DalleSpec(num_iter=5, contrast=1.0), plain((0.5, 0.5, 0.5))
    losses = [
        ClipGuide(ColourPerceptor(), [a_trial(Prompt(text="red"), engine)], bank=bank)(picture, 1).loss
        for bank in (["blue"], ["red", "blue"])
    ]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=0)


def test_spherical_distance_is_half_the_squared_angle() -> None:
    angle = torch.tensor([0.1, 1.0, 2.0, 3.0])
    torch.testing.assert_close(spherical_distance(angle.cos()), (angle / 2) ** 2 * 2, atol=1e-4, rtol=1e-3)


def test_a_judge_marks_the_whole_picture() -> None:
    judge = SimilarityJudge(ColourPerceptor(), [a_trial(Prompt(text="red")), a_trial(Prompt(text="blue"))])
    marks, embedded = judge.score(torch.cat([plain((0.9, 0.1, 0.1)), plain((0.9, 0.1, 0.1))]), 1)
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


def test_names_are_weighed_by_their_cosine_to_the_prompt_and_its_negatives() -> None:
    trials = [a_trial(Prompt.model_validate(p)) for p in ("a red", {"text": "a red", "negatives": ["a blue"]})]
    guide = ClipGuide(ColourPerceptor(), trials, ["grey"])
    red, blue = ColourPerceptor().embed_texts(["a red", "a blue"])
    weighed, across = guide.weigh_names(["red", "blue"]), float(red @ blue)
    expected = torch.tensor([[-1.0, -1.0 + NEGATIVE_STRENGTH * across], [-across, -across + NEGATIVE_STRENGTH]])
    assert torch.allclose(weighed, expected, atol=1e-6)
    both = Ensemble([(guide, 3.0), (ClipGuide(ColourPerceptor(), trials[::-1]), 1.0)])
    assert torch.allclose(both.weigh_names(["red", "blue"]), 0.75 * weighed + 0.25 * weighed.flip(1), atol=1e-6)


def test_several_guides_pull_by_their_weights() -> None:
    trials = [a_trial(Prompt(text="red")), a_trial(Prompt(text="blue"))]
    pictures = torch.rand(2, 3, 24, 24, requires_grad=True)
    first, other = ClipGuide(ColourPerceptor(), trials, ["grey"]), ClipGuide(ColourPerceptor(), trials)
    both = Ensemble([(first, 3.0), (other, 1.0)])
    said, by_one, by_other = (guide(pictures, 2) for guide in (both, first, other))
    assert torch.allclose(said.loss, 0.75 * by_one.loss + 0.25 * by_other.loss, atol=1e-5)
    gradients = [torch.autograd.grad(result.loss.sum(), pictures, retain_graph=True)[0] for result in (said, by_one, by_other)]
    assert torch.allclose(gradients[0], 0.75 * gradients[1] + 0.25 * gradients[2], atol=1e-6)
    shown = torch.rand(3, 3, 24, 24)
    assert torch.allclose(both.weigh(shown), 0.75 * first.weigh(shown) + 0.25 * other.weigh(shown), atol=1e-5)
    assert make_guide([(ColourPerceptor(), 1.0)], trials).__class__ is ClipGuide
    assert isinstance(make_guide([(ColourPerceptor(), 1.0), (ColourPerceptor(), 2.0)], trials), Ensemble)


def test_an_observer_weighs_pictures_and_the_names_of_every_prompt_that_a_walk_passes() -> None:
    prompts = Prompt(text="a red", to=("a blue", "a green")), Prompt(text="a green", to=("a red",))
    trials = [a_trial(prompt, InterpolationSpec(num_iter=3)) for prompt in prompts]
    guide, names = make_guide([(ColourPerceptor(), 1.0)], trials), ["red", "green", "blue"]
    assert isinstance(guide, Chooser)
    assert [guide.weigh_names(names, key).argmin(0)[0].item() for key in range(3)] == [0, 2, 1]
    assert [guide.weigh_names(names, key).argmin(0)[1].item() for key in range(2)] == [1, 0]
    assert guide.weigh(torch.cat([plain((0.0, 1.0, 0.0)), plain((1.0, 0.0, 0.0))])).argmin(0).tolist() == [1, 0]
