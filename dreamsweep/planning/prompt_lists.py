"""Readers of lists of prompts: JSON, JSON Lines and YAML. An entry is a text, or an object with the words of a prompt."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from dreamsweep.planning.characters import split_lines
from dreamsweep.planning.text_file import TextFile
from dreamsweep.text import quoted

NULL = "tag:yaml.org,2002:null"
DEPTH = 4
"""Levels of nesting in YAML: a prompt, its negatives, one of them, its words."""
TOO_DEEP = "it is nested too deeply; write a list of texts, or of objects with 'text'"


def json_prompts(text: str, file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns each entry's place and its words, of a list or of the list below `prompts`. Raises SweepFileError."""
    content = _parsed(text, file, "")
    entries = content["prompts"] if isinstance(content, dict) and set(content) == {"prompts"} else content
    if not isinstance(entries, list):
        raise file.error('holds no list; write the prompts as ["a red heart", "a star"]')
    for number, entry in enumerate(entries, start=1):
        yield f"entry {number}", _words(entry, file, f"entry {number}")


def json_lines_prompts(text: str, file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns each line's place and its words. Raises SweepFileError."""
    for number, line in enumerate(split_lines(text), start=1):
        if line.strip():
            place = f"line {number}"
            yield place, _words(_parsed(line, file, place), file, place)


def yaml_prompts(text: str, file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns each entry's place and its words, of a list or of the list below `prompts:`. Raises SweepFileError.

    Departure from YAML: a plain `1984`, `no` or date is a text, as nothing else could be drawn.
    """
    for node in _entries(text, file):
        place = _place(node)
        yield place, _words(_value(node, file, 1), file, place)


def yaml_comments(text: str, file: TextFile) -> Iterator[tuple[str, str]]:
    """Returns place and comment of each entry that a ` #` cuts short. Raises SweepFileError."""
    lines = split_lines(text)
    for node in _entries(text, file):
        end = node.end_mark
        if isinstance(node, yaml.ScalarNode) and node.style is None and end.line < len(lines):
            rest = lines[end.line][end.column :].strip()
            if rest.startswith("#"):
                yield _place(node), rest


def _words(entry: Any, file: TextFile, place: str) -> dict[str, Any]:
    match entry:
        case str():
            return {"text": entry}
        case dict():
            return {name: value for name, value in entry.items() if value is not None}
        case None:
            raise file.error("the entry is empty; write what to draw", place)
        case _:
            raise file.error(f"{quoted(json.dumps(entry))} is no prompt; write a text in quotes, or an object with 'text'", place)


def _parsed(text: str, file: TextFile, place: str) -> Any:
    """Parses JSON from a file, or from one line of it. Raises SweepFileError; a name twice in an object and NaN are errors as well."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        line = place or f"line {error.lineno}"
        cure = "; name a file with a value a line .jsonl" if error.msg == "Extra data" and not place else ""
        raise file.error(f"it is not JSON ({error.msg[0].lower()}{error.msg[1:]}){cure}", f"{line}, column {error.colno}") from None
    except RecursionError:
        raise file.error(TOO_DEEP, place or "line 1") from None
    except ValueError as error:
        reason = "a number has too many digits" if "digits" in str(error) else str(error)
        raise file.error(f"{reason}; write texts and weights", place or "line 1") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for name, value in pairs:
        if name in words:
            raise ValueError(f"an object has {quoted(name)} twice")
        words[name] = value
    return words


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _entries(text: str, file: TextFile) -> list[yaml.Node]:
    """Returns the nodes of a YAML list, which know their lines."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "line 1"
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise file.error(f"it is not YAML ({problem}); put texts with ':', '#' or brackets in quotes", place) from None
    except RecursionError:
        raise file.error(TOO_DEEP, "line 1") from None
    except (ValueError, OverflowError):  # as PyYAML has it for "\UFFFFFFFF"
        raise file.error("is not YAML, as an escape in it names no character; write the character itself") from None
    if isinstance(root, yaml.MappingNode) and [key.value for key, _ in root.value] == ["prompts"]:
        root = root.value[0][1]
    if root is None:
        return []
    if not isinstance(root, yaml.SequenceNode):
        raise file.error("holds no list; begin the line of each prompt with '- '")
    return list(root.value)


def _value(node: yaml.Node, file: TextFile, depth: int) -> Any:
    """Returns a node as text, None, or a list or mapping of those. Raises SweepFileError."""
    if depth > DEPTH:
        raise file.error(TOO_DEEP, _place(node))
    match node:
        case yaml.MappingNode():
            return _mapping(node, file, depth)
        case yaml.SequenceNode():
            return [_value(entry, file, depth + 1) for entry in node.value]
        case _:
            return None if node.tag == NULL else node.value


def _mapping(node: yaml.MappingNode, file: TextFile, depth: int) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise file.error("a word is a list or a mapping; put a text with brackets in quotes", _place(key))
        if key.value in words:
            raise file.error(f"the word {quoted(key.value)} stands twice; delete one of them", _place(key))
        words[key.value] = _value(value, file, depth + 1)
    if "text" not in words:
        shown = quoted(f"{next(iter(words), '')}: …")
        raise file.error(f"{shown} has no 'text'; put a prompt that holds ': ' in quotes", _place(node))
    return words


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
