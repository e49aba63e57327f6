"""Answers on a terminal that is wide enough, on one that is not, and through a pipe."""

import io

import pyarrow as pa
from rich.console import Console

from dreamsweep.cli.print_table import print_table

ANSWER = pa.table({"prompt": ["a [red] heart", "a rocket 🚀"], "judge_best": [0.51234, None], "note": ["x" * 60, "y"]})


def printed(terminal: bool, width: int) -> list[str]:
    out = io.StringIO()
    print_table(ANSWER, Console(file=out, force_terminal=terminal, width=width, color_system=None))
    return out.getvalue().splitlines()


def test_a_wide_terminal_shows_a_table() -> None:
    lines = printed(True, 120)
    assert "prompt" in lines[1] and "judge_best" in lines[1] and "note" in lines[1]
    assert "a [red] heart" in lines[3] and "0.5123" in lines[3] and "x" * 60 in lines[3]
    assert lines[-1] == "2 rows"


def test_on_a_narrow_terminal_each_row_is_a_list_of_its_columns() -> None:
    lines = [line.rstrip() for line in printed(True, 80)]
    assert [line.split()[0] for line in lines if line.startswith(("prompt", "judge_best", "note"))] == ["prompt", "judge_best", "note"] * 2
    assert "note        " + "x" * 60 in lines and max(map(len, lines)) <= 80


def test_a_pipe_gets_whole_lines() -> None:
    assert "x" * 60 in printed(False, 40)[3]


def test_a_long_list_is_shortened() -> None:
    out = io.StringIO()
    print_table(pa.table({"embedding": [[0.125] * 256]}), Console(file=out, width=80))
    assert "[0.125, 0.125, 0.125, … 256 in all]" in out.getvalue()


def test_an_answer_without_rows_is_a_head() -> None:
    out = io.StringIO()
    print_table(ANSWER.slice(0, 0), Console(file=out, width=80))
    assert "judge_best" in out.getvalue() and out.getvalue().endswith("0 rows\n")
