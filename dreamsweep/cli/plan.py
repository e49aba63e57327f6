"""`dreamsweep plan`: what a sweep comes to."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from dreamsweep.cli.console import Console
from dreamsweep.cli.notes import tell_prompt_notes
from dreamsweep.cli.options import SweepFile
from dreamsweep.cli.terminal import tell

STORE = "Say what this store holds of it already: a folder, or s3://bucket/prefix."


def plan(
    file: SweepFile,
    store: Annotated[str | None, typer.Option("--store", help=STORE, show_default=False)] = None,
) -> None:
    """Say how many trials, shards and pictures a sweep comes to, and about how long and how large it gets.

    With --store also what is there already, and what would be made.
    """
    from dreamsweep.generation.foresight import forecast, unread_texts
    from dreamsweep.planning.expand import day_at, of_day
    from dreamsweep.planning.sweep_file import load_sweep
    from dreamsweep.store import open_store

    sweep = load_sweep(file)
    if store:
        sweep = of_day(sweep, day_at(sweep, datetime.now(UTC)))
    table = Table(title=sweep.name, title_justify="left", show_header=False, box=None)
    for name, value in forecast(sweep, open_store(store) if store else None):
        table.add_row(name, value)
    tell_prompt_notes(sweep)
    for note in unread_texts(sweep):
        tell(f"note: {note}")
    Console().print(table)
