"""`dreamsweep query`: SQL over what is published."""

from typing import Annotated

import typer
from rich.console import Console

from dreamsweep.commands.options import StoreUri


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; the tables are trials and scores.", show_default=False)],
    store: StoreUri = "runs",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a row.")] = False,
) -> None:
    """Ask DuckDB about every published sweep of a store (docs/query.md lists the columns)."""
    from dreamsweep.printed import print_csv, print_json, print_table
    from dreamsweep.query import query as ask
    from dreamsweep.store import open_store

    answer = ask(open_store(store), sql)
    if json:
        print_json(answer)
    elif csv:
        print_csv(answer)
    else:
        print_table(answer, Console())
