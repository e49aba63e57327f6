"""`dreamsweep plan`: what a sweep comes to."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dreamsweep.cli.notes import tell_prompt_notes
from dreamsweep.cli.options import SweepFile
from dreamsweep.cli.terminal import tell
from dreamsweep.cli.weights import size_of

if TYPE_CHECKING:
    from dreamsweep.spec import AnySpec

STORE = "Say what this store holds of it already: a folder, or s3://bucket/prefix."


def plan(
    file: SweepFile,
    store: Annotated[str | None, typer.Option("--store", help=STORE, show_default=False)] = None,
) -> None:
    """Say how many trials, shards and pictures a sweep comes to, and about how long and how large it gets.

    With --store also what is there already, and what would be made.
    """
    from dreamsweep.generation.foresight import downloads, unread_texts
    from dreamsweep.planning.estimate import estimate_seconds
    from dreamsweep.planning.expand import day_at, engines, of_day
    from dreamsweep.planning.expand import plan as count
    from dreamsweep.planning.sweep_file import load_sweep
    from dreamsweep.text import counted, format_bytes, format_seconds

    sweep = load_sweep(file)
    if store:
        sweep = of_day(sweep, day_at(sweep, datetime.now(UTC)))
    counts = count(sweep)
    tell_prompt_notes(sweep)
    for note in unread_texts(sweep):
        tell(f"note: {note}")
    table = Table(title=sweep.name, title_justify="left", show_header=False, box=None)
    table.add_row("trials", _listed(counts.trials_by_engine))
    table.add_row("shards", f"{counts.shards:,}")
    table.add_row("iterations", _listed(counts.iterations_by_engine))
    table.add_row("pictures", f"{counts.pictures:,}")
    seconds = estimate_seconds(sweep, counts)
    unknown = "not known beforehand: published weights"
    table.add_row("time", unknown if seconds is None else f"about {format_seconds(seconds)} on two CPU cores")
    table.add_row("size", f"about {format_bytes(counts.bytes)}")
    if missing := downloads(sweep):
        table.add_row("downloads", ", ".join(f"{name} {size_of(megabytes)}" for name, megabytes in missing))
    if sweep.keep_states and (without := _without_states(engines(sweep))):
        table.add_row("states", f"not kept of {', '.join(without)}: with more iterations they start over")
    if store:
        from dreamsweep.results.remaining import remaining
        from dreamsweep.store import open_store

        left = remaining(open_store(store), sweep)
        table.add_row("done already", _listed(left.done))
        table.add_row("to be made", _listed(left.missing))
        for iteration, trials in sorted(left.continued.items()):
            table.add_row("continued", f"{counted(trials, 'trial')} from iteration {iteration:,}, where the kept state fits")
        if left.others:
            others = f"{counted(left.others, 'other trial')} {'is' if left.others == 1 else 'are'} published"
            table.add_row("same name", f"{others}: `run` refuses, unless with --add or --replace")
    Console().print(table)


def _without_states(specs: Iterable["AnySpec"]) -> list[str]:
    """Returns the engines whose trials cannot continue; `some strokes` where only some of an engine's settings prevent it."""
    can_continue: dict[str, set[bool]] = {}
    for spec in specs:
        can_continue.setdefault(spec.engine, set()).add(spec.can_continue)
    return [f"some {name}" if True in answers else name for name, answers in can_continue.items() if False in answers]


def _listed(counts: Mapping[str, int]) -> str:
    """Returns `12 (dalle 6, strokes 6)`; the sum alone where there is nothing."""
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{sum(counts.values()):,}" + (f" ({parts})" if parts else "")
