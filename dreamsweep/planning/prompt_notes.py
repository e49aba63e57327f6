"""Notes on prompts that mean something else in other programs, and on lines of prompt files that may be read otherwise than meant."""

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dreamsweep.planning.characters import split_lines
from dreamsweep.planning.concepts import used_concepts
from dreamsweep.planning.prompt_files import READERS
from dreamsweep.planning.prompt_lists import yaml_comments, yaml_prompts
from dreamsweep.planning.prompt_tables import csv_prompts, tsv_prompts
from dreamsweep.planning.prompts import entry_prompts
from dreamsweep.planning.text_file import TextFile
from dreamsweep.spec import PromptEntry, PromptFile, PromptTemplate, Sweep, token_of
from dreamsweep.text import counted, quoted


@dataclass(frozen=True)
class Notation:
    """Something that is written in a text or a line: its pattern, and the sentence about it."""

    pattern: re.Pattern[str]
    meaning: str
    """What becomes of it, and what to write instead."""


WEIGHTS = "write the prompt as {text: …, weight: …, also: …, negatives: …}"
NAMES = Notation(
    re.compile(r"\{[^{}]*\}|__[\w/-]+__"), "is read as plain text, and replaced by nothing; for a list of words use {template: …}"
)
"""Names of lists; what stands in braces in a template was doubled, and so was meant."""
TOKENS = Notation(
    re.compile(r"<([a-z][a-z0-9_-]+)>(?!.*</\1>)", re.IGNORECASE | re.DOTALL),
    "is read as plain text; for a word of your own, name a folder of pictures that show it (concepts: {name: folder})",
)
"""Tokens in a sweep without concepts, and no HTML; in a sweep that has some, each is a concept or a mistake."""
IN_TEXTS = (
    Notation(
        re.compile(r"<(?:lora|lyco|hypernet|ti)\s*:[^>]*>|\bembedding:\S+", re.IGNORECASE),
        "is read as plain text, and loads nothing; leave it out",
    ),
    TOKENS,
    NAMES,
    Notation(
        re.compile(r"\([^()]*:\s*[-+]?[\d.]+\s*\)|\(\(+[^()]*\)\)+|\[[^][]*\]"),
        f"is read as plain text, not as emphasis; leave it out, or {WEIGHTS}",
    ),
    Notation(
        re.compile(r"::\s*[-+]?[\d.]*|(?<!<)\|(?!>)|(?<=[^\W\d]):\s*[-+]?\d*\.\d+\b|:\s*-\d+$"),
        f"is read as plain text, not as parts and their weights; {WEIGHTS}, or give a prompt file 'parts: true'",
    ),
    Notation(re.compile(r"\b(?:AND|BREAK)\b"), f"is read as a plain word, and joins no prompts; {WEIGHTS}"),
    Notation(
        re.compile(r"(?<!\S)--[a-z]+(?:\s+[\d:.]+)?"),
        "is read as plain text, and sets nothing; use the engines' settings, 'seeds:' and 'negatives:'",
    ),
    Notation(
        re.compile(r"negative prompt:|\bsteps:\s*\d+,\s*sampler:", re.IGNORECASE),
        "is read as plain text; write negatives as 'negatives:', and settings below 'engines:'",
    ),
    Notation(
        re.compile(r"<\|(?:start|end)oftext\|>", re.IGNORECASE),
        "is no text to a CLIP, which stops reading at the end mark; delete it",
    ),
)
"""What other programs understand, and dreamsweep reads as plain text; what is within another notation belongs to that one alone."""
IN_LINES = (
    Notation(re.compile(r"#\w.*"), "is a comment, as its line begins with '#'; if it is a prompt, put a space before it"),
    Notation(re.compile(r"[ \t]+#(?!\w).*"), "is a prompt; a comment begins with '#' at the very start of its line"),
    Notation(re.compile(r"\s*(?://|;|--|/\*|<!--).*"), "is a prompt; a comment begins with '#'"),
    Notation(re.compile(r"\s*-\s.*"), "is a prompt with its dash; name a file with a dash before each prompt .yaml"),
    Notation(re.compile(r"\s*\d+[.)]\s.*"), "is a prompt with its number; if the number is none of it, delete it"),
    Notation(re.compile(r"\s*(['\"]).*\1,\s*"), "is a prompt with its quotes and its comma; if they are none of it, delete them"),
    Notation(re.compile(r"[^#].*\s(?:#|//)\s.*"), "is a prompt as a whole; a comment needs a line of its own"),
)
"""Lines of a `.txt` list that look like comments, or like prompts, and are not."""
IN_TABLES = (
    Notation(re.compile(r"#\s.*", re.DOTALL), "is a prompt, as a table has no comments; if it is none, delete its row"),
    Notation(re.compile(r".*[\r\n].*", re.DOTALL), "is one prompt of several lines; if it should be several, check its quotes"),
)
"""Texts of a table that are not what they look like."""
AFTER_SPACE = "follows a separator and a space; if it belongs to the column before, put that text in double quotes"
ANY = re.compile(r"[(\[|{<]|::|:\s*[-+]?\d*\.?\d|(?-i:AND|BREAK)|--|__|embedding:|prompt:|steps:", re.IGNORECASE)
"""What every notation in a text needs; most texts have none of it."""

