"""`dreamsweep gc`: what nobody needs any more."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dreamsweep.commands.options import StoreUri
from dreamsweep.commands.terminal import same_command

if TYPE_CHECKING:
    from dreamsweep.garbage import Garbage


def gc(
    sweeps: Annotated[list[str] | None, typer.Argument(metavar="[SWEEP]…", help="Only of these sweeps.", show_default=False)] = None,
    store: StoreUri = "runs",
    older_than: Annotated[str, typer.Option(help="Leave alone what is younger: 12h, 30d.")] = "7d",
    keep: Annotated[list[str] | None, typer.Option(help="Leave these sweeps alone: names, or patterns with *.", show_default=False)] = None,
    staging: Annotated[bool, typer.Option("--staging", help="Also rows of shards whose trials are all published.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this, only say what would go.")] = False,
) -> None:
    """Remove what nobody needs any more: never what a manifest names, nor a picture of a trial that is made (docs/operate.md)."""
    from fnmatch import fnmatchcase

    from dreamsweep.garbage import garbage
    from dreamsweep.store import open_store
    from dreamsweep.words import counted, parsed_seconds, told_bytes, told_seconds

    def wanted(sweep: str) -> bool:
        return (not sweeps or sweep in sweeps) and not any(fnmatchcase(sweep, pattern) for pattern in keep or ())

    now, console = time.time(), Console()
    found = list(garbage(open_store(store), now - parsed_seconds(older_than, "--older-than"), wanted, staging))
    table = Table("sweep", "what", "objects", "size", "oldest", box=None)
    for sweep, kind in sorted({(one.sweep, one.kind) for one in found}):
        mine = [one for one in found if (one.sweep, one.kind) == (sweep, kind)]
        oldest = told_seconds(now - min(one.modified for one in mine))
        table.add_row(sweep or "–", kind, f"{len(mine):,}", told_bytes(sum(one.size for one in mine)), oldest)
    if found:
        console.print(table)
    total = f"{counted(len(found), 'object')}, {told_bytes(sum(one.size for one in found))}"
    if not found:
        typer.echo(f"Nothing can go (--older-than {older_than}).")
    elif apply:
        _remove(found, console)
        typer.echo(f"Removed: {total}.")
    else:
        typer.echo(f"{total} can go; nothing was removed. To remove them: {same_command()} --apply")


def _remove(found: "Sequence[Garbage]", console: Console) -> None:
    """One after the other: the order is such that it may end at any moment."""
    from rich.progress import track

    for one in track(found, "removing", console=console, transient=True, disable=not console.is_terminal):
        one.remove()
