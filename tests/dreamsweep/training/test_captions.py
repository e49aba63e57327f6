"""Captions name what is drawn, and know what else they would fit."""

import random
from dataclasses import replace

import numpy as np

from dreamsweep.perceptors.vocabulary import Vocabulary
from dreamsweep.training.captions import HELD_OUT_TEMPLATE, TEMPLATES, Captions, may_paint, name_weights
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


def test_a_painted_drawing_is_captioned_with_its_colour() -> None:
    art = replace(made_art(("red disc", "blue ring")), names=("big disc", "small ring"), keywords=(("big", "disc"), ("small", "ring")))
    captions, rng = Captions(art), random.Random(0)
    paint = next(paint for paint in ("purple", "yellow", "pink", "orange") if all(may_paint(word, paint) for word in ("big", "disc")))
    drawn = [captions.draw_painted(0, paint, rng).text for _ in range(200)]
    assert all(f"{paint} big" in text or f"{paint} disc" in text for text in drawn)
    assert 100 < sum(f"{paint} big disc" in text for text in drawn) < 200, "some hold a keyword alone"


def test_a_quarter_of_colours_and_words_is_held_out_and_names_with_colours_are_not_painted() -> None:
    paints, words = ("red", "orange", "yellow", "green", "blue", "purple", "pink"), [f"word{number}" for number in range(400)]
    allowed = sum(may_paint(word, paint) for word in words for paint in paints) / (len(words) * len(paints))
    assert 0.72 < allowed < 0.78
    word, paint = next((word, paint) for word in words for paint in paints if not may_paint(word, paint))
    assert not may_paint(f"big {word}", paint), "nor in a longer name"
    assert not may_paint("red heart", "blue") and not may_paint("black bird", "pink")
