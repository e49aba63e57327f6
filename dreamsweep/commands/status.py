"""`dreamsweep status`: how far sweeps are."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dreamsweep.commands.options import StoreUri

if TYPE_CHECKING:
    from dreamsweep.manifest import Manifest
    from dreamsweep.status import SweepStatus

ROWS = 40
"""Of running shards, at most."""


def status(
    sweep: Annotated[str | None, typer.Argument(metavar="SWEEP", help="A sweep's name; else all of them.", show_default=False)] = None,
    store: StoreUri = "runs",
) -> None:
    """Say how far a sweep is, wherever its shards are made: the store tells."""
    from dreamsweep.status import every_status, sweep_status
    from dreamsweep.store import open_store
    from dreamsweep.words import counted

    if sweep is None:
        opened = open_store(store)
        return _tell_all(every_status(opened), opened.uri)
    found = sweep_status(open_store(store), sweep)
    told = [f"{counted(found.made, 'shard')} made", f"{len(found.running):,} begun"]
    told += [f"{found.waiting:,} waiting"] * bool(found.waiting)
    told += [f"{found.given_up:,} given up"] * bool(found.given_up)
    typer.echo(f"{sweep}: {', '.join(told)}; {_told_manifest(found.manifest)}")
    table = Table("shard", "engine", "iteration", "trials", "best", "trials × it/s", box=None)
    for shard in found.running[:ROWS]:
        best = "–" if shard.best is None else f"{shard.best:.3f}"
        pace, how_far = f"{shard.iterations_per_second:.1f}", f"{shard.iteration}/{shard.iterations}"
        table.add_row(shard.shard_id, shard.engine, how_far, str(shard.trials), best, pace)
    if found.running:
        Console().print(table)
    if len(found.running) > ROWS:
        typer.echo(f"… and {len(found.running) - ROWS:,} more")


def _tell_all(found: "Iterable[SweepStatus]", store: str) -> None:
    """A line a sweep."""
    table = Table("sweep", "published", "shards made", "begun", "waiting", "given up", box=None)
    for one in found:
        told = "–" if one.manifest is None else f"{one.manifest.done:,} of {one.manifest.trials:,} trials"
        counts = (one.made, len(one.running), one.waiting, one.given_up)
        table.add_row(one.sweep, told, *(f"{count:,}" if count else "–" for count in counts))
    if table.row_count:
        Console().print(table)
    else:
        typer.echo(f"Store {store} knows of no sweep yet.")


def _told_manifest(manifest: "Manifest | None") -> str:
    return "nothing published yet" if manifest is None else f"{manifest.done:,} of {manifest.trials:,} trials published"
