"""Captions for the emoji art: names in sentences, names with keywords, and keywords alone."""

import hashlib
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamsweep.training.art import Art
from dreamsweep.training.augment import PAINTS

TEMPLATES = (
    "{}", "a {}", "the {}", "{} emoji", "a picture of {}", "a picture of a {}", "a painting of a {}", "a drawing of a {}",
    "an icon of a {}", "an illustration of {}", "a photo of a {}", "a simple drawing of {}", "one {}, on a white background",
    "a colorful {}", "a cartoon {}", "{} in flat colors", "a big {}", "a small {}", "{}, digital art", "an image of the {}",
)  # fmt: skip
HELD_OUT_TEMPLATE = "a simple illustration of the {}"
"""Never trained on, though each of its words is."""


@dataclass(frozen=True)
class Caption:
    """A text, and the names that it would fit as well (indices into the art's names)."""

    text: str
    also: frozenset[int] = frozenset()


class Captions:
    """Draws captions for names; knows which other names a keyword would fit."""

    def __init__(self, art: Art) -> None:
        self.names = art.names
        self.keywords = [tuple(k for k in words if k != name) for name, words in zip(art.names, art.keywords, strict=True)]
        self.with_word: dict[str, frozenset[int]] = {}
        for i, (name, words) in enumerate(zip(art.names, self.keywords, strict=True)):
            for word in {name, *words, *name.split()}:
                self.with_word[word] = self.with_word.get(word, frozenset()) | {i}

    def every_text(self) -> list[str]:
        """Returns texts that together hold every word a caption may hold."""
        return [*TEMPLATES, *self.names, *(word for words in self.keywords for word in words), HELD_OUT_TEMPLATE]

    def draw_painted(self, name: int, paint: str, rng: random.Random) -> Caption:
        """Returns a caption for a drawing in another colour: its name, or in a fifth of all cases a keyword, with the colour before it."""
        words = [word for word in self.keywords[name] if may_paint(word, paint)]
        subject = rng.choice(words) if words and rng.random() < 0.2 else self.names[name]
        return Caption(rng.choice(TEMPLATES).format(f"{paint} {subject}"))

    def draw(self, name: int, rng: random.Random) -> Caption:
        """Returns one caption for a name: 60 % the name, 20 % name and keywords, 20 % keywords alone."""
        words = self.keywords[name]
        kind = rng.random()
        if kind < 0.6 or not words:
            return Caption(rng.choice(TEMPLATES).format(self.names[name]))
        some = rng.sample(words, min(len(words), rng.choice((1, 2, 3))))
        if kind < 0.8:
            return Caption(f"{self.names[name]}, {', '.join(some)}")
        fits = frozenset.intersection(*(self.with_word[w] for w in some))
        return Caption(rng.choice(TEMPLATES).format(" ".join(some)), fits - {name})


def may_paint(name: str, paint: str) -> bool:
    """Whether a thing may be trained on in another colour: not where its name has a colour, and never a quarter of colours and words.

    That quarter, by hash, is for tests: where "purple candle" is held out, no caption of a painted drawing has both words.
    """
    words = set(name.replace("-", " ").split())
    if words & {*PAINTS, "black", "white", "brown"}:
        return False
    return all(hashlib.sha256(f"{paint} {word}".encode()).digest()[0] >= 64 for word in words)


def name_weights(groups: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns how often each name is drawn: people and symbols half as often as things (they are hard to tell apart)."""
    weights = np.array([0.5 if group in (1, 8) else 1.0 for group in groups])
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares
