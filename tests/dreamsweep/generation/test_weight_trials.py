"""Whole sets of weights: the shipped ones are sane, random ones of every kind are not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import dreamsweep
from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.generation import weight_trials
from dreamsweep.generation.weight_trials import STARTER_KINDS, TRIALS, Outcome, kind_of, try_weights
from dreamsweep.spec import InterpolationSpec, StrokesSpec
from dreamsweep.weights.starter import STARTER_NAMES
from tests.dreamsweep.weights.conftest import cache  # noqa: F401 - a fixture
from tests.dreamsweep.weights.vectors import write_vector


@pytest.fixture(autouse=True)
def _afresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    POOL.clear()
    yield
    POOL.clear()


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey pictures in place of those that an engine descends to, on which no verdict depends."""
    draw = weight_trials._Tried.draw

    def grey(self: Any, spec: Any, guide: Any = None, part: Any = (0.0, 1.0)) -> torch.Tensor:
        return draw(self, spec, guide, part) if spec.draws_frames else torch.full((2, 3, 8, 8), 0.5)

    monkeypatch.setattr(weight_trials._Tried, "draw", grey)


def random_starter(name: str, tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts random weights in the place of one set of starter weights; all others stay what they are."""
    shipped = Path(dreamsweep.__file__).parent / "starter" / "weights"
    folder.mkdir()
    for path in shipped.iterdir():
        source = tiny if path.stem == name else shipped
        (folder / path.name).symlink_to(source / path.name)
    hashes = {**json.loads((shipped / "weights.json").read_text()), name: json.loads((tiny / "weights.json").read_text())[name]}
    (folder / "weights.json").unlink()
    (folder / "weights.json").write_text(json.dumps(hashes))
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("_undrawn")
def test_starter_weights_are_sane() -> None:
    outcomes = {outcome.name: outcome for outcome in try_weights(list(STARTER_KINDS), "cpu")}
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == dict.fromkeys(STARTER_KINDS, "sane")
    assert outcomes["starter-guide"].reason == "it names 8 of 8 pictures of the starter BigGAN"
    assert outcomes["starter-auditor"].reason == "it names 5 of 8 pictures of the starter BigGAN"
    assert outcomes["starter-unclip"].reason == "starter-judge recognises 2 of 2 pictures among a hundred names"
    engines = {name: set(outcome.pictures) for name, outcome in outcomes.items()}
    assert engines["starter-diffusion"] == {"interpolation", "guided-diffusion"}
    assert engines["starter-biggan"] == {"classes", "big-sleep"} and engines["starter-dvae"] == {"rebuilt", "dalle"}


@pytest.mark.usefixtures("tiny_weights")
def test_both_prompts_are_drawn_and_progress_is_reported() -> None:
    shares: list[float] = []
    tried = weight_trials._Tried("starter-guide", "starter", "cpu", None, shares.append)
    drawn = tried.draw(StrokesSpec(canvas=32, num_paths=4, num_iter=4, cutouts=2), part=(0.5, 1.0))
    assert drawn.shape == (2, 3, 32, 32) and not torch.equal(drawn[0], drawn[1])
    assert shares == [0.625, 0.75, 0.875, 1.0]
    walk = tried.draw(InterpolationSpec(num_iter=2, steps=2))
    assert walk.shape == (2, 3, 16, 16) and shares[4:] == [0.5, 1.0]


@pytest.mark.usefixtures("_undrawn")
@pytest.mark.parametrize("name", STARTER_NAMES)
def test_random_starters_are_not_sane(name: str, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_starter(name, tiny_weights, tmp_path / "weights", monkeypatch)
    (outcome,) = try_weights([name], "cpu")
    assert outcome.verdict == "not sane"


@pytest.mark.parametrize("name", ["starter-diffusion", "starter-unclip"])
def test_random_diffusion_is_not_sane(name: str, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_starter(name, tiny_weights, tmp_path / "weights", monkeypatch)
    (outcome,) = try_weights([name], "cpu")
    assert outcome.verdict == "not sane" and outcome.pictures


@pytest.mark.usefixtures("_undrawn")
@pytest.mark.parametrize("name", ["ViT-B/32", "RN50", "dall-e"])
def test_random_published_weights_are_not_sane(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector(name, cache, monkeypatch)
    (outcome,) = try_weights([name], "cpu")
    assert outcome.verdict == "not sane" and "pictures of the starter BigGAN" in outcome.reason


@pytest.mark.usefixtures("_undrawn")
def test_without_a_published_clip_nothing_can_say_what_a_biggan_drew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("biggan-deep-128", cache, monkeypatch)
    smooth = torch.linspace(0, 1, 16).expand(4, 3, 16, 16)
    monkeypatch.setattr(weight_trials, "class_pictures", lambda *_: smooth)
    (outcome,) = try_weights(["biggan-deep-128"], "cpu")
    assert outcome.verdict == "unsure" and outcome.reason.startswith("no published CLIP in the cache is sane")
    monkeypatch.setattr(weight_trials, "class_pictures", lambda *_: smooth * 0)
    (outcome,) = try_weights(["biggan-deep-128"], "cpu")
    assert outcome.verdict == "not sane" and outcome.reason.startswith("its pictures are blank")


def test_a_sane_published_perceptor_judges_published_networks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    judges = {}

    def perceptor(tried: Any) -> Outcome:
        return Outcome(tried.name, "sane" if tried.name in ("ViT-B/32", "ViT-L/14", "starter-judge") else "not sane", "")

    def network(tried: Any) -> Outcome:
        judges[tried.name] = (tried.judge, tried.guide)
        return Outcome(tried.name, "sane", "")

    monkeypatch.setitem(TRIALS, "perceptor", perceptor)
    for kind in ("biggan", "dvae"):
        monkeypatch.setitem(TRIALS, kind, network)
    names = ["starter-dvae", "starter-judge", "dall-e", "RN50", "ViT-B/32", "ViT-L/14"]
    tried = [outcome.name for outcome in try_weights(names, "cpu")]
    assert tried == ["starter-judge", "RN50", "ViT-B/32", "ViT-L/14", "starter-dvae", "dall-e"]
    assert judges == {"starter-dvae": ("starter-judge", "starter-guide"), "dall-e": ("ViT-B/32", "ViT-B/32")}
    list(try_weights(["dall-e", "RN50"], "cpu"))
    assert judges["dall-e"] == (None, "starter-guide")


def test_weights_that_cannot_be_read_are_not_sane(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(tried: Any) -> Outcome:
        raise WeightsError("weights 'dall-e': a file is damaged; delete it.")

    monkeypatch.setitem(TRIALS, "dvae", damaged)
    assert list(try_weights(["dall-e"], "cpu")) == [Outcome("dall-e", "not sane", "weights 'dall-e': a file is damaged; delete it")]


def test_kinds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    names = ("ViT-L/14@336px", "dall-e", "biggan-deep-512", "karlo-image-encoder", "starter-unclip")
    assert [kind_of(name) for name in names] == ["perceptor", "dvae", "biggan", "image-encoder", "unclip"]
    for name, pipeline in (("stable-diffusion-xl", "StableDiffusionXLPipeline"), ("karlo", "UnCLIPPipeline")):
        (cache / name).mkdir(parents=True)
        (cache / name / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    assert kind_of("stable-diffusion-xl") == "stable-diffusion" and kind_of("karlo") == "unclip"
