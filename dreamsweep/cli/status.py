"""`dreamsweep status`: how far sweeps are."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import say

if TYPE_CHECKING:
    from dreamsweep.results.manifest import Manifest
    from dreamsweep.results.status import SweepStatus

ROWS = 40
"""Maximum number of running shards that are printed."""


def status(
    sweep: Annotated[str | None, typer.Argument(metavar="SWEEP", help="A sweep's name; else all of them.", show_default=False)] = None,
    store: StoreUri = "runs",
) -> None:
    """Say how far a sweep is, wherever its shards are made: the store tells."""
    from dreamsweep.report.judges import verdicts
    from dreamsweep.results.status import every_status, sweep_status
    from dreamsweep.store import open_store
    from dreamsweep.text import counted

    opened = open_store(store)
    if sweep is None:
        return _print_all(every_status(opened), opened.uri)
    state = sweep_status(opened, sweep)
    parts = [f"{counted(state.staged, 'shard')} made", f"{len(state.running):,} begun"]
    parts += [f"{state.waiting:,} waiting"] * bool(state.waiting)
    parts += [f"{state.given_up:,} given up"] * bool(state.given_up)
    say(f"{sweep}: {', '.join(parts)}; {_manifest_text(state.manifest)}")
    for judged in verdicts(opened, sweep) if state.manifest else ():
        say(f"judged by {judged.judge}: {judged.text}")
    table = Table("shard", "engine", "iteration", "trials", "best", "trials × it/s", box=None)
    for shard in state.running[:ROWS]:
        best = "–" if shard.best is None else f"{shard.best:.3f}"
        pace, how_far = f"{shard.iterations_per_second:.1f}", f"{shard.iteration}/{shard.iterations}"
        table.add_row(escape(shard.shard_id), escape(shard.engine), how_far, str(shard.trials), best, pace)
    if state.running:
        Console().print(table)
    if len(state.running) > ROWS:
        say(f"… and {len(state.running) - ROWS:,} more")


def _print_all(statuses: "Iterable[SweepStatus]", store: str) -> None:
    """Prints one line a sweep."""
    table = Table("sweep", "published", "shards made", "begun", "waiting", "given up", box=None)
    for row in statuses:
        published = "–" if row.manifest is None else f"{row.manifest.done:,} of {row.manifest.trials:,} trials"
        counts = (row.staged, len(row.running), row.waiting, row.given_up)
        table.add_row(escape(row.sweep), published, *(f"{count:,}" if count else "–" for count in counts))
    if table.row_count:
        Console().print(table)
    else:
        say(f"Store {store} knows of no sweep yet.")


def _manifest_text(manifest: "Manifest | None") -> str:
    return "nothing published yet" if manifest is None else f"{manifest.done:,} of {manifest.trials:,} trials published"
