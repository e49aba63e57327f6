"""Prompts of a sweep: those written out, those of templates, and those of files, each once and in order."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.characters import INVISIBLE, code_point, is_blank
from dreamsweep.planning.document import Mistake, Path
from dreamsweep.planning.mistakes import text_of
from dreamsweep.planning.prompt_files import file_prompts
from dreamsweep.planning.prompt_parts import split_parts
from dreamsweep.planning.templates import expanded_texts, template_mistakes
from dreamsweep.planning.text_file import TextFile
from dreamsweep.spec import MAX_PROMPT, Prompt, PromptEntry, PromptFile, PromptTemplate, Sweep
from dreamsweep.text import quoted


def prompts(sweep: Sweep) -> Iterator[Prompt]:
    """Returns the sweep's prompts in order, each once. Raises SweepFileError if a prompt file, template or text is invalid."""
    seen: set[int] = set()
    for number, entry in enumerate(sweep.prompts):
        for _, prompt in entry_prompts(entry, number):
            digest = hash(prompt)
            if digest not in seen:
                seen.add(digest)
                yield prompt


def entry_prompts(entry: PromptEntry, number: int) -> Iterator[tuple[str, Prompt]]:
    """Returns every prompt of the entry of that number with its place, such as `prompts[2].file (names.txt, line 7)`.

    Raises SweepFileError at the first that is invalid.
    """
    for where, result in read_entry(entry, number):
        if isinstance(result, Mistake):
            raise SweepFileError(text_of(result))
        yield where, result


def read_entry(entry: PromptEntry, number: int) -> Iterator[tuple[str, Prompt | Mistake]]:
    """Returns every prompt of the entry of that number, and whatever is wrong with it, with its place.

    It goes on after a prompt that is invalid, and ends where the rest of a file cannot be read.
    """
    path: Path = ("prompts", number)
    field = f"prompts[{number}]"
    match entry:
        case Prompt():
            yield from _seen(entry, field, path)
        case PromptTemplate():
            wrong = [*template_mistakes(entry, path)]
            yield from ((field, mistake) for mistake in wrong)
            for text, *to in expanded_texts(entry) if not wrong else ():
                yield from _checked({"text": text, "negatives": entry.negatives, "to": to}, field, path)
        case PromptFile():
            yield from _of_file(TextFile(FilePath(entry.file), f"{field}.file"), (*path, "file"), entry.parts)


def _of_file(file: TextFile, path: Path, parts: bool) -> Iterator[tuple[str, Prompt | Mistake]]:
    try:
        for place, words in file_prompts(file):
            where = file.at(place)
            try:
                read = split_parts(words, where) if parts else words
            except SweepFileError as error:
                yield where, Mistake(path, str(error), field="")
                continue
            yield from _checked(read, where, path)
    except SweepFileError as error:
        yield file.field, Mistake(path, str(error), field="")


def _checked(words: dict[str, Any], where: str, path: Path) -> Iterator[tuple[str, Prompt | Mistake]]:
    """Returns the prompt of these words, or what is wrong with each of them."""
    try:
        prompt = Prompt.model_validate(words)
    except ValidationError as error:
        for complaint in error.errors():
            yield where, Mistake(path, _explained(complaint), field=f"{where}: ")
        return
    yield from _seen(prompt, where, path)


def _seen(prompt: Prompt, where: str, path: Path) -> Iterator[tuple[str, Prompt | Mistake]]:
    """Returns the prompt, or each text of it that holds characters that nobody sees, or nothing else."""
    unseen = [f"{field} {problem}" for field, text in prompt.texts.items() if (problem := _unseen(text))]
    yield from ((where, Mistake(path, sentence, field=f"{where}: ")) for sentence in unseen)
    if not unseen:
        yield where, prompt


def _unseen(text: str) -> str:
    """Returns the end of a sentence about what nobody sees in a text; empty where there is nothing of that."""
    if invisible := INVISIBLE.search(text):
        character = f"{code_point(invisible[0])}, character {invisible.start() + 1} of {quoted(text)}"
        return f"holds the invisible character {character}; delete it"
    if is_blank(text):
        return f"is empty, as nobody sees the characters of {quoted(text)}; write what to draw"
    return ""


def _explained(complaint: Any) -> str:
    """Returns the field of a mistake in a prompt's words, and what to do."""
    field = ".".join(str(part) for part in complaint["loc"])
    match complaint["type"]:
        case "extra_forbidden":
            return f"{quoted(field)} is no word of a prompt; use {', '.join(Prompt.model_fields)}"
        case "missing":
            return f"{field} is missing; write what to draw"
        case "string_too_short":
            return f"{field} is empty; write what to draw"
        case "string_too_long":
            length = len(str(complaint["input"]))
            return f"{field} has {length:,} characters; at most {MAX_PROMPT:,} are read (a perceptor sees some 300), so shorten it"
        case "string_type":
            return f"{field}: {quoted(str(complaint['input']))} is no text; put it in quotes"
        case "string_unicode":
            return f"{field} holds half of a character; write the text in UTF-8"
        case _:
            return f"{field}: {quoted(str(complaint['input']))} is not valid: {complaint['msg'][0].lower()}{complaint['msg'][1:]}"
