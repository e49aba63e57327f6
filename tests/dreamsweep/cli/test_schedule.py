"""`dreamsweep schedule`: what it prints, what it puts in place with systemd or cron, and takes away again; the date of a run at night."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from dreamsweep.cli import main as cli
from dreamsweep.cli import run
from dreamsweep.cli.nightly_command import nightly_arguments, systemd_word
from dreamsweep.cli.schedule import HANDED_ON
from dreamsweep.errors import UserError

Output = pytest.CaptureFixture[str]
ANALYZE = shutil.which("systemd-analyze")
SWEEP = {"name": "night-{date}", "prompts": ["a red heart"], "engines": ["strokes"], "schedule": {"cron": "30 1 * * *", "timezone": "UTC"}}
SYSTEMCTL = """#!/bin/sh
[ -e "$MACHINE/systemd" ] || exit 1
[ "$*" = "--user show-environment" ] && { echo LANG=C; exit; }
echo "$@" >> "$MACHINE/systemctl"
"""
CRONTAB = """#!/bin/sh
case $1 in
    -l) [ -e "$MACHINE/crontab" ] || { echo "no crontab for you" >&2; exit 1; }; cat "$MACHINE/crontab" ;;
    -V) [ -e "$MACHINE/cronie" ] && echo "cronie 1.7.2" ;;
    -) cat > "$MACHINE/crontab"; echo . >> "$MACHINE/writes" ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose clock goes by UTC, with a home, a sweep file and the commands that a test writes."""
    for name, value in {"HOME": "home", "XDG_CONFIG_HOME": "home/.config", "XDG_STATE_HOME": "home/state", "MACHINE": "."}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    monkeypatch.setattr("dreamsweep.cli.installed_timers._lingers", lambda: True)
    monkeypatch.setattr("dreamsweep.cli.installed_timers.same_clock", lambda timezone, now: timezone == "UTC")
    for name in [name for name in os.environ if name.startswith(HANDED_ON)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("night.yaml").write_text(yaml.safe_dump(SWEEP))
    return tmp_path


def command(machine: Path, name: str, text: str) -> None:
    path = machine / "bin" / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def with_systemd(machine: Path) -> Path:
    command(machine, "systemctl", SYSTEMCTL)
    (machine / "systemd").touch()
    return machine / "home" / ".config" / "systemd" / "user"


def schedule(output: Output, *arguments: str, code: int = 0) -> str:
    assert cli.run_command(["schedule", *arguments]) == code
    printed = output.readouterr()
    return printed.err if code else printed.out


def test_what_is_printed_can_be_used_as_it_is(machine: Path, capsys: Output) -> None:
    printed = schedule(capsys, "night.yaml", "--store", "my runs")
    service = printed[printed.index("[Unit]") :]
    run = f"{sys.executable} -m dreamsweep run {machine}/night.yaml --store "
    assert f'ExecStart={run}"{machine}/my runs" --add --no-prefect --timer "30 1 * * * UTC"\n' in service
    assert "OnCalendar=*-*-* 01:30:00 UTC\nPersistent=true\n" in service
    line = next(line for line in printed.splitlines() if line.startswith("30 1 * * * "))
    assert (
        f"; {run}'{machine}/my runs' --add --no-prefect --timer '30 1 * * * UTC' >>{machine}/home/state/dreamsweep/night.log 2>&1" in line
    )
    assert "Next (UTC): " in printed
    assert not (machine / "home" / ".config").exists()


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(machine: Path, capsys: Output) -> None:
    (machine / "100% $HOME 'n' \"x\"").mkdir()
    shutil.copy("night.yaml", machine / "100% $HOME 'n' \"x\"")
    folder = with_systemd(machine)
    schedule(capsys, f"{machine}/100% $HOME 'n' \"x\"/night.yaml", "--cron", "0 2 13 * fri", "--timezone", "Europe/Berlin", "--install")
    assert ANALYZE
    units = [str(path) for path in folder.iterdir()]
    environment = {"HOME": str(machine), "XDG_RUNTIME_DIR": str(machine / "home")}
    done = subprocess.run([ANALYZE, "verify", "--user", "--man=no", *units], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


WORDS = {
    "plain-1.yaml": "plain-1.yaml",
    "a b": '"a b"',
    "100%": '"100%%"',
    "$x": '"$$x"',
    'a"\\': '"a\\"\\\\"',
    "it's": '"it\'s"',
    "": '""',
}


@pytest.mark.parametrize(("word", "quoted"), WORDS.items())
def test_words_of_systemd(word: str, quoted: str) -> None:
    assert systemd_word(word) == quoted


def test_systemd_s_timer_comes_once_and_goes(machine: Path, capsys: Output) -> None:
    folder = with_systemd(machine)
    units = [folder / "dreamsweep-night.service", folder / "dreamsweep-night.timer"]
    first = schedule(capsys, "night.yaml", "--install").splitlines()
    assert first[:2] == [f"{unit} created" for unit in units]
    again = schedule(capsys, "night.yaml", "--install").splitlines()
    assert again[:2] == [f"{unit} unchanged" for unit in units]
    assert schedule(capsys, "night.yaml", "--install", "--cron", "0 3 * * *").splitlines()[0] == f"{units[0]} changed"
    assert "OnCalendar=*-*-* 03:00:00 UTC" in units[1].read_text()
    calls = (machine / "systemctl").read_text().splitlines()
    new = ["--user daemon-reload", "--user enable dreamsweep-night.timer", "--user restart dreamsweep-night.timer"]
    assert calls == [*new, "--user enable --now dreamsweep-night.timer", *new]
    assert schedule(capsys, "night.yaml", "--remove").splitlines() == [f"{units[1]} removed", f"{units[0]} removed"]
    assert not any(folder.iterdir())
    assert (machine / "systemctl").read_text().splitlines()[-2:] == ["--user disable --now dreamsweep-night.timer", "--user daemon-reload"]
    assert schedule(capsys, "night", "--remove") == "Nothing is in place for 'night'; in place: nothing.\n"


def test_cron_s_line_comes_once_and_goes(machine: Path, capsys: Output) -> None:
    command(machine, "crontab", CRONTAB)
    crontab, own = machine / "crontab", "MAILTO=me\n0 9 * * 1 echo monday\n"
    crontab.write_text(own)
    assert schedule(capsys, "night.yaml", "--install").startswith("crontab: the line of 'night' created\n")
    before, begin, line, end = crontab.read_text().rsplit("\n", 4)[:4]
    assert (before, begin, end) == (own.rstrip(), "# dreamsweep schedule: night", "# end of dreamsweep schedule: night")
    assert line.startswith("30 1 * * * ")
    assert schedule(capsys, "night.yaml", "--install").startswith("crontab: the line of 'night' unchanged\n")
    assert (machine / "writes").read_text() == ".\n"
    assert schedule(capsys, "night.yaml", "--install", "--cron", "0 3 * * *").startswith("crontab: the line of 'night' changed\n")
    assert crontab.read_text().count("dreamsweep run") == 1
    assert schedule(capsys, "other", "--remove") == "Nothing is in place for 'other'; in place: night.\n"
    assert schedule(capsys, "night.yaml", "--remove") == "crontab: the line of 'night' removed\n"
    assert crontab.read_text() == own


def test_cron_s_line_does_what_it_says(machine: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by a shell, as cron runs it: the file of variables is read, and the log written."""
    command(machine, "crontab", CRONTAB)
    command(machine, "python 3", '#!/bin/sh\necho "$AWS_PROFILE" "$@"\n')
    monkeypatch.setattr(sys, "executable", f"{machine}/bin/python 3")
    schedule(capsys, "night.yaml", "--install", "--store", "s3://bucket/100%")
    line = (machine / "crontab").read_text().splitlines()[-2]
    shell = line.removeprefix("30 1 * * * ").replace("\\%", "%")  # what cron hands to the shell
    assert "%" not in line.replace("\\%", "")
    log = machine / "home" / "state" / "dreamsweep" / "night.log"
    arguments = f"-m dreamsweep run {machine}/night.yaml --store s3://bucket/100% --add --no-prefect --timer 30 1 * * * UTC\n"
    subprocess.run(["/bin/sh", "-c", shell], check=True, env={})
    (machine / "home" / ".config" / "dreamsweep").mkdir(parents=True)
    (machine / "home" / ".config" / "dreamsweep" / "environment").write_text("AWS_PROFILE=night\n")
    subprocess.run(["/bin/sh", "-c", shell], check=True, env={})
    assert log.read_text() == f" {arguments}night {arguments}"


