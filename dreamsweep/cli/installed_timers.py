"""Nightly runs in place on this machine: user timers of systemd, or lines of the user's crontab."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dreamsweep.cli.nightly_command import NightlyCommand, config_folder
from dreamsweep.cli.terminal import state_folder
from dreamsweep.environment import writable_folder
from dreamsweep.errors import UserError
from dreamsweep.planning.timers import same_clock

BEGIN, END = "# dreamsweep schedule: {name}", "# end of dreamsweep schedule: {name}"
CRONIE = "cronie"
"""Name by which the one cron that knows time zones calls itself."""


def install(command: NightlyCommand, now: datetime) -> Iterator[str]:
    """Puts a nightly run in place, by systemd where its user manager answers, else by cron; yields what was done, a sentence each.

    Raises UserError where neither works, or cron cannot keep the schedule.
    """
    state_folder()  # of the log
    if _systemd_answers():
        yield from _install_units(command)
    elif shutil.which("crontab"):
        yield _install_line(command, now)
    else:
        raise UserError(
            "--install: neither `systemctl --user` nor crontab works here; install cron, or leave `dreamsweep up` running instead."
        )


def remove(name: str) -> Iterator[str]:
    """Takes a nightly run away, from systemd and from the crontab; yields what was done, a sentence each."""
    files = [path for ending in ("timer", "service") if (path := units_folder() / f"dreamsweep-{name}.{ending}").exists()]
    if files:
        if _systemd_answers():
            _systemctl("disable", "--now", f"dreamsweep-{name}.timer")
        for path in files:
            path.unlink()
            yield f"{path} removed"
        if _systemd_answers():
            _systemctl("daemon-reload")
    if shutil.which("crontab"):
        before = _crontab()
        after = _without(before, name)
        if after != before:
            _write_crontab(after)
            yield f"crontab: the line of {name!r} removed"


def installed_names() -> list[str]:
    """Returns the names of the schedules that are in place."""
    units = {path.stem.removeprefix("dreamsweep-") for path in units_folder().glob("dreamsweep-*.timer")}
    lines = set(re.findall(rf"^{BEGIN.format(name='(.+)')}$", _crontab(), re.MULTILINE)) if shutil.which("crontab") else set()
    return sorted(units | lines)


def units_folder() -> Path:
    """Returns the folder of the user's systemd units."""
    return config_folder() / "systemd" / "user"


def _install_units(command: NightlyCommand) -> Iterator[str]:
    folder = writable_folder("XDG_CONFIG_HOME", units_folder())
    changed = False
    for ending, text in (("service", command.service()), ("timer", command.timer())):
        path = folder / f"{command.unit}.{ending}"
        before = path.read_text(encoding="utf-8") if path.exists() else None
        if before != text:
            path.write_text(text, encoding="utf-8")
            changed = True
        yield f"{path} {'unchanged' if before == text else 'created' if before is None else 'changed'}"
    if changed:
        _systemctl("daemon-reload")
        _systemctl("enable", f"{command.unit}.timer")
        _systemctl("restart", f"{command.unit}.timer")  # a timer that runs keeps its old times until then
    else:
        _systemctl("enable", "--now", f"{command.unit}.timer")
    if not _lingers():
        yield f"So that it runs while you are logged out as well: loginctl enable-linger {getpass.getuser()}"


def _install_line(command: NightlyCommand, now: datetime) -> str:
    block = "\n".join((BEGIN.format(name=command.name), *_crontab_lines(command, now), END.format(name=command.name)))
    before = _crontab()
    present = _block(command.name).search(before)
    if present and present[0].rstrip("\n") == block:
        return f"crontab: the line of {command.name!r} unchanged"
    others = _without(before, command.name).rstrip()
    _write_crontab(f"{others}\n{block}\n".lstrip())
    return f"crontab: the line of {command.name!r} {'changed' if present else 'created'}"


def _crontab_lines(command: NightlyCommand, now: datetime) -> list[str]:
    """Returns the lines of a crontab. Raises UserError where its cron cannot keep the schedule's time zone."""
    line = command.crontab_line()
    if CRONIE in _output("crontab", "-V"):
        return ["# CRON_TZ holds for every line below it as well", f"CRON_TZ={command.timezone}", line]
    if same_clock(command.timezone, now):
        return [line]
    raise UserError(
        f"timezone {command.timezone!r}: the cron of this machine goes by the machine's own time zone; name that one with --timezone, "
        "or leave `dreamsweep up` running instead."
    )


def _without(crontab: str, name: str) -> str:
    return _block(name).sub("", crontab)


def _block(name: str) -> re.Pattern[str]:
    begin, end = (re.escape(line.format(name=name)) for line in (BEGIN, END))
    return re.compile(rf"^{begin}\n.*?^{end}\n", re.DOTALL | re.MULTILINE)


def _crontab() -> str:
    """Returns the user's crontab; empty where there is none."""
    done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def _write_crontab(text: str) -> None:
    done = subprocess.run(["crontab", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"crontab refuses the new lines ({' '.join(done.stderr.split())}); copy the line by hand: crontab -e.")


def _systemd_answers() -> bool:
    return bool(shutil.which("systemctl")) and bool(_output("systemctl", "--user", "show-environment"))


def _lingers() -> bool:
    return "yes" in _output("loginctl", "show-user", getpass.getuser(), "--property=Linger")


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(["systemctl", "--user", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"systemctl --user {' '.join(arguments)} failed ({' '.join(done.stderr.split())}); `systemctl --user status` says more."
        )


def _output(*command: str) -> str:
    """Returns what a command prints; nothing where it fails or is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""
