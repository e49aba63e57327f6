"""The command of a nightly run, as a service and timer of systemd and as a line of a crontab."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from dreamsweep.environment import home
from dreamsweep.planning.timers import calendar_lines, crontab_times

SERVICE = """\
# Written by `dreamsweep schedule`, which also removes it (--remove).
[Unit]
Description=dreamsweep: {name}

[Service]
Type=oneshot
ExecStart={command}
EnvironmentFile=-{environment}
StandardOutput=append:{log}
StandardError=inherit
TimeoutStopSec=5min
"""
TIMER = """\
# Written by `dreamsweep schedule`, which also removes it (--remove).
[Unit]
Description=dreamsweep: {name} ({cron} {timezone})

[Timer]
{lines}
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class NightlyCommand:
    """Run of a sweep file at the moments of a cron line in a time zone, with all its paths absolute."""

    name: str
    """Name of the sweep without its date, by which timers and lines are told apart."""
    arguments: tuple[str, ...]
    """Command line, the interpreter included."""
    cron: str
    timezone: str
    log: Path

    @property
    def unit(self) -> str:
        """Name of the service and the timer, without its ending."""
        return f"dreamsweep-{self.name}"

    def service(self) -> str:
        """Returns the text of the service."""
        return SERVICE.format(
            name=self.name,
            command=" ".join(map(systemd_word, self.arguments)),
            environment=_specified(str(environment_file())),
            log=_specified(str(self.log)),
        )

    def timer(self) -> str:
        """Returns the text of the timer."""
        lines = "\n".join(f"OnCalendar={line}" for line in calendar_lines(self.cron, self.timezone))
        return TIMER.format(name=self.name, cron=self.cron, timezone=self.timezone, lines=lines)

    def crontab_line(self) -> str:
        """Returns the line of a crontab. Raises UserError where the schedule says what no cron knows."""
        environment = shlex.quote(str(environment_file()))
        command = f"set -a; test -r {environment} && . {environment}; {shlex.join(self.arguments)} >>{shlex.quote(str(self.log))} 2>&1"
        return f"{crontab_times(self.cron)} {command.replace('%', chr(92) + '%')}"


def nightly_arguments(file: Path, store: str, device: str, cron: str, timezone: str) -> tuple[str, ...]:
    """Returns the command line of a run at night: no server, what is published stays, and the date is that of the schedule."""
    place = store if "://" in store else os.path.abspath(store)
    # the interpreter by its own path, which in a virtual environment is a link
    command = (os.path.abspath(sys.executable), "-m", "dreamsweep", "run", os.path.abspath(file), "--store", place)
    on = () if device == "auto" else ("--device", device)
    return (*command, *on, "--add", "--no-prefect", "--timer", f"{cron} {timezone}")


def environment_file() -> Path:
    """Returns the file of environment variables that a run at night gets: `NAME=VALUE` on each line. Raises UserError without a home."""
    return config_folder() / "dreamsweep" / "environment"


def config_folder() -> Path:
    """Returns the folder of settings: `$XDG_CONFIG_HOME`, by default `~/.config`. Raises UserError without a home."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config")


def systemd_word(word: str) -> str:
    """Returns a word of a command line as systemd reads it back (systemd.service(5)): quoted, its specifiers and variables doubled."""
    escaped = _specified(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("\n", "\\n")
    return f'"{escaped}"' if escaped != word or not word or set(word) & set(" \t';#") else word


def _specified(text: str) -> str:
    return text.replace("%", "%%")