def test_cron_and_another_time_zone(machine: Path, capsys: Output) -> None:
    command(machine, "crontab", CRONTAB)
    options = ("night.yaml", "--timezone", "Europe/Berlin")
    sentence = schedule(capsys, *options, "--install", code=2)
    assert sentence.startswith("dreamsweep: timezone 'Europe/Berlin': the cron of this machine goes by the machine's own time zone;")
    assert not (machine / "crontab").exists()
    (machine / "cronie").touch()
    schedule(capsys, *options, "--install")
    assert "\nCRON_TZ=Europe/Berlin\n30 1 * * * " in (machine / "crontab").read_text()


def test_a_machine_with_neither(machine: Path, capsys: Output) -> None:
    sentence = schedule(capsys, "night.yaml", "--install", code=2)
    assert sentence.startswith("dreamsweep: --install: neither `systemctl --user` nor crontab works here; install cron, or ")


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        ({"schedule": None}, [], "night.yaml names no schedule; add one, such as  schedule: \"0 2 * * *\", or say --cron '0 2 * * *'."),
        (
            {"schedule": {"cron": "0 2 * * *", "active": False}},
            [],
            "night.yaml: schedule.active is false; make it true, or say --cron '0 2 * * *'.",
        ),
        ({}, ["--cron", "0 25 * * *"], "--cron '0 25 * * *': bad hour; every night at two is '0 2 * * *'."),
        ({}, ["--timezone", "Europe/Berln"], "--timezone 'Europe/Berln': no such timezone; did you mean 'Europe/Berlin'."),
        ({}, ["--install", "--remove"], "--install --remove: the one takes away what the other puts in place; leave one of them out."),
    ],
)
def test_mistakes_are_one_sentence(machine: Path, capsys: Output, changes: dict[str, object], options: list[str], sentence: str) -> None:
    Path("night.yaml").write_text(yaml.safe_dump({name: value for name, value in {**SWEEP, **changes}.items() if value is not None}))
    assert schedule(capsys, "night.yaml", *options, code=2) == f"dreamsweep: {sentence}\n"


