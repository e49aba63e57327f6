"""unCLIP: the stock pipeline's pictures, and what it has not: several prior samples, walks, text diffs, ablations."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dreamsweep import weights as published
from dreamsweep.compute.graphs import Count
from dreamsweep.compute.model_folders import quiet
from dreamsweep.compute.precision import computing_in
from dreamsweep.compute.randomness import generator
from dreamsweep.engines import make_engine, weights_used
from dreamsweep.engines.frames import passed, slerp
from dreamsweep.engines.protocol import Step
from dreamsweep.engines.unclip import UnclipEngine
from dreamsweep.errors import WeightsError
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.protocol import Guidance
from dreamsweep.models.unclip import Unclip, load_unclip
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import ImageFile, Prompt, Trial, UnclipSpec

TOLERANCE = 2 / 255
pytestmark = pytest.mark.usefixtures("tiny_weights")


def spec(**changes: Any) -> UnclipSpec:
    few = {"num_iter": 3, "prior_steps": 2, "steps": 2, "upsample_steps": 2, "frames_at_once": 2}
    return UnclipSpec.model_validate({**few, **changes})


def trials_of(spec: UnclipSpec, seeds: tuple[int, ...] = (0,), **prompt: Any) -> list[Trial]:
    wanted_prompt = Prompt.model_validate({"text": "a red heart", **prompt})
    perceptors: dict[str, Any] = {"guide": "starter-guide", "weights": "starter"}
    return [Trial(prompt=wanted_prompt, engine=spec, seed=seed, **perceptors) for seed in seeds]


def blind(pictures: torch.Tensor, iteration: Count) -> Guidance:
    return Guidance(pictures.mean((1, 2, 3)), pictures.mean((1, 2, 3)))


def steps_of(trials: list[Trial], **options: Any) -> list[Step]:
    return list(make_engine(trials[0].engine, "starter", "cpu").generate(trials, options.pop("guide", blind), **options))


def pictures_of(trials: list[Trial], **options: Any) -> torch.Tensor:
    return torch.stack([step.draw() for step in steps_of(trials, **options)])


@pytest.fixture
def model() -> Unclip:
    return load_unclip("starter", "", "cpu")


@pytest.fixture
def red(tmp_path: Path) -> ImageFile:
    Image.new("RGB", (20, 20), (250, 10, 10)).save(tmp_path / "red.png")
    return ImageFile(path=str(tmp_path / "red.png"))


@pytest.fixture
def blue(tmp_path: Path) -> ImageFile:
    Image.new("RGB", (20, 20), (10, 10, 250)).save(tmp_path / "blue.png")
    return ImageFile(path=str(tmp_path / "blue.png"))


def test_a_sample_is_the_stock_pipeline_s_own(model: Unclip) -> None:
    ours = pictures_of(trials_of(spec(prior_samples=1, prior_scale=4, guidance_scale=8)))[1, 0]
    with quiet():
        stock = model.pipeline(
            "a red heart", generator=generator(0, "unclip", 2), prior_num_inference_steps=2, decoder_num_inference_steps=2,
            super_res_num_inference_steps=2, output_type="np",
        ).images  # fmt: skip
    assert (ours - torch.from_numpy(stock[0]).permute(2, 0, 1)).abs().max() < 1e-4


def test_samples_differ_and_the_seed_decides() -> None:
    first, again, other = (pictures_of(trials_of(spec(), (seed,))) for seed in (1, 1, 2))
    assert first.shape == (3, 1, 3, 16, 16) and first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, again) and (first - other).abs().mean() > 0.01
    assert (first[0] - first[1]).abs().mean() > 0.01


def test_alone_in_a_batch_and_however_many_at_once() -> None:
    batch = pictures_of(trials_of(spec(), (4, 5, 6)))
    alone, by_one = pictures_of(trials_of(spec(), (5,))), pictures_of(trials_of(spec(frames_at_once=1), (5,)))
    assert (batch[:, 1] - alone[:, 0]).abs().max() <= TOLERANCE
    assert (by_one - alone).abs().max() <= TOLERANCE


def test_it_goes_on_from_any_sample() -> None:
    steps = steps_of(trials_of(spec(), (0, 1)))
    resumed = steps_of(trials_of(spec(), (0, 1)), state=steps[0].state())
    assert [step.iteration for step in resumed] == [2, 3]
    for before, after in zip(steps[1:], resumed, strict=True):
        assert torch.equal(before.draw(), after.draw())


def test_of_several_prior_samples_the_one_nearest_to_the_text_is_kept(model: Unclip) -> None:
    engine = UnclipEngine(spec(prior_samples=4), model)
    caption = model.read(["a red heart"])
    rng = generator(0, "x")
    drawn = torch.cat([model.imagine(caption, [rng], spec(prior_samples=1)) for _ in range(4)])
    kept = engine._sampled(["a red heart"], [generator(0, "x")])
    near = torch.nn.functional.cosine_similarity(drawn, caption.embedding)
    assert torch.allclose(kept[0], drawn[near.argmax()], atol=1e-5)


def test_the_ablations_differ() -> None:
    by_prior, by_text, by_caption = (pictures_of(trials_of(spec(conditioning=c))) for c in ("prior", "text", "caption"))
    assert not torch.allclose(by_prior, by_text) and not torch.allclose(by_text, by_caption)


def test_a_text_in_the_prior_s_place_is_as_long_as_a_picture(model: Unclip) -> None:
    (embedding,) = UnclipEngine(spec(conditioning="text"), model)._sampled(["a red heart"], [generator(0, "x")])
    (own,) = model.read(["a red heart"]).embedding
    assert torch.nn.functional.cosine_similarity(embedding, own, dim=0) > 0.9999
    assert float(embedding.norm()) == pytest.approx(4)  # sixteen numbers that vary by one about nought


def test_variations_are_of_the_picture_and_not_of_the_prompt(red: ImageFile, blue: ImageFile) -> None:
    of_red = pictures_of(trials_of(spec(init_image=red)))
    assert torch.equal(of_red, pictures_of(trials_of(spec(init_image=red), text="a green apple")))
    assert not torch.allclose(of_red, pictures_of(trials_of(spec(init_image=blue))))
    assert (of_red[0] - of_red[1]).abs().mean() > 0.01


def test_a_walk_between_pictures_shares_one_noise_and_ends_at_each(model: Unclip, red: ImageFile, blue: ImageFile) -> None:
    engine = UnclipEngine(spec(init_image=red, to_image=blue), model)
    (trial,) = trials_of(engine.spec)
    route = engine._route(trial)
    assert route is not None
    first, half, last = (slerp(*passed(frame, engine.spec, route)) for frame in (1, 2, 3))
    assert torch.allclose(first, route[0]) and torch.allclose(last, route[1])
    cosine = torch.nn.functional.cosine_similarity(half[None], route)
    assert cosine[0] == pytest.approx(float(cosine[1]), abs=1e-4)
    still = pictures_of(trials_of(spec(init_image=red, to_image=red)))
    assert (still[0] - still[2]).abs().max() <= TOLERANCE  # the same place, the same noise


def test_a_text_diff_moves_a_picture_from_one_caption_towards_another(model: Unclip, red: ImageFile) -> None:
    engine = UnclipEngine(spec(init_image=red, diff_angle=0.5), model)
    (trial,) = trials_of(engine.spec, to="a green apple")
    route = engine._route(trial)
    assert route is not None and route.shape[0] == 2
    along = engine._difference(trial)
    before, after = torch.nn.functional.cosine_similarity(route, along[None])
    assert after > before
    assert torch.allclose(route.norm(dim=1)[0], route.norm(dim=1)[1], rtol=1e-3)


def test_a_walk_between_captions() -> None:
    drawn = pictures_of(trials_of(spec(num_iter=4, conditioning="text"), to="a green apple"))
    assert drawn.shape[0] == 4 and not torch.allclose(drawn[0], drawn[-1])


def test_the_autoregressive_prior_draws_other_pictures_which_the_seed_decides() -> None:
    first, again, other = (pictures_of(trials_of(spec(prior="autoregressive"), (seed,))) for seed in (1, 1, 2))
    assert torch.equal(first, again) and (first - other).abs().mean() > 0.01
    assert not torch.allclose(first, pictures_of(trials_of(spec(), (1,))))
    batch = pictures_of(trials_of(spec(prior="autoregressive"), (0, 1, 2)))
    assert (batch[:, 1] - first[:, 0]).abs().max() <= TOLERANCE


@pytest.mark.parametrize("prior", ["diffusion", "autoregressive"])
def test_in_bfloat16_pictures_are_nearly_the_same(prior: str) -> None:
    trials = trials_of(spec(prior=prior, num_iter=1, prior_samples=1))
    exact = pictures_of(trials)
    with computing_in("bfloat16"):
        nearly = pictures_of(trials)
    assert nearly.dtype == torch.float32 and 0 < (exact - nearly).abs().mean() < 0.05


def test_of_several_autoregressive_samples_the_one_nearest_to_the_text_is_kept(model: Unclip) -> None:
    caption, near = model.read(["a red heart", "a green apple"]), []
    for samples in (1, 8):
        rngs = [generator(seed, "x") for seed in (0, 1)]
        drawn = model.imagine(caption, rngs, spec(prior="autoregressive", prior_samples=samples))
        near.append(torch.nn.functional.cosine_similarity(drawn, caption.embedding))
    assert (near[1] >= near[0]).all() and not torch.equal(*near)


def test_a_picture_with_few_of_its_components(model: Unclip, red: ImageFile) -> None:
    single, few, all_of_them, plain = (pictures_of(trials_of(spec(init_image=red, components=n))) for n in (1, 4, 16, None))
    assert (all_of_them - plain).abs().max() <= TOLERANCE
    assert not torch.allclose(single, few, atol=1e-3) and not torch.allclose(few, plain, atol=1e-3)


def test_more_components_than_there_are(red: ImageFile) -> None:
    with pytest.raises(WeightsError, match=r"components: 17 is more than its embeddings have; say 16 or less\.$"):
        pictures_of(trials_of(spec(init_image=red, components=17)))


def test_a_model_without_an_autoregressive_prior(tiny_weights: Path, tmp_path: Path, red: ImageFile) -> None:
    shutil.copytree(tiny_weights / "starter-unclip", tmp_path / "other", ignore=shutil.ignore_patterns("prior_autoregressive"))
    for changes, words in (({"prior": "autoregressive"}, "prior: autoregressive"), ({"components": 3, "init_image": red}, "components: 3")):
        trials = trials_of(spec(**changes))
        engine = UnclipEngine(spec(**changes), load_unclip("published", str(tmp_path / "other"), "cpu"))
        with pytest.raises(WeightsError, match=f"{words} needs an autoregressive prior, and there is no .*; leave it out, or set weights"):
            next(iter(engine.generate(trials, blind)))


def test_a_record_names_the_image_encoder_where_it_is_not_the_model_s_own(
    tiny_weights: Path, tmp_path: Path, red: ImageFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(weights_used(spec(init_image=red), "starter")) == ["starter-unclip"]
    assert list(weights_used(spec(start="thing"), "starter")) == ["starter-unclip", "starter-biggan"]
    shutil.copytree(tiny_weights / "starter-unclip", tmp_path / "other", ignore=shutil.ignore_patterns("image_encoder"))
    monkeypatch.setattr(published, "folder", {"karlo-image-encoder": tiny_weights / "starter-unclip"}.__getitem__)
    monkeypatch.setattr("dreamsweep.weights.fetch.digest", {"karlo-image-encoder": "abc"}.__getitem__)
    other = spec(model=str(tmp_path / "other"))
    assert list(weights_used(other, "published")) == [other.model]
    seen = weights_used(other.model_copy(update={"init_image": red}), "published")
    assert list(seen) == [other.model, "karlo-image-encoder"] and seen["karlo-image-encoder"] == "abc"


def test_the_guide_sees_for_a_decoder_that_was_trained_with_it(tiny_weights: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_weights / "starter-unclip", tmp_path / "other", ignore=shutil.ignore_patterns("image_encoder"))
    weight = torch.randn(16, 16)
    save_file({"weight": weight}, tmp_path / "other" / "image_projection.safetensors")
    model, guide = load_unclip("published", str(tmp_path / "other"), "cpu"), load_perceptor("starter-guide", "cpu")
    picture = torch.rand(1, 3, guide.resolution, guide.resolution)
    assert torch.allclose(model.embed_pictures(picture), guide.embed_pictures(picture) @ weight.T, atol=1e-4)
    assert model.image_encoder.sha256 == {"starter-guide": guide.sha256}


@pytest.fixture
def plainly_upsampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upsamplers of random values drown what they are given, and make a flip of a pixel out of what rounds otherwise in a batch."""
    monkeypatch.setattr(Unclip, "_upsample", lambda model, small, *_: small.repeat_interleave(2, 2).repeat_interleave(2, 3) / 2 + 0.5)


