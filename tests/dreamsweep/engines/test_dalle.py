"""The dVAE engine: its temperature and rates move as told, it starts from a picture, and runs at the sizes of the published weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import png_bytes, read_picture, to_bytes
from dreamsweep.compute.pool import POOL
from dreamsweep.engines import dalle, make_engine
from dreamsweep.engines.dalle import DalleEngine
from dreamsweep.engines.schedules import moved
from dreamsweep.guidance.protocol import Guidance
from dreamsweep.models.dvae import decode, encode_logits
from dreamsweep.spec import DalleSpec, ImageFile, Trial, WeightsName
from tests.dreamsweep.weights.tiny_models import old_dalle, saved

COMMON = {"prompt": "a heart", "guide": "starter-guide"}


def trials_of(spec: DalleSpec, weights: WeightsName = "starter", seeds: tuple[int, ...] = (0,)) -> list[Trial]:
    return [Trial.model_validate({**COMMON, "engine": spec, "seed": seed, "weights": weights}) for seed in seeds]


def towards_red(pictures: Tensor, iteration: Count) -> Guidance:
    distance = (pictures - pictures.new_tensor([0.9, 0.1, 0.1])[:, None, None]).pow(2).mean((1, 2, 3))
    return Guidance(distance * 50, 1 - distance.detach())


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenAI's two pickled modules, as a torch of 2021 would have written them, with next to nothing in them."""
    files = {}
    for part in ("encoder", "decoder"):
        files[f"{part}.pkl"] = tmp_path / f"{part}.pkl"
        files[f"{part}.pkl"].write_bytes(saved(old_dalle(part)))
    monkeypatch.setattr("dreamsweep.models.dvae.weights_of", lambda name: files)
    monkeypatch.setattr("dreamsweep.models.dvae.digest", lambda name: "0" * 64)
    POOL.clear()
    yield
    POOL.clear()


@pytest.mark.usefixtures("tiny_weights")
@pytest.mark.parametrize("curve", ["linear", "cosine", "exponential"])
def test_temperature_and_rate_move_as_told_also_after_a_resume(monkeypatch: pytest.MonkeyPatch, curve: str) -> None:
    seen: list[float] = []
    relaxed = dalle.relaxed_codes

    def watched(logits: Tensor, tau: float, *rest: Any) -> Tensor:
        seen.append(tau)
        return relaxed(logits, tau, *rest)

    monkeypatch.setattr(dalle, "relaxed_codes", watched)
    settings: dict[str, Any] = {"tau_schedule": curve, "rate_schedule": curve, "tau_start": 2, "tau_end": 1, "rate_end": 0.2}
    spec = DalleSpec.model_validate({"image_size": 32, "num_iter": 6, "start": "noise", **settings})
    engine, trials = make_engine(spec, "starter", "cpu"), trials_of(spec)
    steps = [(step.learning_rate, step.state()) for step in engine.generate(trials, towards_red)]
    assert seen == pytest.approx([moved(spec.tau_schedule, 2, 1, i / 5) for i in range(6)])
    rates = [rate for rate, _ in steps]
    assert rates == pytest.approx([0.1 * moved(spec.tau_schedule, 1, 0.2, i / 5) for i in range(6)])
    resumed = list(engine.generate(trials, towards_red, steps[2][1]))
    assert [step.learning_rate for step in resumed] == rates[3:] and seen[6:] == seen[3:6]
    assert torch.equal(resumed[-1].state()["logits"], steps[-1][1]["logits"])


@pytest.mark.usefixtures("tiny_weights")
def test_a_constant_rate_is_the_default() -> None:
    spec = DalleSpec(image_size=32, num_iter=3, start="noise")
    assert {step.learning_rate for step in make_engine(spec, "starter", "cpu").generate(trials_of(spec), towards_red)} == {0.1}


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("side", [256, 512])
def test_it_draws_at_the_sizes_of_the_published_weights(side: int) -> None:
    spec = DalleSpec(image_size=side, num_iter=2)
    engine = make_engine(spec, "published", "cpu")
    pictures = [step.draw() for step in engine.generate(trials_of(spec, "published"), towards_red)]
    assert [picture.shape for picture in pictures] == [(1, 3, side, side)] * 2
    assert towards_red(pictures[1], 2).loss < towards_red(pictures[0], 1).loss


@pytest.mark.usefixtures("published")
def test_it_starts_from_a_picture_through_the_published_encoder(tmp_path: Path) -> None:
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)), 256)
    path = tmp_path / "a.png"
    path.write_bytes(png_bytes(to_bytes(picture)[0], "{}"))
    spec = DalleSpec.model_validate({"image_size": 256, "num_iter": 1, "init_image": str(path)})
    engine = make_engine(spec, "published", "cpu")
    assert isinstance(engine, DalleEngine)
    start = engine.begin(trials_of(spec, "published", (0, 1)), towards_red)["logits"]
    read = read_picture(ImageFile(path=str(path)), 256)[None]
    named = encode_logits(engine.dvae.encoder, read).log_softmax(1)
    assert start.shape == (2, 16, 32, 32) and (start - named.clamp(min=dalle.LEAST_LOGIT)).abs().max() < 6 * dalle.START_NOISE
    assert not torch.equal(start[0], start[1])  # each seed's own noise
    with torch.no_grad():
        wanted = decode(engine.dvae.decoder, named.div(spec.tau_end).softmax(1))
    assert (engine.draw({"logits": start}) - wanted).abs().mean() < 0.02


def test_it_starts_from_a_picture_with_the_shipped_weights(tmp_path: Path) -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    disc = ((x**2 + y**2) < 0.4).float()
    picture = torch.stack([torch.ones_like(disc), 1 - 0.8 * disc, 1 - 0.9 * disc])  # a red disc on white
    path = tmp_path / "disc.png"
    path.write_bytes(png_bytes(to_bytes(picture[None])[0], "{}"))
    spec = DalleSpec.model_validate({"num_iter": 1, "init_image": str(path)})
    engine = make_engine(spec, "starter", "cpu")
    assert isinstance(engine, DalleEngine)
    drawn = engine.draw(engine.begin(trials_of(spec), towards_red))[0]
    assert -10 * (drawn - picture).square().mean().log10() > 15
