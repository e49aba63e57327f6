"""Formats of texts, numbers, durations and sizes in sentences and tables, and suggestions for mistyped words."""

import difflib
import re
from collections.abc import Iterable, Sequence

import humanize
from rich.cells import cell_len, set_cell_size

from dreamsweep.errors import UserError


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns the end of a sentence that names the most similar of the choices, or a few of them."""
    known = sorted(choices)
    similar = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    if not known:
        return "; it has none yet, run one first"
    return f"; it has {', '.join(known[:5])}{' and others' if len(known) > 5 else ''}"


def quoted(text: str, limit: int = 40) -> str:
    """Formats the start of a text in quotes, on one line and with every invisible character escaped."""
    return repr(text if len(text) <= limit else f"{text[: limit - 1]}…")


def escaped(text: str) -> str:
    """Formats a text with every invisible character escaped, line ends included: what a terminal can be given."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shortened(text: str, cells: int) -> str:
    """Formats the start of a text on one line, in a width in cells, with every invisible character escaped."""
    line = escaped(" ".join(text.split()))
    if cell_len(line) <= cells:
        return line
    return f"{set_cell_size(line, cells - 1).rstrip()}…"


def quoted_list(texts: Sequence[str], noun: str, most: int = 8) -> str:
    """Formats the first texts in quotes, and the number of the others, such as `'a', 'b' and 3 other words`; `none` for none."""
    shown, others = ", ".join(map(quoted, texts[:most])) or "none", len(texts) - most
    return f"{shown} and {counted(others, noun)}" if others > 0 else shown


def fitting_list(texts: Sequence[str], others: int, noun: str, width: int) -> str:
    """Formats as many of the texts, in quotes, as a width in cells has room for, and the number of all others; empty for no texts.

    The first is always there, shortened if need be.
    """
    line, more = "", [(count, 40) for count in range(len(texts), 0, -1)]
    for count, limit in [(len(texts), 60), *more, *((1, limit) for limit in range(39, 3, -1))] if texts else ():
        rest = len(texts) - count + others
        line = ", ".join(quoted(text, limit) for text in texts[:count]) + (f" and {counted(rest, noun)}" if rest else "")
        if cell_len(line) <= width:
            break
    return line


def counted(number: int, noun: str) -> str:
    """Formats a number of things as `1 shard` or `1,200 shards`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """Formats a duration as `48 s`, `3 min 20 s`, `2 h 5 min` or `3 days 4 h`."""
    whole = round(seconds)
    if whole >= 86_400:
        days, hours = divmod(whole // 3_600, 24)
        return counted(days, "day") + (f" {hours} h" if hours else "")
    for size, unit, below, below_unit in ((3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {below_unit}" if rest else "")
    return f"{whole} s"


def parsed_seconds(text: str, field: str) -> float:
    """Parses a duration such as `90s`, `30m`, `12h` or `7d` into seconds. Raises UserError, which names the field."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip())
    if not match:
        raise UserError(f"{field}: {text!r} is not a duration; write a number and s, m, h or d, such as 7d.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[match[2]]


def format_bytes(size: float) -> str:
    """Formats a size as `12 kB`, `3.4 MB` or `1.2 GB`."""
    return humanize.naturalsize(size).replace(".0 ", " ")


def format_megabytes(megabytes: float | None) -> str:
    """Formats a size that may not be known."""
    return "unknown" if megabytes is None else format_bytes(megabytes * 1e6)
