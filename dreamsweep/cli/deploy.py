"""`dreamsweep deploy`: what a Prefect server needs to make sweeps."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.notes import tell_prompt_notes
from dreamsweep.cli.options import PoolType, StoreUri
from dreamsweep.cli.terminal import say

if TYPE_CHECKING:
    from dreamsweep.flows.deploy import Change
    from dreamsweep.spec import Sweep


def deploy(
    pool_type: Annotated[PoolType, typer.Option(help="What a worker starts: a process beside it, a container, a Job.")],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="Sweep files that name a schedule.", show_default=False)
    ] = None,
    store: StoreUri = "runs",
    image: Annotated[
        str | None, typer.Option(help="Of containers; by default this version's, with -cpu where there is no GPU.", show_default=False)
    ] = None,
    compute_window: Annotated[
        int | None, typer.Option(min=1, help="Shards made at once; 1 for processes, 8 for containers.", show_default=False)
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs of a shard's container; 1, and 0 with a -cpu image.", show_default=False)
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of the pools' template, such as memory_limit=32Gi; gpu.NAME for one pool.", show_default=False
        ),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove the schedules of sweeps that FILES do not name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Register work pools, deployments and the schedules of sweep files with the configured Prefect server.

    The same command again changes nothing.
    """
    sweeps = load_sweeps(files or [])
    from dreamsweep.flows.local_server import prefer_quiet

    prefer_quiet()
    from dreamsweep.flows import GPU, SWEEPS
    from dreamsweep.flows.deploy import form_url, next_runs, place, register

    at = place(pool_type.value, store, image, compute_window, gpus, variable or [])
    new = _print_changes(register(at, sweeps.values(), prune=prune, dry_run=dry_run), dry_run)
    if dry_run:
        say("Nothing was changed (--dry-run)." if new else "Nothing to change.")
    else:
        say(f"Workers:  prefect worker start --pool {SWEEPS}   and   prefect worker start --pool {GPU}")
        if url := form_url():
            say(f"By hand:  {url}")
        for name, moment in next_runs():
            say(f"Next:     {name}, {moment:%a %Y-%m-%d %H:%M} {moment.tzinfo}")
    for path, sweep in sweeps.items():
        if sweep.schedule is None:
            say(f'{path} names no schedule, so nothing is registered for it; add one, such as  schedule: "0 2 * * *"')


def load_sweeps(files: Iterable[Path]) -> "dict[Path, Sweep]":
    """Returns the sweep of each file, after its notes are written. Raises SweepFileError, with a line for each mistake of them all."""
    from dreamsweep.errors import SweepFileError
    from dreamsweep.planning.sweep_file import load_sweep

    sweeps, mistakes = {}, []
    for path in files:
        try:
            sweeps[path] = load_sweep(path)
        except SweepFileError as error:
            mistakes.append(str(error))
    if mistakes:
        raise SweepFileError("\n".join(mistakes))
    names = [sweep.name for sweep in sweeps.values()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SweepFileError(f"two of the files name the sweep {min(twice)!r}; a schedule goes by its sweep's name, so rename one.")
    for sweep in sweeps.values():
        tell_prompt_notes(sweep)
    return sweeps


def _print_changes(changes: "Iterable[Change]", dry_run: bool) -> bool:
    """Prints what is registered, or would be; says whether anything of it is new."""
    new = False
    for change in changes:
        mends = change.how in ("created", "changed", "removed")
        outcome = f"would be {change.how}" if dry_run and mends else change.how
        say(f"{change.what:40} {outcome}{'; --prune removes it' if change.how == 'kept' else ''}")
        for line in change.differences:
            say(f"    {line}")
        new |= mends
    return new
