"""Sentences about one invalid value: what is wrong with it, and what to write."""

import re
from typing import Any

from dreamsweep.planning.document import Path, kind_of, printable, quoted, shortened
from dreamsweep.planning.unparsable import QUOTES
from dreamsweep.planning.words import alike, did_you_mean, nearest, plain, value_at, words_at
from dreamsweep.spec import ENGINES, MAX_PROMPT, MAX_SEED, Sweep

SIDES = ("image_size", "canvas")
"""Words for the side of an engine's pictures."""
WORDS_FOR_SIZE = frozenset(
    (
        "w",
        "h",
        "width",
        "height",
        "image_width",
        "image_height",
        "size",
        "side",
        "resolution",
        "dimensions",
        "ratio",
        "aspect_ratio",
        "aspect",
    )
)
TWO_SIDES = re.compile(r"\s*\d+\s*(?:[x×*,:/ ]|by)\s*\d+\s*(?:px)?\s*", re.IGNORECASE)


NO_NUMBER = "{} is no number; write one"


def not_square(text: str, word: str) -> str:
    """Returns what is wrong with two sides where a word for one belongs."""
    return f"{text} will not do: pictures are square; write one side in pixels, such as '{word}: 256'"


def sentence(path: Path, complaint: Any, content: Any, written: str | None) -> str:
    """Returns what is wrong with one value, and what to do, without the field and the full stop."""
    value, word = complaint["input"], path[-1] if path else ""
    text = shown(value, written)
    if word in SIDES and (isinstance(value, dict) or TWO_SIDES.fullmatch(written or str(value)[:40])):
        return not_square(text, str(word))
    match complaint["type"]:
        case "extra_forbidden":
            return _unknown_word(path, content)
        case "union_tag_invalid":
            name = str((complaint.get("ctx") or {}).get("tag"))
            if name in ENGINES.errors:
                return str(ENGINES.errors[name]).rstrip(".")
            return f"no engine {shown(name)}{did_you_mean(name, ENGINES)}"
        case "union_tag_not_found" if value is None:
            return "empty; name an engine, such as dalle"
        case "union_tag_not_found":
            return f"{text} names no engine; add 'engine:', one of {', '.join(ENGINES)}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal" | "multiple_of" if isinstance(value, bool):
            return NO_NUMBER.format(str(value).lower())
        case "greater_than_equal" | "less_than_equal" if path[:1] == ("seeds",):
            return f"{text} is no seed; seeds go from 0 to {MAX_SEED}"
        case "missing":
            return f"missing; {'every sweep needs it' if len(path) == 1 else 'write it as well'}"
        case "too_short":
            return "empty; name at least one"
        case _ if value is None:
            return _empty(path, written)
        case "literal_error":
            choices = re.findall(r"'([^']+)'|(\d+)", str((complaint.get("ctx") or {}).get("expected")))
            return f"no {text}{did_you_mean(str(value), [name or number for name, number in choices])}"
        case "string_too_short":
            return "the text is empty; write what to draw"
        case "string_too_long":
            return f"the text has {len(str(value)):,} characters; at most {MAX_PROMPT:,} are read, so shorten it"
        case "string_pattern_mismatch" if path == ("name",):
            return f"{text} cannot be part of a path; use small letters, digits, '.', '_' and '-', such as 'demo-1'"
        case "string_pattern_mismatch" if path[:1] == ("concepts",):
            return f"{text} cannot be a concept's name; use a small letter, then small letters, digits, '_' and '-', such as 'moomin'"
        case "string_unicode":
            return f"{text} holds half a character (a lone surrogate); write it again"
        case "tuple_type" | "model_type" if path == ("seeds",):
            return f"{text} will not do; write a number, a list of numbers, or {{start: 0, count: 4}}"
        case "string_type" | "model_type" | "model_attributes_type" | "dict_type" if not isinstance(value, list | tuple | dict):
            return _no_text(value, written)
        case "string_type" | "model_type" | "model_attributes_type":
            return f"{text} is {kind_of(value)}, where a text belongs"
        case "tuple_type":
            return f"{text} is no list; write one: [{shortened(value) if isinstance(value, str) else '…'}]"
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size" | "float_type" | "float_parsing" as kind:
            return f"{text} is no {'whole ' if kind.startswith('int') else ''}number{_whole(value)}"
        case "finite_number":
            return f"{text} is no number to reckon with; write a finite one"
        case "bool_type" | "bool_parsing":
            return f"{text} is neither true nor false; write one of them"
        case _:
            message = complaint["msg"].removeprefix("Value error, ")
            return f"{text} will not do: {message[0].lower()}{message[1:]}".rstrip(".")


