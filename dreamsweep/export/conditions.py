"""Search words, as people type them on the review page and in `dreamsweep export --search`.

Words anywhere, "words in quotes" together, numbers whole, -word not, a|b either; and settings by the names that a sweep file has for them:
seed:3, learning_rate=15, prompt:"a heart"|"a rose", judge>0.4. like:ID finds the trials that differ from that one by seed alone.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from dreamsweep.report.catalogue import Catalogue, Mask, number_of

CONDITION = re.compile(r"([a-z_][\w.]*)(>=|<=|[:=><])(.+)", re.ASCII | re.DOTALL)
WORD = re.compile(r'(-?)(?:"([^"]*)"?|([^\s":=]+[:=](?:"[^"]*"|[^\s"|]+)(?:\|(?:"[^"]*"|[^\s"|]+))*(?!\S)|\S+))')
VALUE = re.compile(r'"([^"]*)"|([^|]+)')
COMPARE: dict[str, Callable[[Any, Any], Any]] = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
ID = re.compile(r"[0-9a-f]{4,16}")


@dataclass(frozen=True)
class Found:
    """Answer to a search."""

    mask: Mask
    """Whether each row of the catalogue matches."""
    unknown: list[str]
    """A sentence on each word that was not understood."""


def search(catalogue: Catalogue, text: str) -> Found:
    """Returns which trials match all of a text's words."""
    words = [(bool(match[1]), match[3] if match[2] is None else match[2], match[2] is not None) for match in WORD.finditer(text.lower())]
    reader = _Reader(catalogue)
    mask, number = np.ones(len(catalogue), bool), 0
    while number < len(words):
        negated, word, quoted = words[number]
        following = words[number + 1] if number + 1 < len(words) else None
        follower = following[1] if following and not following[0] else ""
        number += 1
        if not word:
            continue
        matches, taken = reader.matches(word, quoted, follower)
        number += taken
        mask &= ~matches if negated else matches
    return Found(mask, reader.unknown)


class _Reader:
    """Reads words by the names and values that the trials' settings have, and collects what it does not understand."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue, self.unknown = catalogue, list[str]()
        self.names = {name.lower(): name for name in catalogue.names}
        judges = "|".join(re.escape(name.lower()) for name in sorted(catalogue.scores, key=len, reverse=True))
        self.of_judge = re.compile(rf"({judges})(>=|<=|[:=><])(.+)", re.DOTALL)
        """Condition on a score; judges may have other letters in their names than settings: `labels:animals>0.5`."""
        self.values = {value.lower() for kind in catalogue.kinds for value in kind.settings.values()}
        """Whole values in small letters, such as `sgd 15`, whose words belong together."""

    def matches(self, word: str, quoted: bool, follower: str) -> tuple[Mask, int]:
        """Returns which rows match one word, and how many of the following words belong to it."""
        match = None if quoted else self.of_judge.fullmatch(word) or CONDITION.fullmatch(word)
        if match and match[1] == "like" and match[2] in ":=":
            return self._alike(match[3]), 0
        if match and (match[1] in self.names or match[2] in COMPARE):
            name, sign, wanted = match.groups()
            if name not in self.names:
                self.unknown.append(f"Nothing here is called “{name}”; try {', '.join([*self.names.values()][:8])}.")
                return self._nothing(), 0
            if sign in COMPARE:
                return self._comparison(self.names[name], sign, wanted), 0
            values = [value[1] or value[2] or "" for value in VALUE.finditer(wanted)]
            return self._either([self._equality(self.names[name], value) for value in values]), 0
        if not quoted and word in self.names and follower:
            return self._equality(self.names[word], follower), 1
        if match:
            self.unknown.append(f"No setting is called “{match[1]}”; so it is looked for as a word.")
        if not quoted and follower and f"{word} {follower}" in self.values:
            return self._either([self._holding(part) for part in f"{word} {follower}".split("|") if part]), 1
        return self._either([self._holding(part) for part in ([word] if quoted else word.split("|")) if part]), 0

    def _holding(self, word: str) -> Mask:
        """Returns the rows that hold a word in their prompt, engine, seed, settings or status, or whose id starts with it."""
        catalogue = self.catalogue
        ends_in_number = word[-1:].isdigit() and word[-1:].isascii()
        start = r"(?<![\w.])" if ends_in_number or " " in word else ""
        holds = re.compile(start + re.escape(word) + (r"(?![\d.]*\d)" if ends_in_number else ""), re.ASCII).search
        prompts = [bool(holds(" · ".join((prompt.text, *prompt.to)).lower())) for prompt in catalogue.prompts]
        kinds = [bool(holds(" · ".join([kind.engine, *map(" ".join, kind.settings.items())]).lower())) for kind in catalogue.kinds]
        mask: Mask = np.array(prompts, bool)[catalogue.prompt] | np.array(kinds, bool)[catalogue.kind]
        mask |= catalogue.column("status").where(lambda status: bool(holds(status)))
        if "seed".startswith(word.partition(" ")[0]) or word.isdecimal():
            mask |= catalogue.column("seed").where(lambda seed: bool(holds(f"seed {seed}")))
        return mask | self._with_id(word)

    def _alike(self, id: str) -> Mask:
        numbers = self.catalogue.but_for_seed
        mask: Mask = np.isin(numbers, numbers[self._with_id(id)])
        return mask

    def _with_id(self, start: str) -> Mask:
        """Returns the rows of trials whose ids start so."""
        first, last = (int(start.ljust(16, end), 16) for end in "0f") if ID.fullmatch(start) else (1, 0)
        mask: Mask = (self.catalogue.id >= np.uint64(first)) & (self.catalogue.id <= np.uint64(last))
        return mask

    def _comparison(self, name: str, sign: str, wanted: str) -> Mask:
        number = number_of(wanted)
        if np.isnan(number):
            self.unknown.append(f"“{wanted}” is no number to compare {name} with.")
        mask: Mask = COMPARE[sign](self.catalogue.numbers(name), number)
        return mask

    def _equality(self, name: str, wanted: str) -> Mask:
        number = number_of(wanted)
        if name in self.catalogue.scores:
            mask: Mask = self.catalogue.numbers(name) == number
            return mask
        text = _without_quotes(wanted)
        return self.catalogue.column(name).where(
            lambda value: value is not None and (_without_quotes(str(value).lower()) == text or number_of(value) == number)
        )

    def _either(self, choices: list[Mask]) -> Mask:
        return reduce(operator.or_, choices, self._nothing())

    def _nothing(self) -> Mask:
        return np.zeros(len(self.catalogue), bool)


def _without_quotes(text: str) -> str:
    """Returns a text with single quotes for double ones, which no search can hold."""
    return text.replace('"', "'")
