"""`dreamsweep schedule`: a nightly run without a server, by systemd or cron."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.installed_timers import install, installed_names, remove
from dreamsweep.cli.nightly_command import NightlyCommand, environment_file, nightly_arguments
from dreamsweep.cli.notes import tell_prompt_notes
from dreamsweep.cli.options import Device, StoreUri
from dreamsweep.cli.terminal import say, state_folder, tell
from dreamsweep.errors import SweepFileError, UserError

if TYPE_CHECKING:
    from dreamsweep.spec import Schedule, Sweep

STORE = "DREAMSWEEP_STORE"
HANDED_ON = ("AWS_", "DREAMSWEEP_", "HF_", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
"""Beginnings of environment variables that change what a run does or reaches."""


def schedule(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sweep file; with --remove its sweep's name will do.", show_default=False)],
    store: StoreUri = "runs",
    device: Annotated[Device, typer.Option(help="What to compute on; auto takes the best there is.")] = Device.auto,
    cron: Annotated[str | None, typer.Option(help="In place of the file's own schedule: '30 1 * * *'.", show_default=False)] = None,
    timezone: Annotated[str | None, typer.Option(help="In place of the file's own, or of UTC: Europe/Berlin.", show_default=False)] = None,
    put: Annotated[bool, typer.Option("--install", help="Put it in place: systemd's timer, or cron's line.")] = False,
    take: Annotated[bool, typer.Option("--remove", help="Take away what --install put in place.")] = False,
) -> None:
    """Have one machine run a sweep file at the times of its schedule, without a server: by systemd or cron.

    Prints the systemd units and the crontab line; --install puts one of them in place. The same command again changes nothing.
    """
    if put and take:
        raise UserError("--install --remove: the one takes away what the other puts in place; leave one of them out.")
    if take:
        _remove(file)
        return
    sweep = _load(file)
    tell_prompt_notes(sweep)
    command = _command(file, sweep, store, device.value, cron, timezone)
    if put:
        _install(command)
    else:
        _print(command)
    _print_moments(command)


def _load(file: Path) -> "Sweep":
    """Returns the sweep; the file is read as a run at night reads it."""
    from dreamsweep.planning.expand import plan
    from dreamsweep.planning.sweep_file import load_sweep

    sweep = load_sweep(file)
    plan(sweep)
    return sweep


def _command(file: Path, sweep: "Sweep", store: str, device: str, cron: str | None, timezone: str | None) -> NightlyCommand:
    wanted = _schedule(file, sweep, cron, timezone)
    from dreamsweep.spec import schedule_name

    name = schedule_name(sweep.name)
    arguments = nightly_arguments(file, store, device, wanted.cron, wanted.timezone)
    if any("\n" in argument for argument in arguments):
        raise UserError(f"{str(file)!r}: neither systemd nor cron takes a path with a line break; rename it.")
    return NightlyCommand(name, arguments, " ".join(wanted.cron.split()), wanted.timezone, state_folder() / f"{name}.log")


def _schedule(file: Path, sweep: "Sweep", cron: str | None, timezone: str | None) -> "Schedule":
    """Returns the schedule of the options, else of the file. Raises UserError where there is none, or the options hold nonsense."""
    from pydantic import ValidationError

    from dreamsweep.spec import Schedule

    own = sweep.schedule
    if cron is None and own is None:
        raise SweepFileError(f"{file} names no schedule; add one, such as  schedule: \"0 2 * * *\", or say --cron '0 2 * * *'.")
    if cron is None and own is not None and not own.active:
        raise SweepFileError(f"{file}: schedule.active is false; make it true, or say --cron '{own.cron}'.")
    wanted = {"cron": cron or (own.cron if own else ""), "timezone": timezone or (own.timezone if own else "UTC")}
    try:
        return Schedule.model_validate(wanted)
    except ValidationError as error:
        mistake = error.errors()[0]
        option = str(mistake["loc"][0])
        raise UserError(f"--{option} {wanted[option]!r}: {mistake['msg'].removeprefix('Value error, ')}.") from None


def _install(command: NightlyCommand) -> None:
    for line in install(command, datetime.now(UTC)):
        say(line)
    say(f"Log: {command.log}")
    if missing := sorted(name for name in os.environ if name.startswith(HANDED_ON) and name != STORE):
        tell(
            f"note: the run at night sees no {', '.join(missing)} of this terminal; "
            f"what it needs of that, write as NAME=VALUE into {environment_file()}."
        )


def _remove(file: Path) -> None:
    from dreamsweep.spec import schedule_name

    name = schedule_name(_load(file).name) if file.exists() else str(file)
    changes = list(remove(name))
    for line in changes:
        say(line)
    if not changes:
        others = ", ".join(installed_names()) or "nothing"
        say(f"Nothing is in place for {name!r}; in place: {others}.")


def _print(command: NightlyCommand) -> None:
    """Prints the units, the crontab line, and what its cron has to know."""
    from dreamsweep.cli.installed_timers import units_folder
    from dreamsweep.planning.timers import same_clock

    for ending, text in (("service", command.service()), ("timer", command.timer())):
        say(f"# {units_folder() / command.unit}.{ending}\n{text}")
    say("# for crontab -e")
    try:
        line = command.crontab_line()
    except UserError as error:
        say(f"# {error}\n")
        return
    if not same_clock(command.timezone, datetime.now(UTC)):
        say(f"# cron goes by this machine's time zone; only cronie's knows another, by the line CRON_TZ={command.timezone}")
    say(f"{line}\n")


def _print_moments(command: NightlyCommand) -> None:
    from dreamsweep.planning.timers import first_skipped, next_moments

    now = datetime.now(UTC)
    moments = ", ".join(f"{moment:%a %Y-%m-%d %H:%M}" for moment in next_moments(command.cron, command.timezone, now, 3))
    say(f"Next ({command.timezone}): {moments}")
    if skipped := first_skipped(command.cron, command.timezone, now):
        tell(f"note: on {skipped:%Y-%m-%d} no clock in {command.timezone} shows {skipped:%H:%M}, and systemd leaves that time out.")
