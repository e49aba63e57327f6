"""Interpolation: frames between prompts, from the stock pipeline, the same alone, in any batch and after a resume."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.model_folders import quiet
from dreamsweep.compute.pool import POOL
from dreamsweep.compute.randomness import Draws, generator
from dreamsweep.engines import make_engine
from dreamsweep.engines.frames import slerp
from dreamsweep.engines.interpolation import between
from dreamsweep.engines.protocol import Step
from dreamsweep.engines.starts import make_thing_starts
from dreamsweep.errors import WeightsError
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.protocol import Chooser, Guidance, Guide
from dreamsweep.guidance.waypoints import place
from dreamsweep.judges.similarity import SimilarityJudge
from dreamsweep.models.pipelines import Onto
from dreamsweep.models.stable_diffusion import SCHEDULERS, Condition, load_stable_diffusion
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import InterpolationSpec, Prompt, SchedulerName, Trial

TOLERANCE = 2 / 255
pytestmark = pytest.mark.usefixtures("tiny_weights")


def spec(**changes: Any) -> InterpolationSpec:
    return InterpolationSpec(**{"num_iter": 6, "steps": 3, "frames_at_once": 4, **changes})


def trials_of(spec: InterpolationSpec, seeds: tuple[int, ...] = (0,), prompt: Prompt | None = None) -> list[Trial]:
    prompt = prompt or Prompt(text="a red heart", to=("a green apple",))
    perceptors: dict[str, Any] = {"guide": "starter-guide", "weights": "starter"}
    return [Trial(prompt=prompt, engine=spec, seed=seed, **perceptors) for seed in seeds]


def blind(pictures: torch.Tensor, iteration: Count) -> Guidance:
    return Guidance(pictures.mean((1, 2, 3)), pictures.mean((1, 2, 3)))


def steps_of(trials: list[Trial], **options: Any) -> list[Step]:
    engine = make_engine(trials[0].engine, "starter", "cpu")
    return list(engine.generate(trials, options.pop("guide", blind), **options))


def pictures_of(trials: list[Trial], **options: Any) -> torch.Tensor:
    return torch.stack([step.draw() for step in steps_of(trials, **options)])


def test_a_frame_is_an_iteration_and_its_ends_are_the_prompts_own_pictures() -> None:
    drawn = pictures_of(trials_of(spec()))
    assert drawn.shape == (6, 1, 3, 16, 16) and drawn.min() >= 0 and drawn.max() <= 1
    for at, text in ((0, "a red heart"), (-1, "a green apple")):
        alone = pictures_of(trials_of(spec(num_iter=2), prompt=Prompt(text=text, to=(text,))))
        assert (alone[0] - drawn[at]).abs().max() <= TOLERANCE
    assert (drawn[0] - drawn[-1]).abs().mean() > 0.01
    middle = (drawn[2] - drawn[0]).abs().mean(), (drawn[2] - drawn[-1]).abs().mean()
    assert min(middle) > 0.001


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_draws_and_the_seed_decides(scheduler: str) -> None:
    first, again, other = (pictures_of(trials_of(spec(scheduler=scheduler, num_iter=2), (seed,))) for seed in (1, 1, 2))
    assert torch.isfinite(first).all() and torch.equal(first, again) and (first - other).abs().mean() > 0.01


@pytest.mark.parametrize("scheduler", ["ddim", "euler-ancestral"])
def test_alone_or_in_a_batch_and_however_many_frames_at_once(scheduler: str) -> None:
    batch = pictures_of(trials_of(spec(scheduler=scheduler), (5, 6, 7)))
    alone = pictures_of(trials_of(spec(scheduler=scheduler), (6,)))
    by_one = pictures_of(trials_of(spec(scheduler=scheduler, frames_at_once=1), (6,)))
    assert (batch[:, 1] - alone[:, 0]).abs().max() <= TOLERANCE
    assert (by_one - alone).abs().max() <= TOLERANCE


def test_it_goes_on_from_any_frame() -> None:
    steps = steps_of(trials_of(spec(), (0, 1)))
    for cut in (1, 3, 5):
        resumed = steps_of(trials_of(spec(), (0, 1)), state=steps[cut - 1].state())
        assert [step.iteration for step in resumed] == list(range(cut + 1, 7))
        for before, after in zip(steps[cut:], resumed, strict=True):
            assert torch.equal(before.draw(), after.draw())


def test_a_trial_that_breaks_leaves_its_mates_alone() -> None:
    def breaks(pictures: torch.Tensor, iteration: Count) -> Guidance:
        loss = pictures.mean((1, 2, 3)).clone()
        loss[0] = torch.nan if iteration == 3 else loss[0]
        return Guidance(loss, loss)

    whole, broken = steps_of(trials_of(spec(), (0, 1))), steps_of(trials_of(spec(), (0, 1)), guide=breaks)
    assert [bool(step.loss[0].isnan()) for step in broken] == [False, False, True, True, True, True]
    for a, b in zip(whole, broken, strict=True):
        assert torch.equal(a.loss[1], b.loss[1]) and torch.equal(a.draw()[1], b.draw()[1])


def test_guidance_negatives_further_texts_and_the_path_all_matter() -> None:
    plain = pictures_of(trials_of(spec()))
    steered = [{"text": "a red heart", "to": "a green apple", **more} for more in ({"negatives": ["blur"]}, {"also": ["a rocket"]})]
    for changed in (
        trials_of(spec(guidance_scale=1.0)),
        trials_of(spec(path="slerp")),
        trials_of(spec(easing="smooth")),
        *(trials_of(spec(), prompt=Prompt.model_validate(prompt)) for prompt in steered),
    ):
        assert not torch.equal(plain, pictures_of(changed))
    assert pictures_of(trials_of(spec(image_size=32, num_iter=2))).shape[-1] == 32


def test_rows_tell_how_near_each_prompt_is() -> None:
    prompt = Prompt(text="a red heart", to=("a green apple", "a rocket"))
    trials = trials_of(spec(num_iter=5), (0,), prompt) + trials_of(spec(num_iter=5), (1,))
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    steps = steps_of(trials, guide=guide)
    judge = SimilarityJudge(load_perceptor("starter-guide", "cpu"), trials)
    for step in steps:
        assert step.each is not None and step.each.shape == (2, 3) and step.each[1, 2].isnan()
        marks, _ = judge.score(step.draw(), step.iteration)
        assert torch.allclose(marks, step.similarity, atol=1e-5)
    assert torch.allclose(steps[2].similarity[0], steps[2].each[0, 1], atol=1e-5)  # type: ignore[index]  # the middle frame is the second prompt's
    assert torch.allclose(steps[2].similarity[1], steps[2].each[1, :2].mean(), atol=1e-5)  # type: ignore[index]  # half way between two


def test_places_between_keys() -> None:
    assert [place(f, 5, 2, "linear") for f in range(1, 6)] == [(0, 0.0), (0, 0.25), (0, 0.5), (0, 0.75), (1, 0.0)]
    assert [place(f, 5, 3, "linear") for f in (1, 2, 3, 5)] == [(0, 0.0), (0, 0.5), (1, 0.0), (2, 0.0)]
    assert place(2, 5, 2, "smooth")[1] == pytest.approx(0.15625)
    assert place(1, 1, 2, "linear") == (0, 0.0)


def test_slerp_keeps_to_the_sphere() -> None:
    first, other = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    half = slerp(first, other, 0.5)
    assert torch.allclose(half, torch.tensor([[0.5**0.5, 0.5**0.5], [2.0, 0.0]]), atol=1e-6)
    assert torch.equal(slerp(first, other, 0.0), first)
    far = between(Condition(first, None), Condition(other, None), 1.0, "slerp")
    assert torch.allclose(far.tokens, other, atol=1e-6) and far.pooled is None


def test_a_damaged_or_missing_pipeline_is_one_sentence(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    copy = tmp_path / "weights"
    shutil.copytree(tiny_weights, copy)
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(copy))
    POOL.clear()
    weights = copy / "starter-diffusion" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"'starter-diffusion'.*is damaged or missing"):
        load_stable_diffusion("starter", "", "cpu")
    with pytest.raises(WeightsError, match="holds no pipeline that can be read"):
        load_stable_diffusion("published", str(copy / "starter-diffusion"), "cpu")
    shutil.rmtree(copy / "starter-diffusion")
    with pytest.raises(WeightsError, match="starter-diffusion is missing; install dreamsweep again"):
        load_stable_diffusion("starter", "", "cpu")


def test_a_folder_of_the_user_s_is_a_model(tiny_weights: Path) -> None:
    model = load_stable_diffusion("published", str(tiny_weights / "starter-diffusion"), "cpu")
    assert model.image_size == 16 and len(model.sha256) == 64


def chosen(trials: list[Trial]) -> Guide:
    return make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)


def test_from_things_it_leads_from_one_thing_s_picture_to_the_other_s() -> None:
    trials = trials_of(spec(start="thing", init_strength=0.5, steps=8), (2,))
    drawn = pictures_of(trials, guide=chosen(trials))[:, 0]
    model, things = load_stable_diffusion("starter", "", "cpu"), make_thing_starts("thing", "starter", "cpu")
    guide = chosen(trials)
    assert things is not None and isinstance(guide, Chooser)
    (ends,) = things.along(16, trials, guide)
    prompt = trials[0].prompt
    noise = Draws([2]).normal("noise", *model.latent_shape(16)).expand(2, -1, -1, -1)
    by_itself = model.denoise(
        [model.condition(text, prompt) for text in (prompt.text, *prompt.to)], [model.against(prompt)] * 2, noise,
        [generator(2, "denoising") for _ in range(2)], steps=8, guidance_scale=7.5, scheduler="ddim", onto=Onto(model.encode(ends), 0.5),
    )  # fmt: skip
    assert (by_itself - drawn[[0, -1]]).abs().max() <= TOLERANCE and (drawn[0] - drawn[-1]).abs().mean() > 0.01


def test_little_noise_leaves_a_picture_nearly_as_it_is() -> None:
    model = load_stable_diffusion("starter", "", "cpu")
    noise, latents = torch.randn(2, 1, *model.latent_shape(16))
    condition = [model.condition("a cat", Prompt(text="a cat"))]
    apart = []
    for strength in (0.02, 1.0):
        drawn = model.denoise(condition, condition, noise, [generator(0, "x")], 50, 1.0, "ddim", Onto(latents, strength))
        apart.append((drawn - model.decode(latents).clamp(0, 1)).abs().mean())
    assert apart[0] < 0.3 * apart[1]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_from_a_picture_it_is_what_the_stock_pipeline_draws_from_the_same_latents(scheduler: SchedulerName) -> None:
    import diffusers

    model = load_stable_diffusion("starter", "", "cpu")
    condition = model.condition("a cat", Prompt(text="a cat"))
    latents = torch.randn(1, *model.latent_shape(16))
    kind: Any = diffusers.StableDiffusionImg2ImgPipeline
    stock = kind(**model.pipeline.components, requires_safety_checker=False)
    with quiet():
        stock.scheduler = model._scheduler(scheduler)
    stock.set_progress_bar_config(disable=True)
    embedded = {"prompt_embeds": condition.tokens[None], "negative_prompt_embeds": condition.tokens[None]}
    settings = {"strength": 0.5, "num_inference_steps": 8, "guidance_scale": 2.0, "output_type": "pt"}
    with quiet():
        (theirs,) = stock(image=latents, generator=[generator(3, "x")], **settings, **embedded).images
    random = generator(3, "x")
    noise = torch.randn(latents.shape, generator=random)
    (ours,) = model.denoise([condition], [condition], noise, [random], 8, 2.0, scheduler, Onto(latents, 0.5))
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_from_things_every_scheduler_draws_the_same_alone_in_a_batch_and_after_a_resume(scheduler: str) -> None:
    some = spec(start="thing", init_strength=0.6, scheduler=scheduler, num_iter=3)
    walks = [Prompt(text="a red heart", to=("a green apple",)), Prompt(text="a cat", to=("a dog", "a cow"))]
    trials = [trial for prompt in walks for trial in trials_of(some, (0, 5), prompt)]
    steps = steps_of(trials, guide=chosen(trials))
    together = torch.stack([step.draw() for step in steps])
    assert torch.isfinite(together).all() and (together[:, 2] - together[:, 3]).abs().mean() > 0.01, "the seed decides"
    assert (pictures_of(trials[2:3], guide=chosen(trials[2:3]))[:, 0] - together[:, 2]).abs().max() <= TOLERANCE
    (resumed,) = steps_of(trials, guide=chosen(trials), state=steps[1].state())
    assert torch.equal(resumed.draw(), together[2])
