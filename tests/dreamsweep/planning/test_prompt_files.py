"""Prompt files by their suffix: a prompt a line, and what is no list of prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dreamsweep.planning.prompt_reading import lines, markup, read_or_refused, read_texts, seen, sentence_about

SUFFIXES = ("txt", "csv", "CSV", "tsv", "json", "jsonl", "yaml")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "a heart\na star\n"),
        ("p", "a heart\ra star"),
        ("p.prompts", "# two\n\na heart\r\n  a star  \n"),
        ("p.csv", "text\na heart\na star\n"),
        ("p.CSV", "Text,Weight\r\na heart,1\r\na star,\r\n"),
        ("p.tsv", "text\tweight\na heart\t1\na star\n"),
        ("p.Tab", "weight\ttext\n\ta heart\n\ta star\n"),
        ("p.json", '["a heart", {"text": "a star"}]'),
        ("p.JSON", '{"prompts": ["a heart", "a star"]}'),
        ("p.jsonl", '"a heart"\n\n{"text": "a star", "weight": null}\n'),
        ("p.ndjson", '{"text": "a heart"}\r\n{"text": "a star"}'),
        ("p.yaml", "- a heart\n- text: a star\n"),
        ("p.yml", "prompts:\n- a heart\n- 'a star'\n"),
    ],
)
def test_each_suffix_has_its_reader(name: str, content: str) -> None:
    assert read_texts(name, content) == ["a heart", "a star"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.txt", "# nothing\n", ": 'p.txt' holds no prompts; write one a line."),
        ("p.json", "[]", ": 'p.json' holds no prompts; write at least one."),
        ("p.yaml", "# nothing\n", ": 'p.yaml' holds no prompts; write at least one."),
        ("p.csv", "text\n\n,\n", ": 'p.csv' holds no prompts; write at least one."),
        ("p.HTML", "<p>", ": 'p.HTML' is a .html file, whose markup would become prompts; save the prompts as .txt, one a line."),
        ("p.md", "- a", ": 'p.md' is a .md file, whose markup would become prompts; save the prompts as .txt, one a line."),
    ],
)
def test_a_file_without_prompts(name: str, content: str, sentence: str) -> None:
    assert sentence_about(name, content) == sentence


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        ("\n text ; weight\na heart;2\n", "begins with the header of a table; name it .csv or .tsv"),
        ('"text"\t"to"\n', "begins with the header of a table; name it .csv or .tsv"),
        ('[\n"a heart",\n"a star"\n]\n', "holds JSON; name it .json"),
        ('{"text": "a heart"}\n{"text": "a star"}\n', "holds JSON; name it .jsonl"),
        ("\n<!DOCTYPE html><p>", "holds markup, which would become prompts; save the prompts as .txt, one a line"),
        ("{\\rtf1 a heart}", "holds markup, which would become prompts; save the prompts as .txt, one a line"),
    ],
)
def test_another_format_that_is_named_txt(content: str, cure: str) -> None:
    assert sentence_about("p.txt", content) == f": 'p.txt' {cure}."


@pytest.mark.parametrize(
    "line", ["text", "text, in gold", "[red] heart", "{red} heart", '"a heart"', "<b>a heart</b>", "[1984", "[1984]", "{}"]
)
def test_lines_that_look_like_another_format_are_prompts(line: str) -> None:
    assert read_texts("p.txt", f"{line}\na star\n") == [line, "a star"]


def test_only_a_line_that_begins_with_a_hash_is_a_comment() -> None:
    content = "# a comment\n#another\n #1 dad mug\na heart # in red\n// a star\na #ff0000 heart\n"
    assert read_texts("p.txt", content) == ["#1 dad mug", "a heart # in red", "// a star", "a #ff0000 heart"]


@given(st.lists(lines.filter(lambda line: not line.startswith("#")), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_lines_come_back(texts: list[str], line_end: str) -> None:
    assert read_texts("p.txt", line_end.join(["a heart", *texts])) == ["a heart", *seen(texts)]


@given(st.sampled_from(SUFFIXES), st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore")))
def test_any_bytes_are_read_or_refused_in_a_sentence(suffix: str, content: bytes) -> None:
    read_or_refused(f"p.{suffix}", content)


@given(st.sampled_from(SUFFIXES), markup)
def test_any_markup_is_read_or_refused_in_a_sentence(suffix: str, content: str) -> None:
    read_or_refused(f"p.{suffix}", content)
