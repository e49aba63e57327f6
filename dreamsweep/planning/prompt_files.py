"""Reader of prompt files, by their suffix: a prompt a line, a table, or a list."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from dreamsweep.planning.characters import split_lines
from dreamsweep.planning.prompt_lists import json_lines_prompts, json_prompts, yaml_prompts
from dreamsweep.planning.prompt_tables import COLUMNS, csv_prompts, tsv_prompts
from dreamsweep.planning.text_file import TextFile

MARKUP = (".htm", ".html", ".ini", ".ipynb", ".md", ".rst", ".rtf", ".svg", ".toml", ".xml")
"""Suffixes of files whose markup would become prompts."""
MARKUP_STARTS = ("<!doctype", "<html", "<?xml", "<svg", "{\\rtf")
"""How such files begin, in small letters."""


def file_prompts(file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns the place, such as `line 3`, and the words of each prompt of a file, at least one. Raises SweepFileError."""
    suffix = file.path.suffix.lower()
    if suffix in MARKUP:
        raise file.error(f"is a {suffix} file, whose markup would become prompts; save the prompts as .txt, one a line")
    empty = True
    for entry in READERS.get(suffix, line_prompts)(file.read(), file):
        empty = False
        yield entry
    if empty:
        raise file.error("holds no prompts; write at least one" if suffix in READERS else "holds no prompts; write one a line")


def line_prompts(text: str, file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns place and text of each line; blank lines, and those that begin with `#`, hold no prompt.

    Raises SweepFileError if the file is a table, JSON or markup, which no line of prompts begins like.
    """
    lines = split_lines(text)
    if problem := _other_format(text.strip(), next((line for line in lines if line.strip()), "")):
        raise file.error(problem)
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            yield f"line {number}", {"text": line}


def _other_format(text: str, first_line: str) -> str:
    """Returns the end of a sentence about a text that is no list of lines; empty if it is one."""
    if text[:20].lower().startswith(MARKUP_STARTS):
        return "holds markup, which would become prompts; save the prompts as .txt, one a line"
    header = [name.strip(' "').lower() for name in re.split("[,;\t]", first_line)]
    if len(header) > 1 and "text" in header and set(header) <= set(COLUMNS):
        return "begins with the header of a table; name it .csv or .tsv"
    if text.startswith("[") and _is_json(text):
        return "holds JSON; name it .json"
    if first_line.startswith("{") and _is_json(first_line):
        return "holds JSON; name it .jsonl"
    return ""


def _is_json(text: str) -> bool:
    """Returns whether a text is an object, or a list of texts and objects, and not empty."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(content) and (isinstance(content, dict) or all(isinstance(entry, str | dict) for entry in content))


READERS: dict[str, Callable[[str, TextFile], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".csv": csv_prompts,
    ".tsv": tsv_prompts,
    ".tab": tsv_prompts,
    ".json": json_prompts,
    ".jsonl": json_lines_prompts,
    ".ndjson": json_lines_prompts,
    ".yaml": yaml_prompts,
    ".yml": yaml_prompts,
}
"""Readers by suffix, in small letters; any other file has a prompt a line."""
