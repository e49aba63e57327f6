"""Mistakes in a sweep's content: each part once, in the order of its places, a line for each."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, get_args

from pydantic import ValidationError

from dreamsweep.planning.document import Document, Mistake, Path, kind_of, quoted, shortened
from dreamsweep.planning.sentences import NO_NUMBER, SIDES, not_square, sentence, shown
from dreamsweep.planning.unparsable import QUOTES
from dreamsweep.planning.words import models_at, nearest, value_at, words_at
from dreamsweep.spec import IMAGE_FIELDS
from dreamsweep.text import escaped

DEEPEST = 8
"""Levels below which no sweep has a word."""
MOST_SHOWN, MOST_EXPLAINED = 20, 1_000
"""Mistakes that one message lists, and complaints of the validation that are looked at."""
FILES = ("file", "path", *IMAGE_FIELDS)
"""Words whose values are names of files."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters other than tabs and line ends."""
WRONG_SHAPE = frozenset(("tuple_type", "model_type", "model_attributes_type", "dict_type", "too_short", "literal_error")) | {
    f"{kind}_{problem}" for kind in ("int", "float", "string", "bool") for problem in ("type", "parsing", "from_float")
}
"""Types of errors that another branch of a union says as well, about the same value."""
LESS_TELLING = {"literal_error": -1, "model_type": 1, "model_attributes_type": 1, "dict_type": 1, "tuple_type": 2}
"""Order of errors about one value; that of a union's other branches comes last."""


def mistakes(content: Any, error: ValidationError | None, document: Document) -> list[Mistake]:
    """Returns what is wrong with a sweep's content, each part once, in the order of its places."""
    listed = [*document.mistakes, *_unreadable(content, document), *(_explained(error, content, document) if error else ())]
    listed += _yes_or_no(content, {mistake.path for mistake in listed})
    first = {(m.path, m.place): m for m in reversed(with_places(listed, document))}
    return with_places(first.values(), document)


def with_places(listed: Iterable[Mistake], document: Document) -> list[Mistake]:
    """Returns mistakes with their places in a document, in the order of these."""
    placed = [replace(m, place=m.place or document.place(m.path)) for m in listed]
    return sorted(placed, key=lambda m: (m.place or (0, 0), [str(part).zfill(9) for part in m.path]))


def lines(listed: Collection[Mistake], source: str) -> str:
    """Returns mistakes as text, a line for each: `mine.yaml:12:3: engines[0].iteratons: no such word; …`."""
    shown_lines = [f"{source}{_at(mistake)}: {text_of(mistake)}" for mistake in [*listed][:MOST_SHOWN]]
    return "\n".join(shown_lines + ([f"{source}: more mistakes like these are not listed."] if len(listed) > MOST_SHOWN else []))


def text_of(mistake: Mistake) -> str:
    """Returns a mistake as a sentence that begins with its field."""
    return escaped(f"{field_of(mistake.path) if mistake.field is None else mistake.field}{_ended(mistake.sentence)}")


def field_of(path: Path) -> str:
    """Returns a path as the beginning of a sentence: `engines[0].cutouts: `; nothing for the whole sweep."""
    text = ""
    for part in path:
        plain = part if isinstance(part, str) and part.isprintable() and len(part) <= 60 else shortened(str(part))
        text += f"[{part}]" if isinstance(part, int) else f".{plain}" if text else plain
    return f"{text}: " if text else ""


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(("?", ".")) else f"{sentence}."


def _at(mistake: Mistake) -> str:
    return f":{mistake.place[0]}:{mistake.place[1]}" if mistake.place else ""


def _explained(error: ValidationError, content: Any, document: Document) -> Iterator[Mistake]:
    """Returns a mistake for each part that validation refused."""
    complaints = _telling([(_path(complaint, content), complaint) for complaint in error.errors(include_url=False)[:MOST_EXPLAINED]])
    unknown = {path for path, complaint in complaints.items() if complaint["type"] == "extra_forbidden"}
    meant = {(*path[:-1], _meant(path, content)) for path in unknown}
    for path, complaint in complaints.items():
        if complaint["type"] == "missing" and (path in meant or _is_text_with_colon(path[:-1], content, unknown)):
            continue
        if path in unknown and _is_text_with_colon(path[:-1], content, unknown):
            ((word, value),) = value_at(path[:-1], content).items()
            text = f"{word}: {'' if value is None else value}".strip()
            yield Mistake(path[:-1], f"{quoted(text)} is read as a word and its value, because of the ':'; {QUOTES}")
        else:
            yield Mistake(path, sentence(path, complaint, content, document.written(path)))


