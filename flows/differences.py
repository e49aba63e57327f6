"""Differences between an object on the server and the wanted one, field by field."""

import difflib
import json
from collections.abc import Iterator
from typing import Any

SHOWN = 30
"""Maximum number of differences shown of one object."""


def differences_between(current: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, ...]:
    """Returns the differences of two mappings, a line or a few for each field: current value, wanted value."""
    lines = [line for line in _lines("", current, wanted) if line]
    return (*lines[:SHOWN], f"… and {len(lines) - SHOWN} more") if len(lines) > SHOWN else tuple(lines)


def _lines(field: str, current: Any, wanted: Any) -> Iterator[str]:
    if current == wanted:
        return
    if isinstance(current, dict) and isinstance(wanted, dict):
        for key in (*current, *(key for key in wanted if key not in current)):
            yield from _lines(f"{field}.{key}" if field else str(key), current.get(key), wanted.get(key))
    elif isinstance(current, str) and isinstance(wanted, str) and "\n" in current + wanted:
        yield f"{field}:"
        lines = difflib.unified_diff(current.splitlines(), wanted.splitlines(), lineterm="", n=0)
        yield from (f"  {line}" for line in lines if not line.startswith(("---", "+++", "@@")))
    else:
        yield f"{field}: {_shown(current)} → {_shown(wanted)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:99]}…"
