"""YAML and JSON as people write them: what is twice, what is aliased, what is neither of the two."""

from pathlib import Path

import pytest

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.document import parse_document
from dreamsweep.planning.sweep_file import load_sweep, parse_text
from dreamsweep.spec import Prompt

QUOTES = "put the text in quotes"
WHOLE = "put a text with brackets or quotes into quotes as a whole"
AS_BEFORE = "as the line before"
SLASHES = "use single quotes, and / between the folders of a path"
TAG = f"is read as a tag of YAML, which no sweep has; take it out, or {QUOTES}"
BOMB = "name: t\na: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: b: c", f"1:5: not YAML: an unquoted text holds ': ', or a line is indented too far; {QUOTES}, or indent it {AS_BEFORE}."),
        ("a:\n\t- b", "2:1: not YAML: a tab stands where spaces belong; use spaces, or put the text in quotes."),
        ("- @home", "1:3: not YAML: no unquoted text begins with '@'; put the text in quotes."),
        ("- `x`", "1:3: not YAML: no unquoted text begins with '`'; put the text in quotes."),
        ("- *star", "1:3: not YAML: undefined alias 'star'; if a text begins with '*', put it in quotes."),
        ('- "a" b', f"1:7: not YAML: a text, a list or a line does not end before 'b'; {WHOLE}."),
        ("a: 'b", "1:6: not YAML: a quote or a bracket is opened and never closed; close it."),
        ("a: [b", "1:6: not YAML: a quote or a bracket is opened and never closed; close it."),
        ('a: "C:\\Users"', f"1:9: not YAML: a backslash in double quotes begins an escape; {SLASHES}."),
        ("name: t\npromts\nengines: x", "3:1: not YAML: a line is neither 'word: value' nor '- entry'; write it as one of them."),
        ("a: 1\n---\nb: 2", "2:1: not YAML: a second document begins ('---'); a file holds one sweep, so make it two files."),
        ("a: b\nc: d\0", "2:5: a control character (U+0000) is no text; save the file as UTF-8 text."),
        ("a: &a [*a]", "1:4: an alias (*name) stands inside what it is short for; write that out."),
        ("a: &a {<<: *a}", "1:4: an alias (*name) stands inside what it is short for; write that out."),
        (BOMB, " its aliases (*name) come to 1,234,567,911 values, at most 1,000,000 are read; write fewer."),
        ("[" * 5000, " brackets or lines are nested too deeply to be a sweep; a sweep needs five levels or so."),
        ('{"a": ' * 5000, " brackets or lines are nested too deeply to be a sweep; a sweep needs five levels or so."),
        ('{"a": 1, // one\n "b": 2}', "1:10: JSON has no comments, and '//' begins one; take it out."),
        ('{"a": "b" "c"}', "1:11: not JSON: expecting ',' delimiter."),
    ],
)  # fmt: skip
def test_texts_that_are_neither_yaml_nor_json(text: str, sentence: str) -> None:
    with pytest.raises(SweepFileError) as error:
        parse_document(text, "f")
    assert str(error.value) == f"f:{sentence}"


