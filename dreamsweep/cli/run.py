"""`dreamsweep run`: a sweep, made here or by others."""

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.console import Console
from dreamsweep.cli.notes import tell_prompt_notes
from dreamsweep.cli.options import Device, StoreUri, SweepFile
from dreamsweep.cli.terminal import same_command, tell, write_log
from dreamsweep.errors import DreamsweepError, SweepFileError, UserError

if TYPE_CHECKING:
    from dreamsweep.cli.display import Display
    from dreamsweep.results.publishing import Choice
    from dreamsweep.spec import Sweep

NO_PREFECT = "Run in this process even where a Prefect server is configured."
AT_ONCE = "Shards that this machine makes at once, each in a process of its own; as many as pay."
ADD = "Keep other trials that are published under this name."
REPLACE = "Take other trials that are published under this name out of the sweep."


def run(
    file: SweepFile,
    store: StoreUri = "runs",
    device: Annotated[Device, typer.Option(help="What to compute on; auto takes the best there is.")] = Device.auto,
    compute: Annotated[
        str | None, typer.Option(help="What makes the shards: a deployment (shard/NAME), dask or ray (dask:ADDRESS).", show_default=False)
    ] = None,
    at_once: Annotated[int | None, typer.Option("--at-once", min=1, metavar="N", help=AT_ONCE, show_default=False)] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Of a sweep with {date} in its name; today.", show_default=False)
    ] = None,
    timer: Annotated[
        str | None,
        typer.Option(metavar="'CRON TIMEZONE'", help="Of the timer that starts it: {date} is its latest moment's.", show_default=False),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help=ADD)] = False,
    replace: Annotated[bool, typer.Option("--replace", help=REPLACE)] = False,
    no_prefect: Annotated[bool, typer.Option("--no-prefect", help=NO_PREFECT)] = False,
) -> None:
    """Make what the store lacks of a sweep, publish it, and draw its contact sheet and curves.

    The same command again makes only what is missing, and goes on where it was stopped.
    """
    from dreamsweep.cli.display import Display
    from dreamsweep.cli.outcome import print_outcome
    from dreamsweep.generation.make_here import SweepStoppedError
    from dreamsweep.generation.run_sweep import IncompleteSweepError

    started, choice = time.monotonic(), _choice(add, replace)
    if compute and no_prefect:
        raise UserError(f"--no-prefect: --compute {compute} hands the shards over by Prefect; leave one of the two out.")
    sweep, again = _load(file, day, timer)
    tell_prompt_notes(sweep)
    failure: IncompleteSweepError | None = None
    try:
        with Display(Console(), sweep.name) as display:
            _run(sweep, store, device.value, compute, at_once, choice, no_prefect, display)
    except (KeyboardInterrupt, SweepStoppedError):
        if compute and "/" in compute:
            tell(f"Stopped watching. Running shards continue on the server; cancel their flow runs to stop them. To watch again: {again}")
        else:
            tell(f"Stopped. To go on where it stopped: {again}")
        raise typer.Exit(130) from None
    except IncompleteSweepError as error:
        failure = error
    print_outcome(sweep.name, store, time.monotonic() - started)
    if failure:
        unexpected = failure.__cause__ is not None and not isinstance(failure.__cause__, DreamsweepError)
        details = f" ({write_log(failure)})" if unexpected else ""
        tell(f"dreamsweep: {str(failure).rstrip('.')}{details}. To make what is missing: {again}")
        raise typer.Exit(1)


def _run(
    sweep: "Sweep",
    store: str,
    device: str,
    compute: str | None,
    at_once: int | None,
    choice: "Choice",
    no_prefect: bool,
    display: "Display",
) -> None:
    """Runs the sweep in this process, or by Prefect's flow where a server is configured or shards are made elsewhere."""
    from dreamsweep.cli.interrupt import stop_on_sigterm
    from dreamsweep.cli.prefect_runs import api_is_configured, run_flow

    if compute or (not no_prefect and api_is_configured()):
        if at_once:
            by, cure = (f"--compute {compute}", "leave --at-once out") if compute else ("a Prefect server", "add --no-prefect")
            raise UserError(f"--at-once {at_once}: {by} decides how many shards are made at once; {cure}.")
        stop_on_sigterm()
        run_flow(sweep, store, device, compute, choice, display)
    else:
        _run_here(sweep, store, device, at_once, choice, display)


def _run_here(sweep: "Sweep", store: str, device: str, at_once: int | None, choice: "Choice", display: "Display") -> None:
    from dreamsweep.cli.interrupt import stoppable
    from dreamsweep.generation.run_sweep import run_sweep
    from dreamsweep.store import open_store

    with stoppable(lambda: bool(display.tally.running), display.show_stopping) as stop:
        for event in run_sweep(sweep, open_store(store), device=device, choice=choice, at_once=at_once, stop=stop, on_fetch=display.take):
            display.take(event)


def _load(file: Path, day: str | None, timer: str | None) -> tuple["Sweep", str]:
    """Returns the sweep of the day, and the command that goes on with it on any later day. Raises UserError."""
    from dreamsweep.planning.expand import day_at, of_day
    from dreamsweep.planning.sweep_file import load_sweep

    read = load_sweep(file)
    today = _day_of(day) if day else _day_of_timer(timer) if timer else day_at(read, datetime.now(UTC))
    sweep = of_day(read, today)
    if day and sweep is read:
        raise SweepFileError(
            f"--date: neither {{date}} nor daily seeds are in {str(file)!r}, so it is the same on every day; leave it out."
        )
    return sweep, same_command() + ("" if day or sweep is read else f" --date {today}")


def _choice(add: bool, replace: bool) -> "Choice":
    if add and replace:
        raise UserError("--add --replace: the one keeps what the other takes out; leave one of them out.")
    return "add" if add else "replace" if replace else "refuse"


def _day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--date: {text!r} is no day; write it as in {datetime.now(UTC).date()}.") from None


def _day_of_timer(text: str) -> date:
    """Returns the date for which a timer's run was due, however late it starts, as a Prefect schedule's run has it."""
    from pydantic import ValidationError

    from dreamsweep.planning.timers import last_moment
    from dreamsweep.spec import Schedule

    cron, _, timezone = text.rpartition(" ")
    try:
        schedule = Schedule(cron=cron, timezone=timezone)
    except ValidationError:
        raise UserError(f"--timer: {text!r} is no schedule; write a cron line and a time zone, such as '0 2 * * * UTC'.") from None
    return last_moment(schedule.cron, schedule.timezone, datetime.now(UTC)).date()