def _path(complaint: Any, content: Any) -> Path:
    """Returns the part of the content that is complained of, without the branches of unions that pydantic names."""
    path: list[str | int] = []
    value = content
    for number, part in enumerate(complaint["loc"]):
        if (isinstance(value, dict) and part in value) or (isinstance(part, int) and isinstance(value, list | tuple) and part < len(value)):
            value = value[part]
        elif complaint["type"] != "missing" or number + 1 < len(complaint["loc"]):
            continue
        path.append(part)
    return tuple(path)


def _telling(complaints: list[tuple[Path, Any]]) -> dict[Path, Any]:
    """Returns the most telling complaint of each part; a part is not complained of where one inside it is."""
    holders = {path[:end] for path, _ in complaints for end in range(len(path))}
    telling: dict[Path, Any] = {}
    for path, complaint in complaints:
        if path in holders and complaint["type"] in WRONG_SHAPE:
            continue
        rank = LESS_TELLING.get(complaint["type"], 0)
        if path not in telling or rank < LESS_TELLING.get(telling[path]["type"], 0):
            telling[path] = complaint
    return telling


def _is_text_with_colon(path: Path, content: Any, unknown: Collection[Path]) -> bool:
    """Returns whether a mapping is an unquoted prompt with ': ' in it: one word, like none of those that a prompt may have."""
    if path[:1] != ("prompts",) or len(path) < 2:
        return False
    entry = value_at(path, content)
    if not isinstance(entry, dict) or len(entry) != 1 or isinstance(next(iter(entry.values())), list | dict):
        return False
    (word,) = entry
    return (*path, word) in unknown and (" " in str(word) or nearest(str(word), words_at(path, content), cutoff=0.7) is None)


def _meant(path: Path, content: Any) -> str | None:
    return nearest(str(path[-1]), words_at(path[:-1], content))


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Returns every plain value of a content, and its path, as deep as a sweep goes: what a mapping holds may be the mapping itself."""
    if isinstance(value, dict | list | tuple) and len(path) < DEEPEST:
        for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*path, part))
    else:
        yield path, value


def with_text_words(value: Any, path: Path, odd: list[Mistake]) -> Any:
    """Returns a content without the words that are no texts, and adds a mistake for each to `odd`."""
    if isinstance(value, dict) and len(path) < DEEPEST:
        odd += [
            Mistake(path, f"the word {shown(word)} is {kind_of(word)}; put it in quotes") for word in value if not isinstance(word, str)
        ]
        return {word: with_text_words(inner, (*path, word), odd) for word, inner in value.items() if isinstance(word, str)}
    if isinstance(value, list | tuple) and len(path) < DEEPEST:
        return [with_text_words(inner, (*path, number), odd) for number, inner in enumerate(value)]
    return value


def _unreadable(content: Any, document: Document) -> Iterator[Mistake]:
    """Returns texts with control characters, names of files with line ends, and sides such as `16:9`, a number to YAML."""
    for path, value in _leaves(content, ()):
        word = next((part for part in reversed(path) if isinstance(part, str)), "")
        if isinstance(value, str) and (control := CONTROL.search(value)):
            yield Mistake(path, f"the text holds a control character (U+{ord(control[0]):04X}); take it out")
        elif isinstance(value, str) and word in FILES and re.search(r"[\t\n\r]", value):
            yield Mistake(path, f"{shown(value)} holds a tab or a line end; a backslash in double quotes makes one, so use single quotes")
        elif isinstance(value, int) and word in SIDES and ":" in (written := document.written(path) or ""):
            yield Mistake(path, not_square(written, word))


def _yes_or_no(content: Any, complained_of: Collection[Path]) -> Iterator[Mistake]:
    """Returns the values that are true or false where a number belongs, for which validation takes them."""
    for path, value in _leaves(content, ()):
        end, word = next(((number, part) for number, part in reversed([*enumerate(path)]) if isinstance(part, str)), (0, None))
        if not isinstance(value, bool) or path in complained_of or word is None:
            continue
        fields = [model.model_fields[word] for model in models_at(path[:end], content) if word in model.model_fields]
        if fields and not any(_takes_bool(field.annotation) for field in fields):
            yield Mistake(path, NO_NUMBER.format(str(value).lower()))


def _takes_bool(annotation: Any) -> bool:
    return annotation is bool or annotation is Any or any(_takes_bool(part) for part in get_args(annotation))


def remarks(content: dict[str, Any]) -> Iterator[Mistake]:
    """Returns what is right but may be meant otherwise: two sides for a picture, which make two squares."""
    engines = content.get("engines")
    for number, entry in enumerate(engines if isinstance(engines, list | tuple) else ()):
        for word in SIDES:
            sides = entry.get(word) if isinstance(entry, dict) else None
            if isinstance(sides, list | tuple) and len(sides) == 2 and sides[0] != sides[1]:
                yield Mistake(("engines", number, word), f"makes squares of {sides[0]} and of {sides[1]} pixels; no picture is oblong")
