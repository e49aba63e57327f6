"""Labels that tell the trials of one sweep apart: one for the prompt, one for the engine with its settings and seed."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dreamsweep.spec import ENGINES
from dreamsweep.tables.schemas import engine_column

Variant = tuple[str, str, int]
"""Engine, its settings as text, seed."""
COLUMNS = ("engine", *map(engine_column, ENGINES), "guide_name", "seed")
"""Columns of the table of trials that a variant is made of."""
PROMPT_COLUMNS = ("prompt", "prompts_to", "weight", "also", "negatives")
"""Columns of the table of trials that a prompt is made of."""
PICTURE = re.compile(r".*?([^/]*) [0-9a-f]{64}")
"""A picture's path and hash, of which a label shows the name alone."""
Row = Mapping[str, Any]
Phrases = tuple[tuple[str, float], ...]


class PromptKey(NamedTuple):
    """A whole prompt: two prompts with the same text and different negatives are two prompts."""

    text: str
    to: tuple[str, ...] = ()
    weight: float = 1.0
    also: Phrases = ()
    negatives: Phrases = ()


def prompt_of(row: Row) -> PromptKey:
    """Returns the whole prompt of a row of the table of trials."""
    also, negatives = (tuple((phrase["text"], phrase["weight"]) for phrase in row[name] or ()) for name in ("also", "negatives"))
    weight = 1.0 if row["weight"] is None else row["weight"]
    return PromptKey(row["prompt"], tuple(row["prompts_to"] or ()), weight, also, negatives)


def prompt_labels(prompts: Iterable[PromptKey]) -> dict[PromptKey, str]:
    """Returns a label for each prompt: its texts, and its weight, further texts and negatives where only they tell it from another.

    `a cat → a dog`, `a cat ×2`, `a cat + oil painting`, `a cat − blurry ×0.5`.
    """
    alike: dict[str, dict[PromptKey, None]] = {}
    for prompt in prompts:
        alike.setdefault(" → ".join((prompt.text, *prompt.to)), {})[prompt] = None
    labels: dict[PromptKey, str] = {}
    for texts, group in alike.items():
        differ = {name for name in ("weight", "also", "negatives") if len({getattr(prompt, name) for prompt in group}) > 1}
        for prompt in group:
            label = _weighted(texts, prompt.weight) if "weight" in differ else texts
            label += "".join(f" + {_weighted(*phrase)}" for phrase in prompt.also if "also" in differ)
            label += "".join(f" − {_weighted(*phrase)}" for phrase in prompt.negatives if "negatives" in differ)
            labels[prompt] = label
    return labels


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """Returns a key to sort labels by, as a person would: `thing 9` before `thing 10`, `adam 0.05` before `adam 0.1`, case left aside."""
    parts = (part for part in re.split(r"([0-9]+(?:\.[0-9]+)?)", text.casefold()) if part)
    return tuple((0, float(part), part) if part[0] in "0123456789" else (1, 0.0, part) for part in parts)


def variant_of(row: Row) -> Variant:
    """Returns which variant a row of the table of trials is."""
    return row["engine"], " ".join(f"{name}={value}" for name, value in sorted(settings_of(row).items())), row["seed"]


def settings_of(row: Row) -> dict[str, str]:
    """Returns the settings of a row's engine by name, as text, and its guide."""
    settings = {name: _plain(value) for name, value in (row.get(engine_column(row["engine"])) or {}).items()}
    return settings | ({"guide": row["guide_name"]} if row.get("guide_name") else {})


def named_settings(row: Row) -> dict[str, str]:
    """Returns the settings that a trial has, those of its optimizer also by their own names: `optimizer` and `learning_rate`."""
    settings = settings_of(row)
    for group in (row.get(engine_column(row["engine"])) or {}).values():
        for name, value in group.items() if isinstance(group, dict) else ():
            if name != "name":  # it stands in the setting itself
                settings.setdefault(name, f"{value:g}" if isinstance(value, float) else str(value))
    return {name: value for name, value in settings.items() if value != str(None)}


def labels(rows: Iterable[Row]) -> dict[Variant, str]:
    """Returns what to call each variant among these rows: the engine, and only those settings in which they differ.

    A setting that a variant does without is left out of its label.
    """
    return labels_of({variant_of(row): settings_of(row) for row in rows})


def labels_of(variants: Mapping[Variant, Mapping[str, str]]) -> dict[Variant, str]:
    """Returns what to call each of these variants, as `labels` does; `settings_of` gives the settings of each."""
    seeds = {seed for _, _, seed in variants}
    values: dict[tuple[str, str], set[str]] = {}
    for (engine, _, _), settings in variants.items():
        for name, value in settings.items():
            values.setdefault((engine, name), set()).add(value)
    labels = {}
    for (engine, text, seed), settings in variants.items():
        differing = [(name, value) for name, value in settings.items() if len(values[engine, name]) > 1 and value != str(None)]
        words = [value if name == "optimizer" else f"{name} {_short(value)}" for name, value in differing]
        labels[engine, text, seed] = " · ".join([engine, *words, *([f"seed {seed}"] if len(seeds) > 1 else [])])
    return labels


def _short(value: str) -> str:
    picture = PICTURE.fullmatch(value)
    return picture[1] if picture else value


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(_plain(inner) for inner in value.values() if inner is not None)
    if isinstance(value, list):
        return ", ".join(_listed(inner) for inner in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(value: Any) -> str:
    """Returns an entry of a list, such as the steps of a rate: `at 0.5 times 0.4`."""
    return " ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) if isinstance(value, dict) else _plain(value)


def _weighted(text: str, weight: float) -> str:
    return text if weight == 1 else f"{text} ×{weight:g}"
