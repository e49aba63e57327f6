"""Output of query results: a table, rows one under the other if that is too wide, CSV or JSON."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from dreamsweep.cli.terminal import is_unicode, spelled
from dreamsweep.planning.characters import INVISIBLE, visible
from dreamsweep.report.plain_values import csv_text, json_text, plain
from dreamsweep.text import counted

if TYPE_CHECKING:
    import pyarrow as pa

LIST = 12
"""Entries of a list that are printed in a table; CSV and JSON have them all."""
FOLDED = 24
"""Characters to which a column of words is folded at most, so that a row stays a row; words stay whole."""
NOT_ASCII = re.compile(r"[^\x00-\x7e]+")
NUMBERS = ("int", "uint", "float", "double", "decimal", "hugeint")


def print_table(answer: "pa.Table", console: Console) -> None:
    """Prints a table where the console is wide enough, with folded texts if need be; else each row as a list of its columns.

    What is piped on is as wide as it is.
    """
    names = [spelled(visible(name), console.encoding) for name in answer.column_names]
    rows = [[spelled(_cell(value), console.encoding) for value in row] for row in _rows(answer)]
    columns, lines = list(zip(names, *rows, strict=True)), 3 * len(names) + 1
    width = sum(max(map(_width, column)) for column in columns) + lines
    if console.is_terminal and sum(max(map(_folded_width, column)) for column in columns) + lines > console.width:
        _print_rows(names, rows, console)
    else:
        table = Table()
        for name, kind in zip(names, answer.schema.types, strict=True):
            table.add_column(escape(name), justify="right" if str(kind).startswith(NUMBERS) else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        console.width = console.width if console.is_terminal else max(width, console.width)
        console.print(table)
    console.print(counted(answer.num_rows, "row"), highlight=False)


def print_csv(answer: "pa.Table") -> None:
    """Writes CSV with a header to standard output."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows(map(csv_text, row) for row in _rows(answer))


def print_json(answer: "pa.Table") -> None:
    """Writes JSON to standard output: a list, with an object a row."""
    names = [json_text(name) for name in answer.column_names]
    sys.stdout.write("[")
    for number, row in enumerate(_rows(answer)):
        entries = ",".join(f"\n  {name}: {json_text(value)}" for name, value in zip(names, row, strict=True))
        sys.stdout.write(_as_stdout_holds_it(f"{',' if number else ''}\n {{{entries}\n }}"))
    sys.stdout.write("\n]\n")


def _rows(answer: "pa.Table") -> Iterator[tuple[Any, ...]]:
    return zip(*map(plain, answer.columns), strict=True)


def _as_stdout_holds_it(json: str) -> str:
    """Escapes in JSON what a terminal would obey, or standard output has no bytes for."""
    escaped = INVISIBLE if is_unicode() else NOT_ASCII
    return escaped.sub(lambda match: "".join(f"\\u{unit:04x}" for unit in memoryview(match[0].encode("utf-16-le")).cast("H")), json)


def _print_rows(names: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    for number, row in enumerate(rows, 1):
        console.print(Rule(f"{number}", align="left", style="dim"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=True):
            grid.add_row(escape(name), escape(cell))
        console.print(grid)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case str():
            return visible(value)
        case float():
            return f"{value:.4g}"
        case list() if len(value) > LIST:
            return f"[{', '.join(map(_cell, value[:3]))}, … {len(value)} in all]"
        case list():
            return f"[{', '.join(map(_cell, value))}]"
        case dict():
            return f"{{{', '.join(f'{visible(name)}: {_cell(entry)}' for name, entry in value.items())}}}"
        case _:
            return csv_text(value)


def _width(cell: str) -> int:
    return max(map(cell_len, cell.splitlines()), default=0)


def _folded_width(cell: str) -> int:
    return max(min(_width(cell), FOLDED), max(map(cell_len, cell.split()), default=0))
