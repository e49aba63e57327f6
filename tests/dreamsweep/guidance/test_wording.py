"""What a prompt names in so many words."""

import pytest

from dreamsweep.guidance.wording import colour_of, labels_in, things_in
from dreamsweep.judges.label_lists import CIFAR_100

THINGS = ("black cat", "cat", "cat face", "heart on fire", "red apple", "red heart", "blue heart", "whale")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a cat", []),  # CIFAR-100 has none
        ("a Tiger, and two bears", ["bear", "tiger"]),
        ("a pickup truck", ["pickup truck"]),
        ("buses and a maple-tree", ["bus", "maple tree"]),
        ("a cattle-car", ["cattle"]),
        ("a carpet", []),  # not a car, not a pet
        ("the sea, and a seal", ["sea", "seal"]),
    ],
)
def test_labels_that_a_prompt_names(text: str, named: list[str]) -> None:
    assert [CIFAR_100[at] for at in labels_in(text, CIFAR_100)] == named


@pytest.mark.parametrize(
    ("text", "things"),
    [
        ("a red apple", ("red apple",)),
        ("a brown cat", ("black cat", "cat", "cat face")),
        ("two whales, and a blue heart", ("whale", "blue heart", "red heart")),
        ("a blue apple", ("red apple",)),
        ("apples and hearts", ("red apple", "red heart", "blue heart")),
        ("a painting of the zeppelin", ()),
        ("a category", ()),
    ],
)
def test_a_prompt_names_things(text: str, things: tuple[str, ...]) -> None:
    assert {THINGS[at] for at in things_in(text, THINGS)} == set(things)


@pytest.mark.parametrize(
    ("text", "name", "colour"),
    [
        ("a blue cat", "cat face", "blue"),
        ("Gray Cats", "cat", "grey"),
        ("a red double decker bus", "bus", "red"),
        ("a cat with a blue hat", "cat", None),
        ("a cat with a blue hat", "hat", "blue"),
        ("a blue and white whale", "whale", "white"),
        ("blue is the cat", "cat", None),
        ("an orange", "orange", None),
        ("a green apple", "red apple", "green"),
        ("a blue kitten", "cat", None),  # the cat is not named
    ],
)
def test_a_prompt_gives_a_thing_a_colour(text: str, name: str, colour: str | None) -> None:
    assert colour_of(text, name) == colour


def test_a_label_without_a_word_is_named_by_nothing() -> None:
    assert labels_in("a red heart ♥", ["♥", "heart", ""]) == (1,)


def test_a_long_text_is_looked_through_word_by_word() -> None:
    text = " ".join(["a red heart and two pickup trucks"] * 3_000)
    assert labels_in(text, ["truck", "pickup truck", "rocket"]) == (1,)
