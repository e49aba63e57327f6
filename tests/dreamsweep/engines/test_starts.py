"""Starts: a guide's choice among pictures and names, one of the nearest by seed, moved by seed."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamsweep.engines.starts import SYNONYMS, ShapeStarts, ThingStarts, choose, class_pictures, likeliest_classes, make_starts, placed
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.protocol import Chooser, Guidance
from dreamsweep.models.biggan import Biggan, load_biggan
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import Prompt, Trial

DALLE: dict[str, Any] = {"engine": "dalle", "num_iter": 1}


def trials_of(*prompts_and_seeds: tuple[str, int]) -> list[Trial]:
    return [
        Trial.model_validate({"prompt": text, "engine": DALLE, "seed": seed, "guide": "starter-guide", "weights": "starter"})
        for text, seed in prompts_and_seeds
    ]


class Weighs:
    """A guide for which pictures and names have losses that are given, the same for every trial."""

    def __init__(self, losses: Sequence[float], trials: int) -> None:
        self.losses = torch.tensor(losses)[:, None].expand(-1, trials)

    def __call__(self, pictures: Tensor, iteration: Any) -> Guidance:
        raise AssertionError

    def weigh(self, pictures: Tensor) -> Tensor:
        return self.losses[: len(pictures)]

    def weigh_names(self, names: Sequence[str], key: int = 0) -> Tensor:
        return self.losses[: len(names)].roll(key, 0)


def test_seed_0_takes_the_nearest_and_others_one_of_three() -> None:
    trials = trials_of(*(("a heart", seed) for seed in range(40)))
    chosen = choose(torch.tensor([4.0, 0.0, 3.0, 1.0, 2.0])[:, None].expand(-1, 40), trials, "shape").tolist()
    assert chosen[0] == 1 and set(chosen) == {1, 3, 4}


def test_with_a_margin_only_what_is_about_as_near_is_chosen() -> None:
    trials = trials_of(*(("a heart", seed) for seed in range(40)))
    losses = torch.tensor([-0.9, -0.9 + 0.9 * SYNONYMS, -0.9 + 1.5 * SYNONYMS])[:, None].expand(-1, 40)
    assert set(choose(losses, trials, "class", SYNONYMS).tolist()) == {0, 1}


def test_a_picture_is_moved_by_every_seed_but_0() -> None:
    pictures = torch.ones(1, 3, 32, 32)
    pictures[:, 1:, 8:16, 4:12] = 0
    trials = trials_of(("a heart", 0), ("a heart", 1), ("a heart", 2))
    still, first, second = placed(pictures.expand(3, -1, -1, -1), trials)
    assert torch.equal(still, pictures[0])
    assert not torch.allclose(first, still, atol=0.1) and not torch.allclose(first, second, atol=0.1)
    assert torch.equal(placed(pictures, trials[1:2])[0], first), "alone as in a batch"
    assert (first[1] < 0.5).sum() == pytest.approx(64, rel=0.5), "it is as large, within the zoom"


def test_shapes_are_chosen_by_their_pictures() -> None:
    shapes = torch.stack([torch.full((3, 8, 8), value) for value in (0.2, 0.4, 0.6)])
    pictures = ShapeStarts(shapes)(16, trials_of(("a heart", 0)), Weighs([2.0, 0.5, 1.0], 1))
    assert pictures.shape == (1, 3, 16, 16) and torch.allclose(pictures, torch.tensor(0.4))


@pytest.mark.usefixtures("tiny_weights")
def test_a_biggan_without_names_is_chosen_from_by_its_pictures() -> None:
    biggan = load_biggan("starter", 128, "cpu")
    nameless = Biggan(biggan.name, biggan.model, (), biggan.sha256, "cpu")
    trials = trials_of(("a heart", 0))
    by_picture = Weighs([1.0, 0.0, *[2.0] * (biggan.classes - 2)], 1)
    assert likeliest_classes(nameless, trials, by_picture).tolist() == [1]
    by_name = Weighs([1.0] * 5 + [0.0] + [1.0] * (biggan.classes - 6), 1)
    assert likeliest_classes(Biggan(biggan.name, biggan.model, ("x",) * biggan.classes, "", "cpu"), trials, by_name).tolist() == [5]


def test_things_are_chosen_by_name_with_the_shipped_weights() -> None:
    trials = trials_of(("a slice of pizza", 0), ("a green pencil", 0), ("a brown swan", 0), ("a rocket", 7))
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    biggan = load_biggan("starter", 128, "cpu")
    chosen = likeliest_classes(biggan, trials, guide)  # type: ignore[arg-type]
    assert [biggan.names[index] for index in chosen] == ["pizza", "pencil", "swan", "rocket"]
    pictures = ThingStarts(biggan)(64, trials, guide)  # type: ignore[arg-type]
    assert pictures.shape == (4, 3, 64, 64) and pictures.min() >= 0 and pictures.max() <= 1
    assert pictures[:, :, :4, :4].mean() > 0.9 > pictures.mean(), "a thing on white"


def test_a_thing_that_the_prompt_names_is_chosen_whatever_the_guide_thinks_nearer() -> None:
    named = {"a purple soap": "soap", "a green badger": "badger", "an orange goat": "goat", "a blue key": "key", "a green violin": "violin"}
    trials = trials_of(*((prompt, seed) for prompt in named for seed in (0, 5)))
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    biggan = load_biggan("starter", 128, "cpu")
    assert isinstance(guide, Chooser)
    chosen = [biggan.names[index] for index in likeliest_classes(biggan, trials, guide)]
    for (prompt, noun), pair in zip(named.items(), zip(chosen[::2], chosen[1::2], strict=True), strict=True):
        assert {name.split()[-1] for name in pair} == {noun}, prompt


def test_only_shapes_and_things_are_pictures_to_start_from() -> None:
    assert isinstance(make_starts("shape", "starter", "cpu"), ShapeStarts)
    assert isinstance(make_starts("thing", "starter", "cpu"), ThingStarts)
    assert make_starts("noise", "starter", "cpu") is None and make_starts("random", "starter", "cpu") is None


@pytest.mark.usefixtures("tiny_weights")
def test_a_walk_passes_a_thing_for_each_of_its_prompts() -> None:
    prompts = Prompt(text="a heart", to=("a cat", "a cow")), Prompt(text="a star")
    trials = [trial.model_copy(update={"prompt": prompt}) for trial, prompt in zip(trials_of(("x", 0), ("x", 0)), prompts, strict=True)]
    biggan = load_biggan("starter", 128, "cpu")
    named = Biggan(biggan.name, biggan.model, ("x",) * biggan.classes, "", "cpu")
    walk, still = ThingStarts(named).along(16, trials, Weighs([0.0, *[1.0] * (biggan.classes - 1)], 2))
    pictures = torch.cat([*class_pictures(named, range(3))])
    expected = torch.nn.functional.interpolate(pictures, size=(16, 16), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    torch.testing.assert_close(walk, expected)
    torch.testing.assert_close(still, expected[:1])
