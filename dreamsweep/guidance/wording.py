"""What a prompt names in so many words: labels, things, and a thing's colour."""

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import lru_cache

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
    words, of_words = _words(text), _by_words(tuple(labels))
    reach = max(map(len, of_words), default=0)
    named: dict[tuple[int, int], list[int]] = {}
    for start, end in _spans(len(words), reach):
        numbers = [number for last in _singulars(words[end - 1]) for number in of_words.get((*words[start : end - 1], last), ())]
        if numbers:
            named[start, end] = numbers
    return tuple(sorted({number for span, numbers in named.items() if not _is_within_another(span, named, reach) for number in numbers}))


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


@lru_cache(64)
def _by_words(labels: tuple[str, ...]) -> Mapping[tuple[str, ...], Sequence[int]]:
    """Returns the numbers of labels by their words: a prompt is looked up among thousands, and each loop over the judges asks again."""
    numbers = defaultdict[tuple[str, ...], list[int]](list)
    for number, label in enumerate(labels):
        numbers[tuple(_words(label))].append(number)
    return dict(numbers)


def _singulars(word: str) -> Iterator[str]:
    """Yields a word, and what it may be the plural of."""
    yield word
    yield from (word.removesuffix(ending) for ending in ("s", "es") if word.endswith(ending))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _spans(length: int, reach: int) -> Iterator[tuple[int, int]]:
    """Yields start and end of each run of up to `reach` words."""
    return ((start, end) for start in range(length) for end in range(start + 1, min(start + reach, length) + 1))


def _is_within_another(span: tuple[int, int], spans: Container[tuple[int, int]], reach: int) -> bool:
    """Returns whether a longer one of these spans, of `reach` words at most, holds this one."""
    start, end = span
    around = ((first, last) for first in range(end - reach, start + 1) for last in range(end, first + reach + 1))
    return any(other != span and other in spans for other in around)


def _noun(name: str) -> str:
    """Returns the noun of a thing's name: its last word, but for `face`."""
    return name.casefold().removesuffix(" face").split(" ")[-1]
