"""`dreamsweep report`: what a sweep shows, as one page."""

from pathlib import Path
from typing import Annotated

import typer

from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import copy_to, place, say


def report(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A published sweep's name.", show_default=False)],
    store: StoreUri = "runs",
    to: Annotated[Path | None, typer.Option(help="A folder to put copies in.", show_default=False)] = None,
) -> None:
    """Write a report on a published sweep: one HTML page with tables, plots and films, to look at or to send, and its plots as PNG."""
    from dreamsweep.report.study import write_report
    from dreamsweep.store import open_store

    opened = open_store(store)
    written = write_report(opened, sweep)
    for key in (written.page, *written.plots):
        say(place(opened, key))
        if to is not None:
            say(str(copy_to(opened, key, to / f"{sweep}-{key.rsplit('/', 1)[1]}")))
