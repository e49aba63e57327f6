"""What every engine keeps to: the checks of `dreamsweep.testing` over all engines that ship. A new engine adds one line to SPECS."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import png_bytes, to_bytes
from dreamsweep.engines import make_engine
from dreamsweep.engines.protocol import Engine
from dreamsweep.guidance.protocol import Guidance
from dreamsweep.spec import (
    ENGINES,
    AnySpec,
    BigSleepSpec,
    DalleSpec,
    DescentSpec,
    GuidedDiffusionSpec,
    InterpolationSpec,
    OptimizerName,
    StrokesSpec,
    UnclipSpec,
    WeightsName,
)
from dreamsweep.testing import ENGINE_CHECKS, OPTIMIZERS, check_a_longer_trial_continues_a_shorter_one, towards_red, trials_of

SPECS: dict[str, AnySpec] = {
    "dalle": DalleSpec(image_size=64, num_iter=16, start="noise", code_prior=0.0),
    "strokes": StrokesSpec(canvas=48, num_paths=48, num_iter=12, width_rate=1.0, color_rate=0.05),
    "big-sleep": BigSleepSpec(num_iter=12, start="noise", ema_decay=0.5, guide_weight=0.2, latent_weight=0.01, class_weight=0.01),
    "guided-diffusion": GuidedDiffusionSpec(num_iter=12, guide_strength=2.0),
    "interpolation": InterpolationSpec(num_iter=12, steps=2),
    "unclip": UnclipSpec(num_iter=12, steps=2, prior_steps=2, upsample_steps=2),
}
TINY = {"big-sleep", "guided-diffusion", "interpolation", "unclip"}
"""Engines that are tested with next to nothing in their weights: what ships takes too long."""
DESCENDING = [name for name, spec in SPECS.items() if isinstance(spec, DescentSpec)]


@pytest.fixture
def spec(request: pytest.FixtureRequest) -> AnySpec:
    if request.param in TINY:
        request.getfixturevalue("tiny_weights")
    return SPECS[request.param]


def test_every_engine_that_ships_is_checked() -> None:
    assert list(SPECS) == list(ENGINES)
    assert all(spec.engine == name for name, spec in SPECS.items())


@pytest.mark.parametrize("spec", SPECS, indirect=True)
@pytest.mark.parametrize("check", ENGINE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_engines_conform(spec: AnySpec, check: Callable[[AnySpec], None]) -> None:
    check(spec)


@pytest.mark.gpu
@pytest.mark.parametrize("graphs", ["0", "1"], ids=["plain", "graphs"])
@pytest.mark.parametrize("spec", SPECS, indirect=True)
@pytest.mark.parametrize("check", ENGINE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_engines_conform_on_a_gpu(
    spec: AnySpec, check: Callable[[AnySpec, WeightsName, str], None], graphs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMSWEEP_GRAPHS", graphs)
    check(spec, "starter", "cuda")


@pytest.mark.parametrize("spec", ["dalle", "big-sleep"], indirect=True)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_iteration_that_can_be_recorded_is_the_same(
    spec: DescentSpec, optimizer: OptimizerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number, the rates and the temperature are tensors; here nothing is recorded. It also goes on from a plain iteration's state."""
    settings = {**spec.model_dump(), "num_iter": 6, "rate_schedule": "cosine", "optimizer": {"name": optimizer}}
    spec = type(spec).model_validate(settings)
    engine, trials = make_engine(spec, "starter", "cpu"), trials_of(spec, [0, 1])
    plain = [(step.loss, step.learning_rate, step.draw(), step.state()) for step in engine.generate(trials, towards_red)]
    monkeypatch.setenv("DREAMSWEEP_GRAPHS", "1")
    for done in (0, 3):
        steps = engine.generate(trials, towards_red, plain[done - 1][3] if done else None)
        for step, (loss, rate, picture, _) in zip(steps, plain[done:], strict=True):
            assert step.learning_rate == pytest.approx(rate)
            torch.testing.assert_close(step.loss, loss, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(step.draw(), picture, rtol=0, atol=5e-3)


@pytest.mark.parametrize("spec", DESCENDING, indirect=True)
def test_with_constant_settings_a_longer_trial_continues_a_shorter_one(spec: AnySpec) -> None:
    constant = spec.model_copy(update={"rate_schedule": "constant", "rate_drops": None})
    if isinstance(spec, DalleSpec):
        constant = constant.model_copy(update={"tau_end": spec.tau_start})
    assert constant.can_continue
    check_a_longer_trial_continues_a_shorter_one(constant)


@pytest.mark.parametrize("name", SPECS)
def test_builders_take_their_own_engine_s_spec(name: str) -> None:
    """The type checker does not follow a builder's name, so its types are compared here."""
    module, _, function = ENGINES[name].builder.partition(":")
    types = get_type_hints(getattr(import_module(module), function))
    assert types["spec"] is ENGINES[name] and issubclass(types["return"], Engine)


@pytest.mark.parametrize("spec", DESCENDING, indirect=True)
def test_a_learning_rate_moves_as_the_spec_says(spec: DescentSpec) -> None:
    spec = type(spec).model_validate({**spec.model_dump(), "num_iter": 3, "rate_schedule": "linear", "rate_end": 0.5})
    rates = [step.learning_rate for step in make_engine(spec, "starter", "cpu").generate(trials_of(spec, [0]), towards_red)]
    assert rates == pytest.approx([spec.optimizer.learning_rate or 0, 0.75 * rates[0], 0.5 * rates[0]])


@pytest.mark.parametrize("spec", DESCENDING, indirect=True)
def test_it_starts_from_a_picture(spec: DescentSpec, tmp_path: Path) -> None:
    """Nobody steers; the first picture is more like the one that it starts from than without it."""
    red = torch.tensor([0.9, 0.1, 0.1])[:, None, None].expand(3, 64, 64)
    (tmp_path / "red.png").write_bytes(png_bytes(to_bytes(red[None])[0], "{}"))
    away = []
    for picture in ({}, {"init_image": str(tmp_path / "red.png")}):
        variant = type(spec).model_validate({**spec.model_dump(), **picture})
        step = next(iter(make_engine(variant, "starter", "cpu").generate(trials_of(variant, [0, 1]), nowhere)))
        away.append((step.draw() - red[:, :1, :1]).abs().mean((1, 2, 3)))
    assert (away[1] < away[0]).all()


def nowhere(pictures: Tensor, iteration: Count) -> Guidance:
    return Guidance(0 * pictures.mean((1, 2, 3)), torch.zeros(len(pictures)))
