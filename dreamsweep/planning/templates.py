"""Templates: a text for every combination of the values of its lists."""

import itertools
import re
from collections.abc import Collection, Iterator

from dreamsweep.planning.document import Mistake, Path
from dreamsweep.spec import PromptTemplate
from dreamsweep.text import quoted

PARTS = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
"""What braces make of a template: doubled ones, a name within a pair, and what is left over."""
CURE = "write {name} where a list's value belongs, and {{ or }} for a brace itself"


def template_mistakes(entry: PromptTemplate, path: Path) -> Iterator[Mistake]:
    """Returns every brace that is neither doubled nor around the name of a list, and every list without values.

    Where all braces are right, also every list that no text names.
    """
    texts = {(*path, "template"): entry.template, **{(*path, "to", number): text for number, text in enumerate(entry.to)}}
    odd = [Mistake(where, sentence) for where, text in texts.items() for sentence in _odd_braces(text, entry.lists)]
    yield from odd
    names = {part[1:-1] for text in texts.values() for part in PARTS.split(text)[1::2] if len(part) > 2}
    for name in sorted(set(entry.lists) - names) if not odd else ():
        sentence = f"{quoted(entry.template)} does not name the list {name!r}; write {{{name}}} in it, or delete the list"
        yield Mistake((*path, "template"), sentence)
    for name, values in entry.lists.items():
        if not values:
            yield Mistake((*path, name), "the list is empty; give it at least one value")


def expanded_texts(entry: PromptTemplate) -> Iterator[tuple[str, ...]]:
    """Returns the text and the texts of `to` for every combination of the lists' values, of a template without mistakes.

    Only `{name}`, with the name of a list, is replaced; `{{` and `}}` are braces.
    """
    split = [PARTS.split(text) for text in (entry.template, *entry.to)]
    for values in itertools.product(*entry.lists.values()):
        filled = {f"{{{name}}}": value for name, value in zip(entry.lists, values, strict=True)} | {"{{": "{", "}}": "}"}
        yield tuple("".join(filled.get(part, part) if at % 2 else part for at, part in enumerate(parts)) for parts in split)


def _odd_braces(text: str, names: Collection[str]) -> Iterator[str]:
    """Returns a sentence about each brace of a template that means nothing. `PARTS` has what braces make of it at odd places."""
    parts = PARTS.split(text)
    for at, part in enumerate(parts):
        if at % 2 and part not in ("{{", "}}") and (part[1:-1] not in names or len(part) < 3):
            column = len("".join(parts[:at])) + 1
            listed = ", ".join(map(repr, names)) or "none"
            yield f"{quoted(part)} at character {column} names none of the lists ({listed}); {CURE}"
