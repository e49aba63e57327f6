"""The prompt of `dreamsweep query` without SQL: statements of several lines, a history, and the documented questions."""

import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType

from dreamsweep.cli.terminal import say, state_folder, tell
from dreamsweep.errors import DreamsweepError, UserError
from dreamsweep.report.questions import questions
from dreamsweep.tables.registry import TABLES

FIRST, NEXT = "sql> ", "...> "
HISTORY = "query-history"
"""Name of the history's file in the folder of logs."""
MOST_LINES = 1_000
"""Lines of the history that are kept."""
ENDS = ("exit", "quit", "\\q")
"""Words that end it, as in other prompts for SQL."""
HELP = (
    f"Tables: {', '.join(TABLES)}; DESCRIBE trials; shows the columns of one.\n"
    "A statement ends with ; or an empty line. ? lists questions, and a number asks one of them. Ctrl-D ends it."
)


def prompt(ask: Callable[[str], None]) -> None:
    """Reads statements from the terminal and asks them one after the other, until Ctrl-D; what DuckDB refuses is said in a sentence."""
    say(HELP)
    with _history() as remember:
        while True:
            try:
                sql = _statement()
                if sql.rstrip(";").lower() in ENDS:
                    return
                if sql == "?":
                    _list_questions()
                elif sql.isdecimal():
                    sql = _question(int(sql))
                    say(sql)
                    remember(" ".join(f"{sql};".split()))
                    ask(sql)
                elif sql:
                    ask(sql)
            except EOFError:
                return say("")
            except KeyboardInterrupt:
                say("")
            except DreamsweepError as error:
                tell(str(error))


def _statement() -> str:
    """Reads lines up to one that ends with a semicolon, or is empty; `?` and a number are statements by themselves."""
    lines = [input(FIRST).strip()]
    while lines[-1] and not lines[-1].endswith(";") and not (len(lines) == 1 and (lines[0] == "?" or lines[0].isdecimal())):
        lines.append(input(NEXT).rstrip())
    return "\n".join(lines).strip()


def _list_questions() -> None:
    for number, words in enumerate(questions(), 1):
        say(f"{number:3}  {words}")


def _question(number: int) -> str:
    statements = list(questions().values())
    if not 1 <= number <= len(statements):
        raise UserError(f"{number} is no question; they have the numbers 1 to {len(statements)}.")
    return statements[number - 1]


@contextlib.contextmanager
def _history() -> Iterator[Callable[[str], None]]:
    """Yields a function that adds a line to the history; lines that are typed are added by themselves.

    It is kept in the folder of logs where that can be written, and nowhere where Python has no readline.
    """
    readline = _readline()
    if readline is None:
        yield lambda line: None
        return
    path = None
    with contextlib.suppress(UserError, OSError):
        path = state_folder() / HISTORY
        readline.read_history_file(path)
    try:
        yield readline.add_history
    finally:
        if path is not None:
            readline.set_history_length(MOST_LINES)
            with contextlib.suppress(OSError):
                readline.write_history_file(path)


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:  # on Windows
        return None
    return readline
