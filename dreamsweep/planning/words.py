"""Words that may stand in each part of a sweep, and the one that another most likely stands for."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel

from dreamsweep.planning.document import Path
from dreamsweep.spec import Sweep
from dreamsweep.spec.registry import OneOf

SURE = 0.75
"""Likeness of two words above which nobody needs a list of all the others."""


def models_at(path: Path, content: Any) -> tuple[type[BaseModel], ...]:
    """Returns the specs whose words may stand in a part of a sweep."""
    models: tuple[type[BaseModel], ...] = (Sweep,)
    value = content
    for part in path:
        value = value[part]
        if isinstance(part, str):
            models = tuple(m for model in models if part in model.model_fields for m in _models_in(model.model_fields[part]))
        if isinstance(value, dict):
            named = tuple(m for m in models if "engine" in m.model_fields and m.model_fields["engine"].default == value.get("engine"))
            models = named or models
    return models


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """Returns the specs that a field's annotation names."""
    marks = [mark for mark in (*getattr(kind, "metadata", ()), *getattr(kind, "__metadata__", ())) if isinstance(mark, OneOf)]
    if marks:
        yield from marks[0].specs.values()
        return
    annotation = getattr(kind, "annotation", kind)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def words_at(path: Path, content: Any) -> list[str]:
    """Returns the words that may stand in a mapping of a sweep."""
    return sorted({word for model in models_at(path, content) for word in model.model_fields})


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Returns the choice that a word most likely stands for: first without regard to capitals, hyphens and spaces."""
    listed = list(choices)
    same = [choice for choice in listed if plain(choice) == plain(word)]
    near = same or difflib.get_close_matches(word.lower(), listed, n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns the end of a sentence that names the nearest choice and all of them."""
    names = sorted(choices)
    near, listed = nearest(word, names), ", ".join(names)
    if near is None:
        return f"; use one of {listed}" if names else "; take it out"
    return f"; did you mean {near!r}?" + ("" if alike(word, near) > SURE else f" (one of {listed})")


def alike(word: str, other: str) -> float:
    """Returns the likeness of two words, 0 to 1."""
    return difflib.SequenceMatcher(None, plain(word), plain(other)).ratio()


def plain(word: str) -> str:
    """Returns a word without capitals, hyphens and spaces."""
    return re.sub(r"[\s_-]+", "_", word.strip()).lower()


def value_at(path: Path, content: Any) -> Any:
    """Returns the part of a content that a path leads to."""
    for part in path:
        content = content[part]
    return content
