"""`dreamsweep show`: a sweep as pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import place, say

if TYPE_CHECKING:
    from dreamsweep.store import Store


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
            target = to / f"{sweep}-{key.rsplit('/', 1)[1]}"
            _copy(opened, key, target)
            say(str(target))


def _copy(store: "Store", key: str, target: Path) -> None:
    from dreamsweep.errors import StoreError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.read(key))
    except OSError as error:
        raise StoreError(f"--to {str(target.parent)!r}: {target.name} cannot be written there ({error.strerror}).") from None
