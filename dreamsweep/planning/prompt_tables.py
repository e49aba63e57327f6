"""Reader of tables of prompts, CSV and TSV: a header, then a prompt a row."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.text_file import TextFile
from dreamsweep.text import quoted_list

COLUMNS = ("text", "weight", "also", "negatives", "to")
"""Columns that a table may have; `also`, `negatives` and `to` hold texts with `|` between."""
Row = tuple[str, list[str], str]
"""Place of a row, such as `line 3`, its cells, and the characters that it was read from."""


def csv_prompts(text: str, file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns each row's place and the words of its prompt. Raises SweepFileError, with the line."""
    return _prompts(text, file, ",;\t")


def tsv_prompts(text: str, file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns each row's place and the words of its prompt. Raises SweepFileError, with the line."""
    return _prompts(text, file, "\t,;")


def _prompts(text: str, file: TextFile, delimiters: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Reads the table with the first delimiter that gives its header a column `text`."""
    lines = list(io.StringIO(text, newline=""))
    first = 0
    if lines and (separator := re.fullmatch(r"sep=([,;\t])\s*", lines[0])):  # Excel's own first line
        delimiters, first = separator[1], 1
    delimiter, columns = _header(lines, first, delimiters, file)
    _check_columns([column for column in columns if column], file)
    rows = _rows(lines, first, delimiter, file)
    next(rows)
    for place, cells, raw in rows:
        yield place, _words(columns, cells, raw, delimiter, file, place)


def _header(lines: list[str], first: int, delimiters: str, file: TextFile) -> tuple[str, list[str]]:
    """Returns the delimiter that gives the first row a column `text`, else the first one, and the row's columns."""
    for delimiter in delimiters:
        with suppress(SweepFileError):  # quotes that do not match this delimiter may match the next
            if "text" in (columns := _columns(lines, first, delimiter, file)):
                return delimiter, columns
    return delimiters[0], _columns(lines, first, delimiters[0], file)


def _columns(lines: list[str], first: int, delimiter: str, file: TextFile) -> list[str]:
    _, cells, _ = next(_rows(lines, first, delimiter, file), ("", [], ""))
    return [cell.strip().lower() for cell in cells]


def _check_columns(columns: list[str], file: TextFile) -> None:
    if "text" not in columns or not set(columns) <= set(COLUMNS):
        optional = quoted_list(COLUMNS[1:], "other")
        raise file.error(f"has the columns {quoted_list(columns, 'other')}; its first line needs 'text', and may have {optional}")
    if double := next((column for column in columns if columns.count(column) > 1), ""):
        raise file.error(f"has the column {double!r} twice; delete or rename one of them")


def _rows(lines: list[str], first: int, delimiter: str, file: TextFile) -> Iterator[Row]:
    """Returns each row that is not blank. Raises SweepFileError where quotes do not match."""
    reader = csv.reader(lines[first:], delimiter=delimiter, strict=True)
    while True:
        start = first + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise file.error(_quote_problem(str(error), lines[start]), f"line {start + 1}") from None
        if any(cell.strip() for cell in cells):
            yield f"line {start + 1}", cells, "".join(lines[start : first + reader.line_num])


def _quote_problem(error: str, line: str) -> str:
    """Returns the end of a sentence for an error of the csv module."""
    if "field limit" in error and '"' not in line:
        return f"a text has more than {csv.field_size_limit():,} characters; shorten it"
    if "expected after" in error:
        return "a quote that opens here closes before its field ends; double the quotes that belong to a text"
    return "a quote that opens here is never closed; close it, or double the quotes that belong to a text"


def _words(columns: list[str], cells: list[str], raw: str, delimiter: str, file: TextFile, place: str) -> dict[str, Any]:
    """Returns the words of the prompt in a row. Raises SweepFileError where a cell has no column."""
    homeless = [cell for column, cell in zip(columns, cells, strict=False) if not column] + cells[len(columns) :]
    if any(cell.strip() for cell in homeless):
        if columns == ["text"] and delimiter == "," and not re.search('(^|,)"', raw):
            return {"text": raw.strip()}  # its commas cannot separate columns
        names = ", ".join(column for column in columns if column)
        raise file.error(f"{len(cells)} fields for the columns {names}; put a text that holds {delimiter!r} in double quotes", place)
    row = {column: cell for column, cell in zip(columns, cells, strict=False) if column}
    words: dict[str, Any] = {"text": row.get("text", "")}
    if weight := row.get("weight", "").strip():
        words["weight"] = weight.replace(",", ".") if delimiter == ";" else weight  # where ';' separates, numbers have decimal commas
    for column in ("also", "negatives", "to"):
        if texts := tuple(text for text in row.get(column, "").split("|") if text.strip()):
            words[column] = texts
    return words
