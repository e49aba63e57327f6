"""Search words, read as the review page reads them (review/page/search.js): a test holds the two together.

Words anywhere, "words in quotes" together, numbers whole, -word not, a|b either; and settings by the names that a sweep file has for them:
seed:3, learning_rate=15, judge>0.4.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from dreamsweep.report.labels import named_settings

FIELDS = ("seed", "engine", "prompt", "status", "judge", "guide", "rank", "z_score")
"""Fields of a trial by which people search as by settings."""
CONDITION = re.compile(r"([a-z_][\w.]*)(>=|<=|[:=><])(.+)", re.ASCII | re.DOTALL)
WORD = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
COMPARE: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Searched:
    """Trial as a search sees it."""

    id: str
    words: str
    """Everything that plain words are looked for in, in small letters."""
    values: Mapping[str, Any]
    """Fields and settings by their names."""


Condition = Callable[[Searched], bool]


@dataclass(frozen=True)
class Vocabulary:
    """Names and values of the settings that trials have; a search reads its words by them."""

    names: Set[str]
    values: Set[str]
    """Whole values in small letters, such as `sgd 15`, whose words belong together."""

    @classmethod
    def of(cls, settings: Iterable[Mapping[str, str]]) -> "Vocabulary":
        """Collects the vocabulary of several combinations of settings."""
        every = list(settings)
        names = {*FIELDS, *(name for combination in every for name in combination)}
        return cls(names, {value.lower() for combination in every for value in combination.values()})


def searched(row: Mapping[str, Any]) -> Searched:
    """Returns a row of `RANKED_TRIALS` as a search sees it."""
    settings = named_settings(row)
    texts = " · ".join(f"{name} {value}" for name, value in settings.items())
    parts = (row["prompt"], *(row["prompts_to"] or ()), row["engine"], f"seed {row['seed']}", texts, row["status"])
    scores = {"judge": row["judge_best"], "guide": row["guide_best"], "rank": row["rank"], "z_score": row["z_score"]}
    fields = {name: row[name] for name in ("seed", "engine", "prompt", "status")} | scores
    return Searched(row["trial_id"], " · ".join(parts).lower(), {**settings, **fields})


def conditions(text: str, vocabulary: Vocabulary) -> list[Condition]:
    """Returns what a trial must match, all of it."""
    words = [(bool(match[1]), match[3] if match[2] is None else match[2], match[2] is not None) for match in WORD.finditer(text.lower())]
    listed, number = list[Condition](), 0
    while number < len(words):
        negated, word, quoted = words[number]
        following = words[number + 1] if number + 1 < len(words) else None
        follower = following[1] if following and not following[0] else ""
        number += 1
        if not word:
            continue
        condition, taken = _condition(word, quoted, follower, vocabulary)
        number += taken
        listed.append(_negation(condition) if negated else condition)
    return listed


def _condition(word: str, quoted: bool, follower: str, vocabulary: Vocabulary) -> tuple[Condition, int]:
    """Returns the condition of one word, and how many of the following words belong to it."""
    match = None if quoted else CONDITION.fullmatch(word)
    if match and (match[1] in vocabulary.names or match[2] in COMPARE):
        name, sign, wanted = match.groups()
        if sign in COMPARE:
            return _comparison(name, COMPARE[sign], _number(wanted)), 0
        return _either([_equality(name, value) for value in wanted.split("|")]), 0
    if not quoted and word in vocabulary.names and follower:
        return _equality(word, follower), 1
    if not quoted and follower and f"{word} {follower}" in vocabulary.values:
        return _either([_holding(part) for part in f"{word} {follower}".split("|") if part]), 1
    return _either([_holding(part) for part in ([word] if quoted else word.split("|")) if part]), 0


def _holding(word: str) -> Condition:
    ends_in_number = word[-1:].isdigit() and word[-1:].isascii()
    start = r"(?<![\w.])" if ends_in_number or " " in word else ""
    pattern = re.compile(start + re.escape(word) + (r"(?![\d.]*\d)" if ends_in_number else ""), re.ASCII)
    return lambda trial: bool(pattern.search(trial.words)) or (len(word) > 3 and trial.id.startswith(word))


def _comparison(name: str, holds: Callable[[float, float], bool], wanted: float) -> Condition:
    def compared(trial: Searched) -> bool:
        value = trial.values.get(name)
        return value not in (None, "") and holds(_number(value), wanted)

    return compared


def _equality(name: str, wanted: str) -> Condition:
    def equal(trial: Searched) -> bool:
        value = trial.values.get(name)
        return value is not None and (str(value).lower() == wanted or _number(value) == _number(wanted))

    return equal


def _either(choices: list[Condition]) -> Condition:
    return lambda trial: any(matches(trial) for matches in choices)


def _negation(condition: Condition) -> Condition:
    return lambda trial: not condition(trial)


def _number(value: Any) -> float:
    """Returns a value as a number; NaN, which equals nothing, where it is none."""
    try:
        return float(value)
    except ValueError:
        return math.nan
