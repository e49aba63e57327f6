"""Tables of prompts: read as spreadsheets write them, and refused with the line where a text would be lost."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.spec import Phrase
from tests.dreamsweep.planning.prompt_reading import lines, read_or_refused, read_prompts, read_texts, seen, sentence_about, texts, weights


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('text\n"a castle, by the sea"\na fox\n', ["a castle, by the sea", "a fox"]),
        ("text\na castle, by the sea, at night\na fox\n", ["a castle, by the sea, at night", "a fox"]),
        ('text\na 5" pipe, rusty\n', ['a 5" pipe, rusty']),
        ("text\na fox,\na hare,,\n", ["a fox", "a hare"]),
        ("text,,\na fox,,\n,,\n", ["a fox"]),
        ('text\n"a ""small"" fox"\n', ['a "small" fox']),
        ('text\na "small" fox\n', ['a "small" fox']),
        ('text\n"a fox\nin snow"\na hare\n', ["a fox\nin snow", "a hare"]),
        ("text\ra fox\ra hare\r", ["a fox", "a hare"]),
        ("\n\ntext\na fox\n", ["a fox"]),
        ("text;weight\na fox, red;2\n", ["a fox, red"]),
        ('"text";"weight"\n"a fox; red";"2"\n', ["a fox; red"]),
        ("sep=;\ntext;weight\na fox;2\n", ["a fox"]),
        ("weight\ttext\n2\ta fox\n", ["a fox"]),
        ("text\n# a fox\n", ["# a fox"]),
    ],
)
def test_texts_are_whole(content: str, expected: list[str]) -> None:
    assert read_texts("p.csv", content) == expected


def test_every_column_is_read() -> None:
    (prompt,) = read_prompts("p.csv", " Text , WEIGHT,also,negatives,to\na fox,2.5,fur|snow,blur,a hare|a deer\n")
    assert (prompt.text, prompt.weight, prompt.to) == ("a fox", 2.5, ("a hare", "a deer"))
    assert prompt.also == (Phrase(text="fur"), Phrase(text="snow")) and prompt.negatives == (Phrase(text="blur"),)


def test_where_semicolons_separate_numbers_have_decimal_commas() -> None:
    assert [prompt.weight for prompt in read_prompts("p.csv", "text;weight\na fox;1,5\na hare;0.5\n")] == [1.5, 0.5]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('text\na fox\n"a hare\na deer\n', " (p.csv, line 3): a quote that opens here is never closed; "),
        ('text\n"a hare\na "deer"\n', " (p.csv, line 2): a quote that opens here closes before its field ends; "),
        ('text\n"a" hare\n', " (p.csv, line 2): a quote that opens here closes before its field ends; "),
        (f'text\n"{"a fox " * 30_000}', " (p.csv, line 2): a quote that opens here is never closed; "),
        ("text\n" + "fox" * 50_000, " (p.csv, line 2): a text has more than 131,072 characters; shorten it."),
        ("text\na hare\n" + "fox" * 1_000, " (p.csv, line 3): text has 3,000 characters; at most 2,000 are read "),
        (
            "text,to\na fox,a hare\na castle, sea, night\n",
            " (p.csv, line 3): 3 fields for the columns text, to; put a text that holds ',' in ",
        ),
        ('text\n"a fox, red", blue\n', " (p.csv, line 2): 2 fields for the columns text; put a text that holds ',' in double quotes."),
        ("text,\na fox,red\n", " (p.csv, line 2): 2 fields for the columns text; "),
        ("weight,text\n2\n", " (p.csv, line 2): text is empty; write what to draw."),
        ("text,weight\n\na fox,heavy\n", " (p.csv, line 3): weight: 'heavy' is not valid: input should be a valid number"),
        ("text,weight\na fox,inf\n", " (p.csv, line 2): weight: 'inf' is not valid: input should be a finite number."),
        ("text,weight\na fox,-1\n", " (p.csv, line 2): weight: '-1' is not valid: input should be greater than 0."),
        ("a fox\na hare\n", ": 'p.csv' has the columns 'a fox'; its first line needs 'text', and may have 'weight', 'also', "),
        ("text,style\na fox,oil\n", ": 'p.csv' has the columns 'text', 'style'; its first line needs 'text', "),
        ("text,Text\na fox,a hare\n", ": 'p.csv' has the column 'text' twice; delete or rename one of them."),
        ("", ": 'p.csv' has the columns none; its first line needs 'text', "),
        (",".join("abcdefghijkl"), ": 'p.csv' has the columns 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 4 others; its first line "),
    ],
)
def test_what_would_be_lost_is_refused_with_its_line(content: str, sentence: str) -> None:
    assert sentence_about("p.csv", content).startswith(sentence)


def test_tabs_of_a_tsv_are_never_part_of_a_text() -> None:
    assert sentence_about("p.tsv", "text\na fox\tred\n").startswith(" (p.tsv, line 2): 2 fields for the columns text; ")


def table(rows: list[tuple[object, ...]], delimiter: str = ",", quote_all: bool = False) -> str:
    """Returns a table as Python's csv module writes it."""
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerows(rows)
    return written.getvalue()


@given(st.lists(st.tuples(texts, weights), min_size=1, max_size=6), st.sampled_from(",;\t"), st.booleans())
def test_tables_come_back(rows: list[tuple[str, float]], delimiter: str, quote_all: bool) -> None:
    content = table([("text", "weight"), *rows], delimiter, quote_all)
    expected = [(*seen([text]), weight) for text, weight in rows]
    for name in ("p.csv", "p.tsv"):
        assert [(prompt.text, prompt.weight) for prompt in read_prompts(name, content)] == expected


@given(st.lists(texts, min_size=1, max_size=6), st.booleans())
def test_single_columns_come_back(expected: list[str], quote_all: bool) -> None:
    assert read_texts("p.csv", table([("text",), *((text,) for text in expected)], quote_all=quote_all)) == seen(expected)


@given(st.lists(lines.map(lambda line: f"a{line}b"), min_size=1, max_size=6).filter(lambda lines: ',"' not in "".join(lines)))
def test_lines_below_a_single_column_come_back(expected: list[str]) -> None:
    assert read_texts("p.csv", "\n".join(["text", *expected])) == expected


@given(st.lists(st.lists(st.sampled_from(['"', '""', ",", ";", "\t", "a", "1", " "]), max_size=12).map("".join), min_size=1, max_size=6))
def test_a_row_is_a_prompt_or_an_error(rows: list[str]) -> None:
    for header in ("text", "text,weight", "text;to"):
        prompts = read_or_refused("p.csv", "\n".join([header, *rows]))
        filled = [row for row in rows if row.strip(' ,;\t"')]
        if prompts and '"' not in "".join(rows):
            assert len(prompts) >= len(filled)
