"""Captions name what is drawn, and know what else they would fit."""

import random

import numpy as np

from dreamsweep.perceptors.vocabulary import Vocabulary
from dreamsweep.training.captions import HELD_OUT_TEMPLATE, TEMPLATES, Captions, name_weights
from tests.dreamsweep.training.made_art import NAMES, made_art

CAPTIONS = Captions(made_art())


def test_a_caption_of_keywords_knows_what_else_it_fits() -> None:
    rng = random.Random(0)
    drawn = [CAPTIONS.draw(NAMES.index("red disc"), rng) for _ in range(400)]
    of_a_keyword = 0
    for caption in drawn:
        words = set(caption.text.replace(",", "").split())
        assert words & {"red", "disc"}
        if "red disc" not in caption.text and not {"red", "disc"} <= words:
            of_a_keyword += 1
            fits = {i for i, name in enumerate(NAMES) if words & set(name.split()) & {"red", "disc"} and name != "red disc"}
            assert fits and caption.also == fits
        elif "red disc" in caption.text:
            assert not caption.also
    assert sum("red disc" in caption.text for caption in drawn) > 240 and of_a_keyword > 20


def test_every_caption_can_be_spelt() -> None:
    vocabulary = Vocabulary.of(CAPTIONS.every_text(), 24)
    rng = random.Random(1)
    for name in range(len(NAMES)):
        assert not any(vocabulary.unknown_words(CAPTIONS.draw(name, rng).text) for _ in range(20))
    assert not vocabulary.unknown_words(HELD_OUT_TEMPLATE.format("red disc"))


def test_the_sentence_that_marks_is_never_trained_on() -> None:
    assert HELD_OUT_TEMPLATE not in TEMPLATES


def test_people_and_symbols_are_drawn_half_as_often() -> None:
    assert np.allclose(name_weights((0, 1, 8, 5)), np.array([2, 1, 1, 2]) / 6)
