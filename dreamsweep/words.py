"""Words for people."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The end of a sentence that names the nearest of the choices, or a few of them."""
    known = sorted(choices)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    if not known:
        return "; it has none yet, run one first"
    return f"; it has {', '.join(known[:5])}{' and others' if len(known) > 5 else ''}"
