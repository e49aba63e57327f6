"""Texts with weights and parts, as other programs write them: `a red heart:2 | watercolor`, `a red heart::2 blur::-1`."""

import re
from typing import Any

from dreamsweep.errors import SweepFileError
from dreamsweep.text import quoted

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
BORDER = re.compile(rf"::\s*({NUMBER}(?![\w.]))?|(?<!<)\|(?!>)")
"""End of a part: `::` with its weight, or `|`, unless it belongs to a token such as `<|endoftext|>`."""
COLON_WEIGHT = re.compile(rf"(.*\S)\s*:\s*({NUMBER})", re.DOTALL)


def split_parts(words: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns a prompt's words with the parts of its text as phrases.

    The first part with a positive weight becomes the text, the others `also`, and those with a negative weight `negatives`. Raises
    SweepFileError for a weight of 0, for a prompt with negative weights alone, and for a weight in the text and in a column of its own.
    """
    text = words.get("text")
    if not isinstance(text, str):
        return words
    parts = _parts(text)
    if any(weight == 0 for _, weight in parts):
        raise SweepFileError(f"{where}: {quoted(text)} holds a part of weight 0; delete the part, or give it another weight.")
    wanted = [{"text": part, "weight": weight} for part, weight in parts if weight > 0]
    unwanted = [{"text": part, "weight": -weight} for part, weight in parts if weight < 0]
    if not wanted:
        raise SweepFileError(f"{where}: {quoted(text)} holds no part with a positive weight; write what to draw.")
    first, *others = wanted
    if "weight" in words and first["weight"] != 1:
        raise SweepFileError(f"{where}: {quoted(text)} holds a weight, and 'weight' is another; delete one of them.")
    phrases = {name: [*listed, *_listed(words.get(name))] for name, listed in (("also", others), ("negatives", unwanted))}
    return {**first, **words, "text": first["text"]} | {name: listed for name, listed in phrases.items() if listed}


def _parts(text: str) -> list[tuple[str, float]]:
    """Returns each part that is not blank, and its weight, 1 where it has none."""
    parts: list[tuple[str, float]] = []
    start = 0
    for border in [*BORDER.finditer(text), None]:
        part = text[start : border.start() if border else len(text)].strip()
        weight = border[1] if border else None
        if weight is None and (colon := COLON_WEIGHT.fullmatch(part)):
            part, weight = colon[1], colon[2]
        if part:
            parts.append((part, float(weight or 1)))
        start = border.end() if border else len(text)
    return parts


def _listed(phrases: Any) -> list[Any]:
    return list(phrases) if isinstance(phrases, list | tuple) else [phrases] if phrases else []
