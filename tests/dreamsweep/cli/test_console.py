"""Control characters of prompts, names and reasons never reach a terminal raw."""

import io
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from rich.table import Table

from dreamsweep.cli import main as cli
from dreamsweep.cli.console import Console
from dreamsweep.cli.display import Display
from dreamsweep.cli.terminal import prepare_output, say, tell
from dreamsweep.results.handoff import Progress, write_progress
from dreamsweep.retry import PROGRESS
from dreamsweep.store import open_store
from tests.dreamsweep.sample_rows import sample_trial, stage_sample_rows

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb"
ESCAPED = r"a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb"
Output = pytest.CaptureFixture[str]


def raw(text: str) -> set[str]:
    """Control characters in a text, line ends left out."""
    return {letter for letter in text if not letter.isprintable()} - {"\n"}


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_escapes_what_it_prints_and_keeps_its_own_colours(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system="standard" if terminal else None)
    table = Table("name")
    table.add_row(HOSTILE, style="red")
    console.print(table)
    console.print(HOSTILE, markup=False, highlight=False)
    assert out.getvalue().count(r"a\x1b]0;title") == 2 and r"\x9b31m\u202eb" in out.getvalue()
    assert raw(out.getvalue()) == ({"\x1b"} if terminal else set())
    if terminal:
        assert "\x1b[31m" in out.getvalue()


def test_lines(capsys: Output) -> None:
    say(HOSTILE)
    tell(HOSTILE)
    assert capsys.readouterr() == (f"{ESCAPED}\n", f"{ESCAPED}\n")


def test_a_failure_and_an_outage_on_the_display() -> None:
    out = io.StringIO()
    with Display(Console(file=out, width=200), "demo"):
        PROGRESS.warning("%s", HOSTILE)
    assert r"a\x1b]0;title\x1b[2J\x9b31m\u202eb" in out.getvalue() and not raw(out.getvalue())


def test_warnings_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", io.StringIO())
        patch.setattr("sys.stderr", io.StringIO())
        prepare_output()
    assert logging.lastResort
    assert logging.lastResort.format(logging.LogRecord("x", logging.WARNING, "", 0, HOSTILE, (), None)) == ESCAPED


COMMANDS = (["status"], ["status", "demo"], ["gc", "--older-than", "0s"], ["verify"], ["show", HOSTILE], ["query", "FROM trials"])


@pytest.mark.parametrize("command", COMMANDS)
def test_names_and_prompts_of_a_store(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("runs")
    trial = sample_trial(HOSTILE)
    stage_sample_rows(store, "demo", "s1", [trial])
    store.write("demo/sweep.yaml", b"name: demo")
    store.write(f"demo/pictures/{HOSTILE}/x.png", b"")
    store.write(f"[red]{HOSTILE}/pictures/x/x.png", b"")
    store.write(f"[red]{HOSTILE}/sweep.yaml", b"")
    progress = Progress(HOSTILE, HOSTILE, 1, 2, 3, None, 1.0, prompts=(HOSTILE,))
    write_progress(store, "demo", replace(progress, shard_id="s2"))
    cli.run_command(command)
    output = capsys.readouterr()
    assert not raw(output.out + output.err)
