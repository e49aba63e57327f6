"""`dreamsweep run`: a sweep, made here or by others."""

import signal
import time
from datetime import UTC, date, datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dreamsweep.commands.options import Device, StoreUri, SweepFile
from dreamsweep.commands.terminal import place, same_command, state_folder, tell
from dreamsweep.errors import DreamsweepError

if TYPE_CHECKING:
    from dreamsweep.spec import Sweep
    from dreamsweep.store import Store
    from flows.cluster import Cluster
    from flows.fanout import Compute

WARNINGS = 3
"""That are printed after a run."""


def run(
    file: SweepFile,
    store: StoreUri = "runs",
    device: Annotated[Device, typer.Option(help="What to compute on; auto takes the best there is.")] = Device.auto,
    compute: Annotated[
        str | None, typer.Option(help="What makes the shards: a deployment (shard/NAME), dask or ray (dask:ADDRESS).", show_default=False)
    ] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Of a sweep with {date} in its name; today.", show_default=False)
    ] = None,
) -> None:
    """Make what the store lacks of a sweep, publish it, and draw its contact sheet and curves.

    The same command again makes only what is missing, and goes on where it was stopped.
    """
    from dreamsweep.display import Display
    from dreamsweep.errors import SweepFileError
    from dreamsweep.expand import of_day, plan
    from dreamsweep.store import open_store
    from dreamsweep.sweepfile import load_sweep

    asked, started = load_sweep(file), time.monotonic()
    today = _day_of(day) if day else datetime.now(UTC).date()
    sweep = of_day(asked, today)
    if day and sweep is asked:
        raise SweepFileError(
            f"--date: neither {{date}} nor daily seeds are in {str(file)!r}, so it is the same on every day; leave it out."
        )
    again = same_command() + ("" if day or sweep is asked else f" --date {today}")
    signal.signal(signal.SIGTERM, _stop)
    try:
        plan(sweep)
        open_store(store).check()
        with Display(Console(), sweep.name):
            incomplete = _run_flow(sweep, store, device.value, compute)
    except KeyboardInterrupt:
        if compute and "/" in compute:
            tell(f"Stopped looking on. Shards that have begun go on, until their flow runs are cancelled. To see them through: {again}")
        else:
            tell(f"Stopped. To go on where it stopped: {again}")
        raise typer.Exit(130) from None
    _tell_where(open_store(store), sweep.name, store, time.monotonic() - started)
    if incomplete:
        tell(f"dreamsweep: {incomplete.rstrip('.')}. To make what is missing: {again}")
        raise typer.Exit(1)


def _run_flow(sweep: "Sweep", store: str, device: str, compute: str | None) -> str | None:
    """Runs the flow against the configured Prefect API, or an embedded one; returns what failed of it, in a sentence."""
    import logging

    logging.raiseExceptions = False  # a log line that cannot be sent is no news for the terminal
    from flows.embedded import prefect_api, prefer_quiet

    prefer_quiet()
    made_by: Compute | Cluster | None = None
    if compute:  # before any API is embedded, which would know no deployment
        from flows.sweep import compute_of

        made_by = compute_of(compute)
    with prefect_api(state_folder() / "prefect-api.log") as ready:
        from flows.sweep import IncompleteSweepError, SweepRequest
        from flows.sweep import sweep as sweep_flow

        if made_by is None:
            _check_machine(device)  # a mistake is told before the API is waited for
        ready()
        try:
            sweep_flow(SweepRequest(sweep=sweep, store=store, device=device, compute=made_by))
        except IncompleteSweepError as error:
            return str(error)
    return None


def _check_machine(device: str) -> None:
    from dreamsweep.devices import is_compiling, resolve_device
    from dreamsweep.environment import checkpoint_seconds

    resolve_device(device)
    is_compiling()
    checkpoint_seconds()


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does."""
    raise KeyboardInterrupt


def _tell_where(store: "Store", sweep: str, asked_store: str, seconds: float) -> None:
    from dreamsweep.manifest import read_manifest
    from dreamsweep.words import told_seconds

    manifest = read_manifest(store, sweep)
    if manifest is None:
        return
    option = "" if asked_store == "runs" else f" --store {asked_store}"
    done = f"{manifest.done} of {manifest.trials} trials done" if manifest.done < manifest.trials else f"{manifest.trials} trials done"
    typer.echo(f"{sweep}: {done} ({told_seconds(seconds)})")
    for what, key in (
        ("contact sheet", f"{sweep}/summary/contact-sheet.png"),
        ("curves", f"{sweep}/summary/curves.png"),
        ("pictures", f"{sweep}/pictures"),
        ("trials", manifest.trials_key),
        ("scores", manifest.scores_key),
    ):
        typer.echo(f"  {what:14} {place(store, key)}")
    for warning in _warnings(store, sweep):
        typer.echo(f"  {'warning':14} {warning}")
    typer.echo(f"  {'look':14} dreamsweep review {sweep}{option}")
    typer.echo(f'  {"ask":14} dreamsweep query "SELECT prompt, engine, judge_best FROM trials ORDER BY judge_best DESC LIMIT 5"{option}')


def _warnings(store: "Store", sweep: str) -> list[str]:
    """What its trials warn of, the most frequent first."""
    from dreamsweep.query import query as ask
    from dreamsweep.words import counted

    of_each = "SELECT unnest(warnings) AS warning FROM trials"
    rows = ask(store, f"SELECT warning, count(*) AS n FROM ({of_each}) GROUP BY warning ORDER BY n DESC, warning", sweep).to_pylist()
    told = [f"{counted(row['n'], 'trial')}: {row['warning']}" for row in rows[:WARNINGS]]
    return [*told, f"and {len(rows) - WARNINGS:,} more: the column warnings"] if len(rows) > WARNINGS else told


def _day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DreamsweepError(f"--date: {text!r} is no day; write it as in {datetime.now(UTC).date()}.") from None