Sight = tuple[str, str, str]
"""Place, what stands in it, and what becomes of that."""


def prompt_notes(sweep: Sweep) -> list[str]:
    """Returns a sentence for each notation that the sweep's prompts hold, with its first place, and for each concept that none uses.

    Raises SweepFileError as `prompts`.
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for number, entry in enumerate(sweep.prompts):
        for place, sight, meaning in chain(_around(entry, f"prompts[{number}]"), _in_texts(entry, number, bool(sweep.concepts))):
            first.setdefault(meaning, f"{place}: {sight} {meaning}")
            counts[meaning] += 1
    more = {meaning: f" ({counted(count - 1, 'more place')})" for meaning, count in counts.items() if count > 1}
    notes = [f"{sentence}{more.get(meaning, '')}." for meaning, sentence in first.items()]
    unused = sweep.concepts.keys() - used_concepts(sweep) if sweep.concepts else ()
    return [*notes, *(f"concepts.{name}: no prompt holds {token_of(name)}, so it is not learned." for name in sorted(unused))]


def _in_texts(entry: PromptEntry, number: int, has_concepts: bool) -> Iterator[Sight]:
    """Returns each notation in the texts of an entry's prompts."""
    left_out = {*([NAMES] if isinstance(entry, PromptTemplate) else []), *([TOKENS] if has_concepts else [])}
    notations = [notation for notation in IN_TEXTS if notation not in left_out]
    for place, prompt in entry_prompts(entry, number):
        for text in prompt.texts.values():
            plain = html.unescape(text) if "&" in text else text
            if not ANY.search(plain):
                continue
            for notation in notations:
                match = notation.pattern.search(plain)
                if match and not (match[0].isalpha() and text.isupper()):  # among capitals, AND is a word
                    within = "" if match[0] == text else f" in {quoted(text)}"
                    yield place, f"{quoted(match[0])}{within}", notation.meaning
                    plain = notation.pattern.sub(" ", plain)


def _around(entry: PromptEntry, field: str) -> Iterator[Sight]:
    """Returns what is in an entry's file or template, and not in its prompts' texts."""
    match entry:
        case PromptTemplate():
            yield from _in_template(entry, field)
        case PromptFile():
            yield from _in_file(TextFile(Path(entry.file), f"{field}.file"))


def _in_template(entry: PromptTemplate, field: str) -> Iterator[Sight]:
    for number, phrase in enumerate(entry.negatives):
        for name in entry.lists:
            if f"{{{name}}}" in phrase.text:
                sight = f"'{{{name}}}' in {quoted(phrase.text)}"
                yield f"{field}.negatives[{number}]", sight, "is not replaced, as only 'template' and 'to' take lists"


def _in_file(file: TextFile) -> Iterator[Sight]:
    match READERS.get(file.path.suffix.lower()):
        case None:
            for number, line in enumerate(split_lines(file.read()), start=1):
                yield from _first_of(IN_LINES, line, file.at(f"line {number}"))
        case reader if reader in (csv_prompts, tsv_prompts):
            for place, words in reader(file.read(), file):
                yield from _first_of(IN_TABLES, words["text"].strip(), file.at(place))
                for column in ("also", "negatives", "to"):
                    if (text := next(iter(words.get(column, ())), "")).startswith(" "):
                        yield file.at(place), f"{quoted(text)} in the column {column!r}", AFTER_SPACE
        case reader if reader is yaml_prompts:
            for place, comment in yaml_comments(file.read(), file):
                yield file.at(place), quoted(comment), "is a comment; if it belongs to the prompt, put the prompt in quotes"


def _first_of(notations: Sequence[Notation], text: str, place: str) -> Iterator[Sight]:
    meaning = next((notation.meaning for notation in notations if notation.pattern.fullmatch(text)), None)
    if meaning:
        yield place, quoted(text), meaning
