"""Words for people."""

import difflib
import re
from collections.abc import Iterable

from dreamsweep.errors import DreamsweepError


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The end of a sentence that names the nearest of the choices, or a few of them."""
    known = sorted(choices)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not known:
        return "; it has none yet, run one first"
    return f"; it has {', '.join(known[:5])}{' and others' if len(known) > 5 else ''}"


def counted(number: int, noun: str) -> str:
    """`1 shard`, `1,200 shards`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def told_seconds(seconds: float) -> str:
    """`48 s`, `3 min 20 s`, `2 h 5 min`, `3 days 4 h`."""
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
    """The seconds in `90s`, `30m`, `12h` or `7d`. Raises DreamsweepError, which names the field."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip())
    if not found:
        raise DreamsweepError(f"{field}: {text!r} is no span of time; write a number and s, m, h or d, such as 7d.")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


def told_bytes(size: float) -> str:
    """`12 kB`, `3.4 MB`, `1.2 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
