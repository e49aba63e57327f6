"""Files of text: every encoding that says what it is, and a sentence with the place for the others."""

from pathlib import Path

import pytest

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.text_file import TextFile
from tests.dreamsweep.planning.prompt_reading import read_texts, sentence_about

CAFE = "a café\na fox \U0001f98a\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_that_names_its_encoding_is_read(encoding: str) -> None:
    assert read_texts("p.txt", CAFE.encode(encoding)) == ["a café", "a fox \U0001f98a"]


def test_byte_order_marks_of_both_orders() -> None:
    assert read_texts("p.txt", b"\xfe\xff" + CAFE.encode("utf-16-be")) == read_texts("p.txt", b"\xff\xfe" + CAFE.encode("utf-16-le"))
    assert read_texts("p.txt", b"\0\0\xfe\xff" + CAFE.encode("utf-32-be")) == ["a café", "a fox \U0001f98a"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a star\na café".encode("latin-1"), ": 'p.txt' is not UTF-8 text (byte 0xe9 in line 2); save it as UTF-8."),
        (b"\xff\xfea", ": 'p.txt' is not UTF-16-LE text (byte 0x61 in line 1); save it as UTF-8."),
        (CAFE.encode("utf-16-le"), ": 'p.txt' is UTF-16 text without a byte order mark, or no text at all; save it as UTF-8."),
        (CAFE.encode("utf-16-be"), ": 'p.txt' is UTF-16 text without a byte order mark, or no text at all; save it as UTF-8."),
        (
            b"PK\x03\x04\x14\x00\x06\x00\xff",
            ": 'p.txt' is a zip archive or an Excel workbook, not a list of prompts; save the prompts as .txt or .csv, in UTF-8.",
        ),
        (b"\x89PNG\r\n\x1a\n", ": 'p.txt' is a PNG picture, not a list of prompts; save the prompts as .txt or .csv, in UTF-8."),
        ("a star\na r\x00ed heart", " (p.txt, line 2, column 4): the text holds the invisible character U+0000; delete it."),
        ("a star\r\n\x1b[31m red", " (p.txt, line 2, column 1): the text holds the invisible character U+001B; delete it."),
        ("a star\ra\x9bb", " (p.txt, line 2, column 2): the text holds the invisible character U+009B; delete it."),
        ("a \u202eheart", " (p.txt, line 1, column 3): the text holds the invisible character U+202E; delete it."),
        ("a heart\u2028a star", " (p.txt, line 1, column 8): the text holds the invisible character U+2028; delete it."),
        ("a heart\n\ufeffa star", " (p.txt, line 2, column 1): the text holds the invisible character U+FEFF; delete it."),
    ],
)
def test_what_is_no_plain_text_is_refused_with_its_place(content: str | bytes, sentence: str) -> None:
    assert sentence_about("p.txt", content) == sentence


@pytest.mark.parametrize(
    "text", ["RIFF raff", "PK-7 camera", "GIF89a of a cat", "\u05e9\u05dc\u05d5\u05dd \u200f!", "a \U0001f469\u200d\U0001f680"]
)
def test_text_that_looks_like_something_else_is_text(text: str) -> None:
    assert read_texts("p.txt", text) == [text]


@pytest.mark.parametrize(("path", "reason"), [("nowhere.txt", "No such file"), (".", "Is a directory"), ("a\0b.txt", "cannot be the name")])
def test_a_file_that_is_not_there(tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(SweepFileError, match=r"^prompts\[0\]\.file: '.*' cannot be .*\.$") as raised:
        TextFile(tmp_path / path, "prompts[0].file").read()
    assert reason in str(raised.value)


def test_a_file_s_name_never_reaches_the_terminal_as_it_is() -> None:
    assert sentence_about("a\x1b[31m.csv", 'text\n"') == (
        " ('a\\x1b[31m.csv', line 2): a quote that opens here is never closed; close it, or double the quotes that belong to a text."
    )
