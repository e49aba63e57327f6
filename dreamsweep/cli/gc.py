"""`dreamsweep gc`: what nobody needs any more."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import same_command, say

if TYPE_CHECKING:
    from dreamsweep.results.cleanup import Garbage
    from dreamsweep.store import Store


def gc(
    sweeps: Annotated[list[str] | None, typer.Argument(metavar="[SWEEP]…", help="Only of these sweeps.", show_default=False)] = None,
    store: StoreUri = "runs",
    older_than: Annotated[str, typer.Option(help="Leave alone what is younger: 12h, 30d.")] = "7d",
    keep: Annotated[list[str] | None, typer.Option(help="Leave these sweeps alone: names, or patterns with *.", show_default=False)] = None,
    staging: Annotated[bool, typer.Option("--staging", help="Also rows and kept states of shards whose trials are all published.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this, only say what would go.")] = False,
) -> None:
    """Remove what nobody needs any more: never what a manifest names, nor a picture of a trial that is made.

    With --apply, the marks and duels that people left, an object each, come into one file a table.
    """
    from fnmatch import fnmatchcase

    from dreamsweep.errors import StoreError
    from dreamsweep.results.cleanup import ALIVE_SECONDS, garbage, now_of, warn_of_skipped
    from dreamsweep.store import open_store
    from dreamsweep.text import counted, format_bytes, format_seconds, parsed_seconds

    def wanted(sweep: str) -> bool:
        return (not sweeps or sweep in sweeps) and not any(fnmatchcase(sweep, pattern) for pattern in keep or ())

    age, console, opened = parsed_seconds(older_than, "--older-than"), Console(), open_store(store)
    now = now_of(opened)
    removable = list(garbage(opened, now - age, wanted, staging, alive_since=now - ALIVE_SECONDS))
    table = Table("sweep", "what", "objects", "size", "oldest", box=None)
    for sweep, kind in sorted({(entry.sweep, entry.kind) for entry in removable}):
        mine = [entry for entry in removable if (entry.sweep, entry.kind) == (sweep, kind)]
        oldest = format_seconds(now - min(entry.modified for entry in mine))
        table.add_row(escape(sweep) or "–", kind, f"{len(mine):,}", format_bytes(sum(entry.size for entry in mine)), oldest)
    if removable:
        console.print(table)
    total = f"{counted(len(removable), 'object')}, {format_bytes(sum(entry.size for entry in removable))}"
    if not removable:
        say(f"Nothing can go (--older-than {older_than}).")
    elif apply:
        _remove(removable, console)
        say(f"Removed: {total}.")
    else:
        say(f"{total} can go; nothing was removed. To remove them: {same_command()} --apply")
    if apply:
        for sweep in filter(wanted, opened.folders()):
            try:
                _fold_marks(opened, sweep)
            except StoreError as mistake:
                warn_of_skipped(sweep, mistake)


def _fold_marks(store: "Store", sweep: str) -> None:
    """Gathers the marks and duels that people left on a sweep, an object each, in one file a table."""
    from dreamsweep.results.appended import appended_rows, fold
    from dreamsweep.tables.registry import APPENDED
    from dreamsweep.text import counted

    for name, noun in (("ratings", "mark"), ("duels", "duel")):
        _, single = appended_rows(store, sweep, APPENDED[name])
        if single:
            say(f"{sweep}: {counted(fold(store, sweep, name), noun)} of people in one file now.")


def _remove(removable: "Sequence[Garbage]", console: Console) -> None:
    """Removes the objects one after the other, in an order that may be interrupted at any moment."""
    from rich.progress import track

    for entry in track(removable, "removing", console=console, transient=True, disable=not console.is_terminal):
        entry.remove()