def shown(value: Any, written: str | None = None) -> str:
    """Returns a value as Python writes it, shortened; with what it is read as, where a file spells it in another way."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # of numbers with thousands of digits
        return "a number of thousands of digits"
    text = text if len(text) <= 60 else f"{text[:57]}…"
    differs = written is not None and not isinstance(value, str | bool) and value is not None and written != text
    return f"{printable(str(written))} (read as {kind_of(value)})" if differs and len(str(written)) <= 60 else text


def _empty(path: Path, written: str | None) -> str:
    if written:
        return _no_text(None, written)
    part = "line" if path and isinstance(path[-1], int) else "word"
    return f"empty; write a value, or take the {part} out (a text that begins with '#' goes in quotes)"


def _no_text(value: Any, written: str | None) -> str:
    if written is None:
        return f"{shown(value)} is {kind_of(value)}, where a text belongs; {QUOTES}"
    return f"{printable(written[:60])} is read as {kind_of(value)}, where a text belongs; put it in quotes: {quoted(written)}"


def _whole(value: Any) -> str:
    """Returns the whole number that a text or a float stands for, as advice."""
    try:
        number = float(value)
        return f"; write {int(number)}" if isinstance(value, str) and number.is_integer() and abs(number) < 1e15 else ""
    except (ValueError, TypeError, OverflowError):
        return ""


def _unknown_word(path: Path, content: Any) -> str:
    """Returns what to write for a word that is not known where it stands."""
    word, engine = str(path[-1]), _engine_at(path, content)
    spelt = plain(word)
    if spelt in WORDS_FOR_SIZE and (len(path) == 1 or engine):
        return f"no such word: pictures are square; {_word_for_side(engine)}"
    known = words_at(path[:-1], content)
    near = nearest(word, known)
    elsewhere = {} if near and plain(near) == spelt else _elsewhere(path)
    other = nearest(word, elsewhere, cutoff=0.8)
    if other is None or (near and alike(word, near) >= alike(word, other)):
        return f"no such word{did_you_mean(word, known)}"
    if other == word:
        return f"no such word here; {elsewhere[other]}"
    return f"no such word; did you mean {other!r}? But {elsewhere[other]}"


def _elsewhere(path: Path) -> dict[str, str]:
    """Returns words that are known in another place of a sweep, with half a sentence about where."""
    if path[0] == "engines":
        owners: dict[str, list[str]] = {}
        for engine in ENGINES if len(path) == 3 else ():
            for name in ENGINES[engine].model_fields:
                owners.setdefault(name, []).append(engine)
        others = {name: f"it is a setting of {', '.join(engines)}" for name, engines in owners.items()}
        return others | dict.fromkeys(Sweep.model_fields, "it stands beside 'engines', not in it")
    if len(path) == 1:
        settings = sorted({name for engine in ENGINES for name in ENGINES[engine].model_fields})
        return {name: f"it belongs to an engine: engines: [{{engine: …, {name}: …}}]" for name in settings}
    return {}


def _word_for_side(engine: str | None) -> str:
    words = {name: next((side for side in SIDES if side in ENGINES[name].model_fields), None) for name in ENGINES}
    if engine in words:
        side = words[engine]
        return f"{side!r} is their side in pixels" if side else f"the weights of {engine} decide their side"
    sides = ", ".join(f"'{side}' of {name}" for name, side in words.items() if side)
    return f"an engine's own word is their side in pixels: {sides}"


def _engine_at(path: Path, content: Any) -> str | None:
    """Returns the engine in whose settings a path is; None elsewhere."""
    if path[:1] != ("engines",):
        return None
    entry = value_at(path[:2], content) if len(path) > 1 and isinstance(path[1], int) else value_at(path[:1], content)
    return str(entry.get("engine")) if isinstance(entry, dict) else None