def test_variables_of_the_terminal_are_named(machine: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    with_systemd(machine)
    monkeypatch.setenv("AWS_PROFILE", "secret")
    monkeypatch.setenv("DREAMSWEEP_STORE", "s3://bucket/night")
    assert cli.run_command(["schedule", "night.yaml", "--install"]) == 0
    note = capsys.readouterr().err
    assert note.startswith("note: the run at night sees no AWS_PROFILE of this terminal;") and "secret" not in note


def test_the_date_of_a_run_is_that_for_which_it_was_due(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 23:50 in Berlin, started ten minutes late, as Prefect's flow run of that schedule would be named."""

    moment = datetime(2026, 7, 1, 22, 3, tzinfo=UTC)
    monkeypatch.setattr(run, "datetime", SimpleNamespace(now=lambda timezone: moment))
    *_, option, timer = nightly_arguments(Path("night.yaml"), "runs", "auto", "50 23 * * *", "Europe/Berlin")
    assert option == "--timer"
    assert run._load(Path("night.yaml"), None, timer)[0].name == "night-2026-07-01"
    assert run._load(Path("night.yaml"), None, "3 0 * * * Europe/Berlin")[0].name == "night-2026-07-02"
    assert run._load(Path("night.yaml"), "2026-06-30", timer)[0].name == "night-2026-06-30"
    for nonsense in ("50 23 * * *", "UTC", "50 23 * * * Nowhere"):
        with pytest.raises(UserError, match=r"^--timer: .* is no schedule; write a cron line and a time zone, such as '0 2 "):
            run._load(Path("night.yaml"), None, nonsense)


def test_the_device_is_handed_on() -> None:
    assert shlex.join(nightly_arguments(Path("a.yaml"), "s3://b/c", "cpu", "0 2 * * *", "UTC")).count("--device cpu --add") == 1
