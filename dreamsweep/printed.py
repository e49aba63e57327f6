"""How the answer to a question is printed: as a table, as rows one under the other where that is too wide, as CSV or JSON."""

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from dreamsweep.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

LIST = 12
"""Entries of a list that are printed in a table; CSV and JSON have them all."""
NUMBERS = ("int", "uint", "float", "double", "decimal", "hugeint")


def print_table(answer: "pa.Table", console: Console) -> None:
    """A table where the console is wide enough; else each row as a list of its columns. What is piped on is as wide as it is."""
    names, rows = answer.column_names, [[_cell(value) for value in row.values()] for row in answer.to_pylist()]
    width = sum(max(map(cell_len, column)) + 3 for column in zip(names, *rows, strict=True)) + 1 if names else 0
    if console.is_terminal and width > console.width:
        _print_rows(names, rows, console)
    else:
        table = Table()
        for name, kind in zip(names, answer.schema.types, strict=True):
            table.add_column(escape(name), justify="right" if str(kind).startswith(NUMBERS) else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        console.width = max(width, console.width)
        console.print(table)
    console.print(counted(answer.num_rows, "row"), highlight=False)


def print_csv(answer: "pa.Table") -> None:
    """To standard output, with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows(row.values() for row in answer.to_pylist())


def print_json(answer: "pa.Table") -> None:
    """To standard output, a list with an object a row."""
    sys.stdout.write(json.dumps(answer.to_pylist(), indent=1, ensure_ascii=False, default=str) + "\n")


def _print_rows(names: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    for number, row in enumerate(rows, 1):
        console.print(Rule(f"{number}", align="left", style="dim"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=True):
            grid.add_row(escape(name), escape(cell))
        console.print(grid)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, list) and len(value) > LIST:
        return f"[{', '.join(_cell(one) for one in value[:3])}, … {len(value)} in all]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
