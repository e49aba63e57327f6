"""Explanation of texts that are neither YAML nor JSON."""

import json
import re

import yaml

JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
QUOTES = "put the text in quotes"


def explain_unparsable(error: yaml.YAMLError, text: str) -> str:
    """Returns place and sentence of what is no YAML: `:3:5: not YAML: …`."""
    if isinstance(error, yaml.reader.ReaderError):
        position, character = error.position, error.character
        line, column = _line_of(text, position)
        code = character if isinstance(character, int) else ord(character)
        return f":{line}:{column}: a control character (U+{code:04X}) is no text; save the file as UTF-8 text."
    mark, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", None) or "it cannot be parsed")
    if mark is None:
        return f": not YAML: {problem}."
    sentence = f"not YAML: {_cure(problem, text[mark.index : mark.index + 1])}"
    line, column = mark.line + 1, mark.column + 1
    if re.match(r'\s*\{\s*(//|/\*|")', text):
        line, column, sentence = _explain_json(text)
    return f":{line}:{column}: {sentence}."


def _explain_json(text: str) -> tuple[int, int, str]:
    """Returns line, column and sentence of what is no JSON."""
    without_texts = JSON_TEXT.sub(lambda match: "_" * len(match[0]), text)
    if comment := re.search(r"//|/\*", without_texts):
        line, column = _line_of(text, comment.start())
        return line, column, f"JSON has no comments, and {comment[0]!r} begins one; take it out"
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, error.colno, f"not JSON: {error.msg[0].lower()}{error.msg[1:]}"
    except ValueError:
        pass
    return 1, 1, "a number has thousands of digits; write one that a sweep can use"


def _cure(problem: str, character: str) -> str:
    """Returns a sentence, without its full stop, for a problem as PyYAML puts it."""
    if problem == "mapping values are not allowed here":
        return f"an unquoted text holds ': ', or a line is indented too far; {QUOTES}, or indent it as the line before"
    if character == "\t" or "'\\t'" in problem:
        return "a tab stands where spaces belong; use spaces, or put the text in quotes"
    if problem.startswith("found unknown escape character") or problem.startswith("expected escape sequence"):
        return "a backslash in double quotes begins an escape; use single quotes, and / between the folders of a path"
    if problem.startswith("found undefined alias"):
        return f"{problem.removeprefix('found ')}; if a text begins with '*', put it in quotes"
    if problem == "but found another document":
        return "a second document begins ('---'); a file holds one sweep, so make it two files"
    if problem == "could not find expected ':'":
        return "a line is neither 'word: value' nor '- entry'; write it as one of them"
    if "end of stream" in problem or "<stream end>" in problem:
        return "a quote or a bracket is opened and never closed; close it"
    if "cannot start any token" in problem:
        return f"no unquoted text begins with {character!r}; {QUOTES}"
    if "but found" in problem or "but got" in problem:
        return f"a text, a list or a line does not end before {character!r}; put a text with brackets or quotes into quotes as a whole"
    return problem


def _line_of(text: str, index: int) -> tuple[int, int]:
    """Returns line and column, from 1, of a character."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
