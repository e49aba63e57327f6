"""`dreamsweep plan`: what a sweep comes to."""

from rich.console import Console
from rich.table import Table

from dreamsweep.commands.options import SweepFile


def plan(file: SweepFile) -> None:
    """Say how many trials, shards and pictures a sweep comes to, and about how long and how large it gets."""
    from dreamsweep.estimate import estimate_seconds
    from dreamsweep.expand import plan as count
    from dreamsweep.sweepfile import load_sweep
    from dreamsweep.words import told_bytes, told_seconds

    sweep = load_sweep(file)
    counted = count(sweep)
    table = Table(title=sweep.name, title_justify="left", show_header=False, box=None)
    table.add_row("trials", f"{counted.trials:,} ({_listed(counted.trials_by_engine)})")
    table.add_row("shards", f"{counted.shards:,}")
    table.add_row("iterations", f"{counted.iterations:,} ({_listed(counted.iterations_by_engine)})")
    table.add_row("pictures", f"{counted.pictures:,}")
    seconds = estimate_seconds(sweep, counted)
    unknown = "not known beforehand: published weights"
    told = unknown if seconds is None else f"about {told_seconds(seconds)} on two CPU cores"
    table.add_row("time", told)
    table.add_row("size", f"about {told_bytes(counted.bytes)}")
    Console().print(table)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
