"""`dreamsweep query`: SQL over what is published."""

import sys
from typing import Annotated

import typer

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import StoreUri
from dreamsweep.errors import UserError

SQL = "One statement; the tables are trials, scores, embeddings, files, judgements, set_scores, ratings and duels. \
`best`: the best trial of each prompt and engine. Without it, a prompt."

UNSAFE = "Allow whatever DuckDB can do: several statements, COPY, and reading and writing any file. For SQL that you wrote yourself."


def query(
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help=SQL, show_default=False)] = None,
    store: StoreUri = "runs",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a row.")] = False,
    unsafe: Annotated[bool, typer.Option("--unsafe", help=UNSAFE)] = False,
) -> None:
    """Ask DuckDB about every published sweep of a store (`DESCRIBE trials` lists the columns)."""
    from dreamsweep.cli.print_table import print_csv, print_json, print_table
    from dreamsweep.cli.query_prompt import prompt
    from dreamsweep.report.best import BEST
    from dreamsweep.report.query import query as answer_of
    from dreamsweep.store import open_store

    opened = open_store(store)

    def ask(statement: str) -> None:
        answer = answer_of(opened, BEST if statement.strip().rstrip(";") == "best" else statement, unsafe=unsafe)
        if json:
            print_json(answer)
        elif csv:
            print_csv(answer)
        else:
            print_table(answer, Console())

    if sql is not None:
        ask(sql)
    elif sys.stdin.isatty() and sys.stdout.isatty():
        prompt(ask)
    else:
        raise UserError('query: SQL is missing; write it in quotes, as in dreamsweep query "SELECT prompt, judge_best FROM trials".')