@pytest.mark.parametrize(
    ("text", "path", "place", "first"),
    [
        ("a: 1\nb: 2\na: 3", ("a",), (3, 1), 1),
        ("b:\n- {x: 1, y: 2,\n   x: 3}", ("b", 0, "x"), (3, 4), 2),
        ('{"a": 1,\n "a": 2}', ("a",), (2, 2), 1),
        ('{"b": [{"x": 1},\n\t{"x": 2, "x": 3}]}', ("b", 1, "x"), (2, 11), 2),
        ('a: 1\n"a": 2', ("a",), (2, 1), 1),
    ],
)
def test_a_word_that_is_written_twice(text: str, path: tuple[str | int, ...], place: tuple[int, int], first: int) -> None:
    (mistake,) = parse_document(text, "f").mistakes
    assert (mistake.path, mistake.place) == (path, place)
    assert mistake.sentence == f"here twice, first in line {first}; keep one of them"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no: 1", 'the word no is read as the truth value false; put it in quotes: "no"'),
        ("1984: 1", 'the word 1984 is read as the number 1984; put it in quotes: "1984"'),
        ("? [a]\n: b", "a list or a mapping stands where a word belongs; braces and brackets of a text go in quotes"),
        ("a: !!python/object/apply:os.system [ls]", f"'!!python/object/apply:os.system' {TAG}"),
        ('{"a": "//",\n /* two */ "b": 2}', "'/*' begins a comment, which neither JSON nor YAML has; take it out"),
        ("a: !!set {b, c}", f"'!!set' {TAG}"),
        ("a: " + "1" * 5000, f"'{'1' * 56}…' is read as a number that is none; if it is a text, put it in quotes"),
    ],
)  # fmt: skip
def test_parts_that_no_sweep_has(text: str, sentence: str) -> None:
    assert [mistake.sentence for mistake in parse_document(text, "f").mistakes] == [sentence]


def test_anchors_and_merge_keys() -> None:
    text = """
name: t
prompts: &things [a heart, "*star"]
engines:
  - &small {engine: dalle, cutouts: 2, image_size: 64}
  - {<<: *small, cutouts: 4}
  - <<: [*small, {noise: 0}]
    image_size: 32
"""
    document = parse_document(text, "f")
    assert document.mistakes == []
    assert document.content["engines"][1] == {"engine": "dalle", "cutouts": 4, "image_size": 64}
    assert document.content["engines"][2] == {"engine": "dalle", "cutouts": 2, "image_size": 32, "noise": 0}
    assert document.place(("engines", 1, "cutouts")) == (6, 18)
    assert document.place(("engines", 1, "image_size")) == (5, 40)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "prompts": ["a \\ud83d\\ude00 face"], "engines": ["dalle"]}\n\n',
        '\ufeff{"name":\t"x",\r\n\t"prompts": ["a \\ud83d\\ude00 face"],\t"engines": ["dalle"]}\r\n',
        '{"name": "x", "prompts": ["a \\ud83d\\ude00 face",],\t"engines": ["dalle"],\n}',
        '\ufeffname: x\nprompts: ["a \\U0001f600 face"]\nengines: [dalle]\n',
        'name: x\nprompts: ["a \\ud83d\\ude00 face"]\nengines: [dalle]\n',
    ],
)
def test_emoji_tabs_marks_and_commas(text: str) -> None:
    assert parse_text(text, Path("/"), "f").prompts == (Prompt(text="a 😀 face"),)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", r"sweep file '.*f' holds nothing; it must hold 'name:', 'prompts:' and 'engines:'\."),
        (b"# only a comment\n", r"holds nothing; it must hold"),
        (b"---\n...\n", r"holds nothing; it must hold"),
        (b'["a"]', r"holds a list; it must hold"),
        (b"a red heart", r"holds a text; it must hold"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4}', r"holds 'cells', 'metadata', 'nbformat', no word of a sweep; it must hold"),
        (b"\x89PNG\r\n\x1a\n", r"cannot be read: it is not UTF-8 text\."),
        ("name: t".encode("utf-16"), r"cannot be read: it is not UTF-8 text\."),
        ("name: t".encode("utf-16-le"), r"f:1:2: a control character \(U\+0000\) is no text; save the file as UTF-8 text\."),
    ],
)
def test_files_of_other_kinds(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(SweepFileError, match=sentence):
        load_sweep(tmp_path / "f")


@pytest.mark.parametrize(("path", "sentence"), [("", "Is a directory"), ("a\0b", "null byte"), ("x" * 300, "name too long")])
def test_paths_of_no_file(tmp_path: Path, path: str, sentence: str) -> None:
    with pytest.raises(SweepFileError, match=f"cannot be read: .*{sentence}"):
        load_sweep(tmp_path / path)
