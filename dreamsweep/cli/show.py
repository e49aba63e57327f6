"""`dreamsweep show`: a sweep as pictures."""

from pathlib import Path
from typing import Annotated

import typer

from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import copy_to, place, say


def show(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A published sweep's name.", show_default=False)],
    store: StoreUri = "runs",
    to: Annotated[Path | None, typer.Option(help="A folder to put copies in.", show_default=False)] = None,
) -> None:
    """Draw a sweep's contact sheet, every page of it, and its score curves as PNG, and say where they are."""
    from dreamsweep.report.summary import write_summary
    from dreamsweep.store import open_store

    opened = open_store(store)
    for key in write_summary(opened, sweep):
        say(place(opened, key))
        if to is not None:
            say(str(copy_to(opened, key, to / f"{sweep}-{key.rsplit('/', 1)[1]}")))
