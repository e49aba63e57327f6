"""A diffusion with a guide: what the guide wants comes out, and without one it is the stock pipeline's own picture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import png_bytes, to_bytes
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines import make_engine
from dreamsweep.engines.guided_diffusion import GuidedDiffusionEngine
from dreamsweep.engines.protocol import Step
from dreamsweep.engines.starts import make_thing_starts
from dreamsweep.guidance.guides import ClipGuide, make_guide
from dreamsweep.guidance.protocol import Chooser, Guidance, Guide
from dreamsweep.models.stable_diffusion import load_stable_diffusion
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import GuidedDiffusionSpec, ImageFile, Prompt, Trial

pytestmark = pytest.mark.usefixtures("tiny_weights")


def trials_of(spec: GuidedDiffusionSpec, seeds: tuple[int, ...] = (0,), prompt: str = "a red heart") -> list[Trial]:
    perceptors: dict[str, Any] = {"guide": "starter-guide", "weights": "starter"}
    return [Trial(prompt=Prompt(text=prompt), engine=spec, seed=seed, **perceptors) for seed in seeds]


def of_starter_guide(trials: list[Trial]) -> Guide:
    return make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)


def redness(pictures: torch.Tensor, iteration: Count) -> Guidance:
    loss = (pictures - torch.tensor([0.9, 0.1, 0.1])[:, None, None]).pow(2).mean((1, 2, 3))
    return Guidance(loss, 1 - loss.detach())


def steps_of(spec: GuidedDiffusionSpec, seeds: tuple[int, ...] = (0,), guide: Any = redness) -> list[Step]:
    return list(make_engine(spec, "starter", "cpu").generate(trials_of(spec, seeds), guide))


def test_the_guide_is_followed_the_more_the_stronger() -> None:
    losses = [steps_of(GuidedDiffusionSpec(num_iter=12, guide_strength=strength))[-1].loss for strength in (0, 0.5, 2.0)]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_without_a_guide_it_is_the_stock_pipeline_s_picture(scale: float) -> None:
    spec = GuidedDiffusionSpec(num_iter=6, guide_strength=0, guidance_scale=scale)
    ours = steps_of(spec)[-1].draw()
    model = load_stable_diffusion("starter", spec.model, "cpu")
    (trial,) = trials_of(spec)
    stock = model.denoise(
        [model.condition(trial.prompt.text, trial.prompt)], [model.against(trial.prompt)],
        Draws([0]).normal("noise", *model.latent_shape(16)), [torch.Generator()],
        steps=6, guidance_scale=scale, scheduler="ddim",
    )  # fmt: skip
    assert (ours - stock).abs().max() < 1e-4


def test_noise_of_its_own_in_every_step_is_the_seed_s() -> None:
    spec = GuidedDiffusionSpec(num_iter=5, eta=1.0, guide_strength=0)
    first, again, other = (steps_of(spec, (seed,))[-1].draw() for seed in (1, 1, 2))
    assert torch.equal(first, again) and (first - other).abs().mean() > 0.01
    plain = steps_of(spec.model_copy(update={"eta": 0.0}), (1,))[-1].draw()
    assert not torch.equal(first, plain)


def test_an_initial_picture_is_given_up_to_noise_as_far_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 40), (255, 0, 0)).save(path)
    model = load_stable_diffusion("starter", "", "cpu")
    clean = model.encode(torch.tensor([1.0, 0, 0])[:, None, None].expand(1, 3, 16, 16))
    nearness = []
    for strength in (0.1, 0.5, 0.9):
        spec = GuidedDiffusionSpec(num_iter=4, guide_strength=0, init_image=ImageFile(path=str(path)), init_strength=strength)
        engine = make_engine(spec, "starter", "cpu")
        assert isinstance(engine, GuidedDiffusionEngine) and len(engine.times) == 4
        assert engine.times[0] <= 1000 * strength and engine.times == sorted(engine.times, reverse=True)
        start = engine.start(trials_of(spec), redness)
        nearness.append(float(torch.nn.functional.cosine_similarity(start.flatten(1), clean.flatten(1))))
        assert len(steps_of(spec)) == 4
    assert nearness[0] > nearness[1] > nearness[2]


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_an_iteration_that_can_be_recorded_draws_the_same(eta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = GuidedDiffusionSpec(num_iter=4, cutouts=2, eta=eta, guidance_scale=3)
    pictures = []
    for recorded in ("0", "1"):
        monkeypatch.setenv("DREAMSWEEP_GRAPHS", recorded)
        pictures.append(steps_of(spec, (0, 1), of_starter_guide(trials_of(spec, (0, 1))))[-1].draw())
    assert (pictures[0] - pictures[1]).abs().max() < 1e-4


def test_a_real_guide_reaches_the_latents() -> None:
    spec = GuidedDiffusionSpec(num_iter=3, cutouts=2)
    trials = trials_of(spec, (0, 1))
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    assert isinstance(guide, ClipGuide)
    engine = make_engine(spec, "starter", "cpu")
    assert isinstance(engine, GuidedDiffusionEngine)
    steered = list(engine.generate(trials, guide))[-1].draw()
    free = steps_of(spec.model_copy(update={"guide_strength": 0.0}), (0, 1))[-1].draw()
    assert torch.isfinite(steered).all() and not torch.equal(steered, free)


def test_it_starts_from_the_picture_of_a_thing_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"num_iter": 4, "guide_strength": 0.1, "init_strength": 0.5}
    spec = GuidedDiffusionSpec(start="thing", **settings)
    trials = trials_of(spec, (0, 3, 4))
    guide = of_starter_guide(trials)
    steps = list(make_engine(spec, "starter", "cpu").generate(trials, guide))
    things = make_thing_starts("thing", "starter", "cpu")
    assert things is not None and isinstance(guide, Chooser)
    (tmp_path / "thing.png").write_bytes(png_bytes(to_bytes(things(16, trials, guide))[0], "{}"))
    from_file = trials_of(GuidedDiffusionSpec(init_image=ImageFile(path=str(tmp_path / "thing.png")), **settings))
    (*_, same) = make_engine(from_file[0].engine, "starter", "cpu").generate(from_file, of_starter_guide(from_file))
    assert (same.draw()[0] - steps[-1].draw()[0]).abs().max() < 0.02, "but for what a PNG rounds"
    alone = of_starter_guide(trials[1:2])
    (*_, last) = make_engine(spec, "starter", "cpu").generate(trials[1:2], alone)
    assert (last.draw()[0] - steps[-1].draw()[1]).abs().max() < 2 / 255
    (*_, resumed) = make_engine(spec, "starter", "cpu").generate(trials, guide, steps[1].state())
    assert torch.equal(resumed.draw(), steps[-1].draw())
