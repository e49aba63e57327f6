"""What every engine keeps to. A new engine adds one line to SPECS."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dreamsweep.engines import make_engine
from dreamsweep.engines.protocol import Engine, Guidance, Step
from dreamsweep.pictures import png_bytes, to_bytes
from dreamsweep.spec import BigSleepSpec, DalleSpec, EngineSpec, GuidedDiffusionSpec, GuidedSpec, OptimizerSpec, Prompt, StrokesSpec, Trial

SPECS: dict[str, EngineSpec] = {
    "dalle": DalleSpec(image_size=64, num_iter=12, start="noise", code_prior=0.0),
    "strokes": StrokesSpec(canvas=48, num_paths=48, num_iter=12, width_rate=1.0, color_rate=0.05),
    "big-sleep": BigSleepSpec(num_iter=12, start="noise", ema_decay=0.5, guide_weight=0.2, latent_weight=0.01, class_weight=0.01),
    "guided-diffusion": GuidedDiffusionSpec(num_iter=12, guide_strength=2.0),
}
TINY = ("big-sleep", "guided-diffusion")
"""Engines that are tested with next to nothing in their weights: what ships takes too long."""
BATCH_TOLERANCE = 2 / 255
"""How far a pixel may differ between a trial alone and the same trial in a batch: sums are ordered otherwise, no more."""


def trials_of(spec: EngineSpec, seeds: Sequence[int]) -> list[Trial]:
    return [
        Trial(
            prompt=Prompt(text="a red disc"), engine=spec, seed=seed, guide="starter-guide", judge="starter-judge",
            weights="starter", snapshot_every=0, judge_every=5,
        )
        for seed in seeds
    ]  # fmt: skip


def towards_red(pictures: Tensor, iteration: int) -> Guidance:
    """A guide that wants every picture red; it knows nothing of prompts."""
    distance = (pictures - pictures.new_tensor([0.9, 0.1, 0.1])[:, None, None]).pow(2).mean((1, 2, 3))
    return Guidance(distance * 50, 1 - distance.detach())


def towards_red_but_third_breaks(pictures: Tensor, iteration: int) -> Guidance:
    guidance = towards_red(pictures, iteration)
    if iteration < 4 or len(pictures) < 3:
        return guidance
    broken = torch.zeros(len(pictures))
    broken[2] = float("nan")
    return replace(guidance, loss=guidance.loss + broken)


def all_steps(engine: Engine, spec: EngineSpec, seeds: Sequence[int], guide=towards_red) -> list[tuple[Step, Tensor]]:  # type: ignore[no-untyped-def]
    return [(step, step.draw().clone()) for step in engine.generate(trials_of(spec, seeds), guide)]


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> EngineSpec:
    return SPECS[request.param]


@pytest.fixture(autouse=True)
def _weights(spec: EngineSpec, request: pytest.FixtureRequest) -> None:
    if spec.engine in TINY:
        request.getfixturevalue("tiny_weights")


@pytest.fixture
def engine(spec: EngineSpec) -> Engine:
    return make_engine(spec, "starter", "cpu")


def test_pictures_are_in_range_and_every_iteration_is_told(engine: Engine, spec: EngineSpec) -> None:
    steps = all_steps(engine, spec, [0, 1])
    assert [step.iteration for step, _ in steps] == list(range(1, 13))
    for step, picture in steps:
        assert picture.shape[:2] == (2, 3) and picture.shape[2] == picture.shape[3]
        assert picture.min() >= 0 and picture.max() <= 1
        assert step.loss.shape == step.similarity.shape == (2,)
        assert not step.loss.requires_grad and not picture.requires_grad


def test_it_follows_its_guide(engine: Engine, spec: EngineSpec) -> None:
    steps = all_steps(engine, spec, [0, 1])
    assert (steps[-1][0].loss < 0.8 * steps[0][0].loss).all()


def test_the_seed_decides_the_picture(engine: Engine, spec: EngineSpec) -> None:
    one, again, other = (all_steps(engine, spec, [seed])[-1][1] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert (one - other).abs().mean() > 0.002


def test_alone_or_in_a_batch_of_eight_it_is_the_same_picture(engine: Engine, spec: EngineSpec) -> None:
    alone = all_steps(engine, spec, [5])[-1][1][0]
    batch = all_steps(engine, spec, [0, 1, 2, 3, 4, 5, 6, 7])[-1][1][5]
    assert (alone - batch).abs().max() < BATCH_TOLERANCE


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta"])
def test_it_goes_on_from_any_state_as_if_it_had_not_stopped(spec: EngineSpec, optimizer: str) -> None:
    if isinstance(spec, GuidedSpec):
        spec = type(spec).model_validate({**spec.model_dump(), "optimizer": OptimizerSpec(name=optimizer)})
    elif optimizer != "adam":
        pytest.skip("an engine without an optimizer goes on in one way only")
    engine = make_engine(spec, "starter", "cpu")
    trials = trials_of(spec, [0, 1])
    for step in engine.generate(trials, towards_red):
        if step.iteration == 5:
            state = {key: value.clone() for key, value in step.state().items()}
        last = step.draw()
    for step in engine.generate(trials, towards_red, state):
        assert step.iteration > 5
        resumed = step.draw()
    assert torch.equal(last, resumed)


def test_a_learning_rate_moves_as_the_spec_says(spec: EngineSpec) -> None:
    if not isinstance(spec, GuidedSpec):
        pytest.skip("an engine without an optimizer has no learning rate")
    spec = type(spec).model_validate({**spec.model_dump(), "num_iter": 3, "rate_schedule": "linear", "rate_end": 0.5})
    rates = [step.learning_rate for step in make_engine(spec, "starter", "cpu").generate(trials_of(spec, [0]), towards_red)]
    assert rates == pytest.approx([spec.optimizer.learning_rate or 0, 0.75 * rates[0], 0.5 * rates[0]])


def test_it_starts_from_a_picture(spec: EngineSpec, tmp_path: Path) -> None:
    """Nobody steers; the first picture is more like the one that it starts from than without it."""
    if not isinstance(spec, GuidedSpec):
        pytest.skip("what random diffusion weights make of a picture is noise; its own tests say where it starts")
    red = torch.tensor([0.9, 0.1, 0.1])[:, None, None].expand(3, 64, 64)
    (tmp_path / "red.png").write_bytes(png_bytes(to_bytes(red[None])[0], "{}"))
    away = []
    for picture in ({}, {"init_image": str(tmp_path / "red.png")}):
        asked: EngineSpec = type(spec).model_validate({**spec.model_dump(), **picture})
        step = next(iter(make_engine(asked, "starter", "cpu").generate(trials_of(asked, [0, 1]), nowhere)))
        away.append((step.draw() - red[:, :1, :1]).abs().mean((1, 2, 3)))
    assert (away[1] < away[0]).all()


def nowhere(pictures: Tensor, iteration: int) -> Guidance:
    return Guidance(0 * pictures.mean((1, 2, 3)), torch.zeros(len(pictures)))


def test_a_diverged_trial_leaves_its_batch_mates_alone(engine: Engine, spec: EngineSpec) -> None:
    whole = all_steps(engine, spec, [0, 1, 2, 3])
    broken = all_steps(engine, spec, [0, 1, 2, 3], towards_red_but_third_breaks)
    assert torch.isnan(broken[-1][0].loss).tolist() == [False, False, True, False]
    for mate in (0, 1, 3):
        assert torch.equal(whole[-1][1][mate], broken[-1][1][mate])
    assert torch.isfinite(broken[-1][1]).all()
