"""The prompt for SQL: what is a statement, what becomes of errors, and the history."""

import builtins
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamsweep.cli import main as cli
from dreamsweep.cli import query_prompt
from dreamsweep.cli.query_prompt import FIRST, HISTORY, NEXT, prompt
from dreamsweep.errors import QueryError
from dreamsweep.report.questions import questions
from dreamsweep.store import open_store
from tests.dreamsweep.report.test_query import QUESTIONS
from tests.dreamsweep.sample_rows import publish_sample_rows

Output = pytest.CaptureFixture[str]
Types = Callable[..., list[str]]


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    """Sets what somebody types, line by line and then Ctrl-D; returns a list that the prompts are added to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def typing(*lines: str | type[BaseException]) -> list[str]:
        left: Iterator[str | type[BaseException]] = iter((*lines, EOFError))
        prompts = list[str]()

        def line(text: str) -> str:
            prompts.append(text)
            typed = next(left)
            if isinstance(typed, str):
                return typed
            raise typed

        monkeypatch.setattr(builtins, "input", line)
        return prompts

    return typing


def test_a_statement_ends_with_a_semicolon_or_an_empty_line(types: Types, capsys: Output) -> None:
    statements = list[str]()
    prompts = types("SELECT 1;", "SELECT", "  2;", "", "SELECT 3", "", "  ")
    prompt(statements.append)
    assert statements == ["SELECT 1;", "SELECT\n  2;", "SELECT 3"]
    assert prompts == [FIRST, FIRST, NEXT, FIRST, FIRST, NEXT, FIRST, FIRST]
    assert "A statement ends with ; or an empty line." in capsys.readouterr().out


def test_ctrl_c_forgets_the_statement_and_an_error_is_a_sentence(types: Types, capsys: Output) -> None:
    def refuse(sql: str) -> None:
        raise QueryError(f"{sql} is refused.")

    types("SELECT", KeyboardInterrupt, "no;")
    prompt(refuse)
    assert capsys.readouterr().err == "no; is refused.\n"


def test_questions_are_listed_and_asked_by_their_number(types: Types, capsys: Output) -> None:
    statements = list[str]()
    types("?", "2", "0", "99")
    prompt(statements.append)
    output = capsys.readouterr()
    assert "  1  The best picture of each prompt\n" in output.out
    assert statements == [list(questions().values())[1]] and statements[0] in output.out
    assert output.err.splitlines()[1] == f"99 is no question; they have the numbers 1 to {len(QUESTIONS)}."


@pytest.mark.parametrize("word", ["exit", "QUIT;", "\\q"])
def test_words_of_other_prompts_end_it(types: Types, word: str) -> None:
    prompts = types(word, "", "SELECT 1;")
    prompt(lambda sql: pytest.fail("it has ended"))
    assert prompts in ([FIRST], [FIRST, NEXT])


def test_the_questions_are_the_documented_ones() -> None:
    assert list(questions().items()) == [(words, sql.rstrip()) for words, sql in QUESTIONS]


def test_the_history_is_kept(types: Types, tmp_path: Path) -> None:
    readline = pytest.importorskip("readline", reason="Python has no readline here")
    readline.clear_history()
    types("2")
    prompt(lambda sql: None)
    kept = (tmp_path / "dreamsweep" / HISTORY).read_text(encoding="utf-8")
    assert kept.splitlines()[-1] == " ".join(f"{list(questions().values())[1]};".split())


def test_without_readline_or_a_folder_it_works_as_well(types: Types, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = list[str]()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    types("SELECT 1;")
    prompt(statements.append)
    monkeypatch.setattr(query_prompt, "_readline", lambda: None)
    types("SELECT 2;")
    prompt(statements.append)
    assert statements == ["SELECT 1;", "SELECT 2;"]


def test_without_sql_a_terminal_gets_the_prompt_and_all_else_a_sentence(
    types: Types, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    publish_sample_rows(open_store(str(tmp_path / "runs")))
    types("SELECT count(*) AS n FROM trials;")
    assert cli.run_command(["query", "--store", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err.startswith("dreamsweep: query: SQL is missing; write it in quotes, as in dreamsweep query ")
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert cli.run_command(["query", "--csv", "--store", str(tmp_path / "runs")]) == 0
    assert "\nn\n24\n" in capsys.readouterr().out
