"""What a prompt names in so many words: labels, things, and a thing's colour."""

import re
from collections.abc import Sequence

from dreamsweep.compute.colours import PAINTS

COLOURS = {name: name for name in PAINTS} | {"gray": "grey"}
"""The eleven basic colour terms of English (Berlin and Kay, 1969), each as it is called here."""
BEFORE = 3
"""How many words before a thing may be its colour: `a red double decker bus`."""
LINKS = frozenset([
    "a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "near", "of", "on", "or", "over", "the", "to", "under", "with",
    "without",
])  # fmt: skip
"""Words that part a thing from a colour before it: `a red hat on a cat` has no red cat."""


def labels_in(text: str, labels: Sequence[str]) -> tuple[int, ...]:
    """Returns which labels a text names, as whole words, singular or plural; a label within a longer one that it names does not count.

    `a pickup truck` names `pickup truck`, and not `truck`.
    """
    words = " ".join(_words(text))
    places: list[tuple[int, int, int]] = []
    for number, label in enumerate(labels):
        pattern = r"\b" + re.escape(" ".join(_words(label))) + r"(?:e?s)?\b"
        places += [(*match.span(), number) for match in re.finditer(pattern, words)]
    longest = [place for place in places if not any(_is_within(place, other) for other in places)]
    return tuple(sorted({number for _, _, number in longest}))


def things_in(text: str, names: Sequence[str]) -> tuple[int, ...]:
    """Returns which things a text names: those whose whole name it holds, and every thing of the same noun.

    `a brown cat` names `cat`, and `black cat` and `cat face` as well; `a red heart` names `red heart`, and `sparkling heart` as well. A
    colour in a thing's name may be another in the text: `a blue apple` names `red apple` and `green apple`.
    """
    colourless = [name.split(" ", 1)[1] if name.partition(" ")[0].casefold() in COLOURS else name for name in names]
    nouns = {_noun(names[at % len(names)]) for at in labels_in(text, [*names, *colourless])}
    return tuple(number for number, name in enumerate(names) if _noun(name) in nouns)


def colour_of(text: str, name: str) -> str | None:
    """Returns the colour that a text gives to a thing of this name, as `PAINTS` calls it: the nearest of the words before it.

    `a big blue cat` and `blue cats` have a blue `cat face`; `a cat with a blue hat` has none.
    """
    words, noun = _words(text), _noun(name)
    for at, word in enumerate(words):
        if word in (noun, f"{noun}s", f"{noun}es"):
            for before in words[max(0, at - BEFORE) : at][::-1]:
                if before in LINKS:
                    break
                if before in COLOURS:
                    return COLOURS[before]
    return None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _is_within(place: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return other[0] <= place[0] and place[1] <= other[1] and place[:2] != other[:2]


def _noun(name: str) -> str:
    """Returns the noun of a thing's name: its last word, but for `face`."""
    return name.casefold().removesuffix(" face").split(" ")[-1]
