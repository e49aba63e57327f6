"""Checks that every engine and every judge passes, those of other packages included. They are plain functions, for any test runner.

    import pytest
    from dreamsweep.testing import ENGINE_CHECKS

    @pytest.mark.parametrize("check", ENGINE_CHECKS, ids=lambda check: check.__name__)
    def test_spirals(check):
        check(SpiralsSpec(num_iter=12))

A check makes the engine by its spec's builder, lets it draw small batches on the CPU, and raises AssertionError with what is wrong. Give it
small settings, and at least twelve iterations.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module

import torch
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.engines import make_engine
from dreamsweep.engines.protocol import Artefact, Engine, Film, Step
from dreamsweep.guidance.protocol import Guidance
from dreamsweep.judges.protocol import Judge
from dreamsweep.spec import AnySpec, OptimizerName, OptimizerSpec, Prompt, Trial, WeightsName
from dreamsweep.store import keys

BATCH_TOLERANCE = 2 / 255
"""How far a pixel may differ between a trial alone and the same trial in a batch: sums are in another order, no more."""
OPTIMIZERS: tuple[OptimizerName, ...] = ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta")


def trials_of(spec: AnySpec, seeds: Sequence[int], weights: WeightsName = "starter") -> list[Trial]:
    """Returns trials of one engine that differ in their seeds; their prompt has a `to` where the engine needs one."""
    to = ("a green ring",) if spec.takes_to == "required" else ()
    prompt = Prompt(text="a red disc", to=to)
    return [Trial(prompt=prompt, engine=spec, seed=seed, guide="starter-guide", weights=weights) for seed in seeds]


def towards_red(pictures: Tensor, iteration: Count) -> Guidance:
    """Returns a guide that wants every picture red; it knows nothing of prompts."""
    distance = (pictures - pictures.new_tensor([0.9, 0.1, 0.1])[:, None, None]).pow(2).mean((1, 2, 3))
    return Guidance(distance * 50, 1 - distance.detach())


def towards_red_but_third_breaks(pictures: Tensor, iteration: Count) -> Guidance:
    """Returns the same, but from the fourth iteration on the third trial's loss is no number."""
    guidance = towards_red(pictures, iteration)
    if iteration < 4 or len(pictures) < 3:
        return guidance
    broken = pictures.new_zeros(len(pictures))
    broken[2] = float("nan")
    return replace(guidance, loss=guidance.loss + broken)


def all_steps(engine: Engine, spec: AnySpec, seeds: Sequence[int]) -> list[tuple[Step, Tensor]]:
    """Returns every step of a batch, each with its pictures."""
    return [(step, step.draw().clone()) for step in engine.generate(trials_of(spec, seeds), towards_red)]


def last_pictures(engine: Engine, spec: AnySpec, seeds: Sequence[int]) -> Tensor:
    """Returns the pictures of a batch's last step; those of the steps before are not drawn."""
    *_, step = engine.generate(trials_of(spec, seeds), towards_red)
    return step.draw().clone()


def _same(picture: Tensor, other: Tensor) -> bool:
    """Returns whether pictures are the same: to the bit on a CPU; a GPU's sums, whose order is not fixed, may differ a little."""
    return torch.equal(picture, other) if picture.device.type == "cpu" else bool((picture - other).abs().max() < BATCH_TOLERANCE)