@pytest.mark.usefixtures("plainly_upsampled")
@pytest.mark.parametrize("to", [(), ("a green apple",), ("a dog", "a cow")])
def test_from_things_samples_and_walks_are_the_same_alone_in_a_batch_and_after_a_resume(to: tuple[str, ...]) -> None:
    some = spec(start="thing", init_strength=0.5, steps=4, num_iter=4)
    trials = [*trials_of(some, (0, 5), to=to), *trials_of(some, (1,), text="a cat", to=("a horse",))]
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    steps = steps_of(trials, guide=guide)
    together = torch.stack([step.draw() for step in steps])
    assert together.shape[:2] == (4, 3) and torch.isfinite(together).all()
    alone = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials[1:2])
    assert (pictures_of(trials[1:2], guide=alone)[:, 0] - together[:, 1]).abs().max() <= TOLERANCE
    (resumed,) = steps_of(trials, guide=guide, state=steps[2].state())
    assert torch.equal(resumed.draw(), together[3])


@pytest.mark.usefixtures("plainly_upsampled")
def test_with_less_noise_samples_of_a_thing_are_more_alike() -> None:
    apart = []
    for strength in (0.1, 1.0):
        trials = trials_of(spec(start="thing", init_strength=strength, steps=20, num_iter=2))
        first, second = pictures_of(trials, guide=make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials))
        apart.append((first - second).abs().mean())
    assert apart[0] < 0.7 * apart[1]
