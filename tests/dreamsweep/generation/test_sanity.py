"""Measures of trained weights, on pictures and embeddings whose answer is known."""

import math

import pytest
import torch

from dreamsweep.generation.sanity import (
    OTHER_NAMES,
    THINGS,
    Recognition,
    decibels,
    fault_of,
    index_of,
    other_texts,
    ranks,
    recognised,
    recognises_things,
    shown_pictures,
)
from dreamsweep.perceptors import load_perceptor


def test_ranks_count_ties_against_a_picture_and_put_nan_last() -> None:
    texts = torch.eye(3)
    pictures = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.5, 0.1], [0.6, 0.0, 0.6]])
    assert ranks(texts, pictures).tolist() == [1, 2, 2]
    assert ranks(texts, torch.full((3, 3), math.nan)).tolist() == [3, 3, 3]
    assert ranks(texts, torch.ones(3, 3)).tolist() == [3, 3, 3]


@pytest.mark.parametrize(("right", "count", "enough"), [(6, 8, True), (5, 8, False), (2, 2, True), (1, 2, False)])
def test_three_quarters_are_enough(right: int, count: int, enough: bool) -> None:
    recognition = Recognition(right, count)
    assert recognition.enough is enough and str(recognition) == f"{right} of {count}"


def test_decibels() -> None:
    picture = torch.full((1, 3, 4, 4), 0.5)
    assert decibels(picture, picture + 0.1) == pytest.approx(20, abs=1e-3)


def test_blank_pictures_noise_and_nan_have_faults() -> None:
    slope = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert fault_of(slope) is None
    assert fault_of(torch.cat([slope, noise])) == "are noise"
    assert fault_of(torch.cat([slope, torch.full_like(slope, 0.7)])) == "are blank"
    assert fault_of(slope / 0) == "hold values that are no numbers"


def test_other_texts_share_no_word_with_the_prompts() -> None:
    texts = other_texts(["a red heart", "a rocket"])
    assert len(texts) >= OTHER_NAMES and len(set(texts)) == len(texts)
    words = {word for text in texts for word in text.lower().split()[1:]}
    assert not words & {"red", "heart", "rocket"} and {"umbrella", "basketball"} & words


def test_a_name_that_is_not_there_is_another_thing() -> None:
    assert index_of("rocket", ["sun", "rocket"]) == 1
    assert index_of("rocket", ["sun", "moon"]) == THINGS.index("rocket") % 2


@pytest.mark.parametrize("name", ["starter-guide", "starter-judge"])
def test_starters_name_all_the_pictures_and_know_them_among_a_hundred(name: str) -> None:
    perceptor, pictures = load_perceptor(name, "cpu"), shown_pictures("cpu")  # type: ignore[arg-type]
    texts = [f"a {thing}" for thing in THINGS]
    assert recognises_things(perceptor, pictures) == Recognition(8, 8)
    assert recognised(perceptor, pictures, texts) == Recognition(8, 8)
    assert recognised(perceptor, pictures.flip(0), texts).right <= 1
    assert recognises_things(perceptor, pictures.flip(0)) == Recognition(0, 8)