def check_facts(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that what the spec states of its engine is so."""
    module, _, function = spec.builder.partition(":")
    assert callable(getattr(import_module(module), function, None)), f"builder {spec.builder!r} names no function"
    settings = type(spec).model_fields
    named = {rule.setting for rule in spec.setting_rules} | set(spec.published_defaults)
    assert named <= settings.keys(), f"{sorted(named - settings.keys())} are no settings of {type(spec).__name__}"
    seconds = spec.seconds_an_iteration()
    assert seconds is None or seconds > 0, f"seconds_an_iteration is {seconds}"
    assert spec.divergence_hint.endswith("."), "divergence_hint is no sentence"
    for name in spec.weight_names(weights):
        assert name, "a name of weights is empty"
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec, "the spec does not survive JSON"


def check_steps(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that every iteration is reported, pictures are square and in range, and nothing has a gradient."""
    engine = make_engine(spec, weights, device)
    steps = all_steps(engine, spec, [0, 1])
    iterations = [step.iteration for step, _ in steps]
    assert iterations == list(range(1, (spec.num_iter or 0) + 1)), f"iterations are {iterations}, num_iter is {spec.num_iter}"
    for step, picture in steps:
        assert picture.shape[:2] == (2, 3) and picture.shape[2] == picture.shape[3], f"pictures have the shape {tuple(picture.shape)}"
        assert picture.min() >= 0 and picture.max() <= 1, f"pixels lie in [{picture.min():.3f}, {picture.max():.3f}]"
        assert step.loss.shape == step.similarity.shape == (2,), "loss and similarity have one number a trial"
        assert not step.loss.requires_grad and not picture.requires_grad, "a loss or a picture still has its gradient"
        assert (step.learning_rate == step.learning_rate) == (spec.own_optimizer is not None), "a learning rate without an optimizer"


def check_it_follows_its_guide(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that a steered engine brings its guide's loss down by a fifth at least."""
    if spec.steering is None:
        return
    first, *_, last = (step.loss for step in make_engine(spec, weights, device).generate(trials_of(spec, [0, 1]), towards_red))
    assert (last < 0.8 * first).all(), f"the loss goes from {first.tolist()} to {last.tolist()}"


def check_the_seed_decides_the_picture(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that the same seed draws the same pixels, and another seed others."""
    engine = make_engine(spec, weights, device)
    first, again, other = (last_pictures(engine, spec, [seed]) for seed in (3, 3, 4))
    assert _same(first, again), "the same seed draws other pixels"
    assert (first - other).abs().mean() > 0.002, "another seed draws the same picture"


def check_a_batch_draws_what_its_trials_draw_alone(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that a trial's picture does not depend on its batch-mates."""
    engine = make_engine(spec, weights, device)
    alone = last_pictures(engine, spec, [5])[0]
    batch = last_pictures(engine, spec, [0, 1, 2, 3, 4, 5, 6, 7])[5]
    difference = float((alone - batch).abs().max())
    assert difference < BATCH_TOLERANCE, f"pixels differ by up to {difference:.3f} between a trial alone and in a batch"


def check_it_resumes_to_the_bit(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that from the state of an iteration a batch goes on as if it had not stopped, with each optimizer."""
    for variant in [_short_with_optimizer(spec, name) for name in OPTIMIZERS] if spec.own_optimizer else [spec]:
        engine, trials = make_engine(variant, weights, device), trials_of(variant, [0, 1])
        state, last = {}, None
        for step in engine.generate(trials, towards_red):
            if step.iteration == 5:
                state = {name: value.clone() for name, value in step.state().items()}
            last = step
        assert last is not None and state, "there are fewer than five iterations"
        assert all(value.is_contiguous() for value in state.values()), "a tensor of the state is not contiguous"
        picture = last.draw().clone()
        first, *_, last = engine.generate(trials, towards_red, state)
        assert first.iteration == 6, f"after iteration 5 it resumes with iteration {first.iteration}"
        assert _same(picture, last.draw()), "a resumed batch draws other pixels"


def check_a_longer_trial_continues_a_shorter_one(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that where the spec says so (`can_continue`), no iteration depends on how many there are."""
    if not spec.can_continue:
        return
    shorter, longer = spec, type(spec).model_validate({**spec.model_dump(), "num_iter": (spec.num_iter or 0) + 2})
    before, after = (all_steps(make_engine(it, weights, device), it, [0, 1]) for it in (shorter, longer))
    for (first, picture), (second, same) in zip(before, after, strict=False):
        assert first.learning_rate == second.learning_rate, f"with two iterations more, iteration {first.iteration} has another rate"
        assert _same(picture, same), f"with two iterations more, iteration {first.iteration} draws other pixels"


def check_a_diverged_trial_leaves_its_batch_mates_alone(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Checks that a loss that is no number ends its own trial, which keeps its place and a whole picture; the others are as they
    would have been.
    """
    engine = make_engine(spec, weights, device)
    seeds = [0, 1, 2, 3]
    whole = last_pictures(engine, spec, seeds)
    *_, last = engine.generate(trials_of(spec, seeds), towards_red_but_third_breaks)
    broken = last.draw()
    assert torch.isnan(last.loss).tolist() == [False, False, True, False], "other trials than the third have diverged"
    for mate in (0, 1, 3):
        assert _same(whole[mate], broken[mate]), f"trial {mate} differs because trial 2 diverged"
    assert torch.isfinite(broken).all(), "a diverged trial's picture holds no numbers"


def check_artefacts(spec: AnySpec, weights: WeightsName = "starter", device: str = "cpu") -> None:
    """Files that trials leave have names of their own, a type and content; the frames of films are pictures."""
    *_, step = make_engine(spec, weights, device).generate(trials_of(spec, [0, 1]), towards_red)
    for index in (0, 1) if step.artefacts else ():
        assert step.artefacts is not None
        artefacts = list(step.artefacts(index))
        names = [artefact.name for artefact in artefacts]
        assert len(set(names)) == len(names) and not {keys.FINAL, keys.BEST, "film", keys.SHEET} & set(names), f"names are {names}"
        for artefact in artefacts:
            match artefact:
                case Artefact():
                    assert artefact.data and "/" in artefact.content_type, f"{artefact.name} is empty or has no content type"
                case Film():
                    frames = list(artefact.frames)
                    assert frames and all(frame.ndim == 3 and frame.min() >= 0 and frame.max() <= 1 for frame in frames), artefact.name


ENGINE_CHECKS: tuple[Callable[..., None], ...] = (
    check_facts,
    check_steps,
    check_it_follows_its_guide,
    check_the_seed_decides_the_picture,
    check_a_batch_draws_what_its_trials_draw_alone,
    check_it_resumes_to_the_bit,
    check_a_longer_trial_continues_a_shorter_one,
    check_a_diverged_trial_leaves_its_batch_mates_alone,
    check_artefacts,
)
"""What an engine has to pass; each takes a spec, and the weights."""


def check_judge(judge: Judge, pictures: Tensor) -> None:
    """Checks for one finite score a picture and embeddings as long as the batch, without gradient; the same again; pictures are left
    as they were.
    """
    before = pictures.clone()
    scores, embeddings = judge.score(pictures, 1)
    assert scores.shape == (len(pictures),), f"scores of {len(pictures)} pictures have the shape {tuple(scores.shape)}"
    assert embeddings.ndim == 2 and len(embeddings) == len(pictures), f"embeddings have the shape {tuple(embeddings.shape)}"
    assert torch.isfinite(scores).all(), f"scores are {scores.tolist()}"
    assert not scores.requires_grad and not embeddings.requires_grad, "scores or embeddings still have their gradient"
    assert torch.equal(judge.score(pictures, 1)[0], scores), "the same pictures are scored otherwise the second time"
    assert torch.equal(pictures, before), "the pictures were changed"


def _short_with_optimizer(spec: AnySpec, name: OptimizerName) -> AnySpec:
    return type(spec).model_validate({**spec.model_dump(), "num_iter": 8, "optimizer": OptimizerSpec(name=name)})
