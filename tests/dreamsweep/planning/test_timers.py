"""Cron lines as systemd and cron read them. tests/flows/test_schedules.py holds them against Prefect's own parser."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from dreamsweep.errors import UserError
from dreamsweep.planning.timers import calendar_lines, crontab_times, first_skipped, last_moment, next_moments, same_clock

ANALYZE = shutil.which("systemd-analyze")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LINES = {
    "30 1 * * *": ["*-*-* 01:30:00 UTC"],
    "*/15 0-6 * * MON-FRI": ["Mon..Fri *-*-* 00..06:00,15,30,45:00 UTC"],
    "5/20 22 1,15 jan-mar,12 *": ["*-01..03,12-01,15 22:05,25,45:00 UTC"],
    "* * 13 * fri": ["*-*-13 *:*:00 UTC", "Fri *-*-* *:*:00 UTC"],
    "0 0 */10 * sun,1": ["*-*-01,11,21,31 00:00:00 UTC", "Mon,Sun *-*-* 00:00:00 UTC"],
    "0 2 31 1 fri-7": ["*-01-31 02:00:00 UTC", "Fri..Sun *-01-* 02:00:00 UTC"],
    "0 2 L,15 2 *": ["*-02-15 02:00:00 UTC", "*-02~01 02:00:00 UTC"],
    "0 2 * * fri#5": ["Fri *-*-29..31 02:00:00 UTC"],
    "0 2 * 6 mon#1,7#2,thu#2": ["Mon *-06-01..07 02:00:00 UTC", "Thu,Sun *-06-08..14 02:00:00 UTC"],
}


@pytest.mark.parametrize(("cron", "lines"), LINES.items())
def test_a_timer_s_lines(cron: str, lines: list[str]) -> None:
    assert calendar_lines(cron, "UTC") == lines


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("cron", LINES)
def test_systemd_reads_the_same_moments(cron: str) -> None:
    assert ANALYZE
    command = [ANALYZE, "calendar", "--iterations=12", "--base-time=2026-11-26 12:00:00 UTC", *calendar_lines(cron, "UTC")]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"}).stdout
    elapses = {datetime.strptime(moment, "%Y-%m-%d %H:%M:%S") for moment in re.findall(r"(?:elapse|#\d+): \w+ (\S+ \S+) UTC", text)}
    assert sorted(elapses)[:12] == [moment.replace(tzinfo=None) for moment in next_moments(cron, "UTC", NOW, 12)]


@pytest.mark.parametrize(
    ("cron", "fields"),
    [
        ("30 1 * * *", "30 1 * * *"),
        ("*/20 0-6 * * MON-FRI", "0,20,40 0-6 * * 1-5"),
        ("5/20 2,3 * jan-mar,12 sun", "5,25,45 2,3 * 1-3,12 7"),
        ("0 2 */10 * mon", "0 2 1,11,21,31 * 1"),
    ],
)
def test_cron_s_fields(cron: str, fields: str) -> None:
    assert crontab_times(cron) == fields


@pytest.mark.parametrize(("cron", "word"), [("0 2 L * *", "L"), ("0 2 * * fri#5", "#")])
def test_what_no_cron_knows_is_refused(cron: str, word: str) -> None:
    with pytest.raises(UserError, match=f"^cron '{cron}': no cron knows '{word}', only systemd's timers do; ".replace("*", r"\*")):
        crontab_times(cron)


def test_the_moment_before_and_the_moments_after() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    at = datetime(2026, 11, 27, 1, 30, tzinfo=berlin)
    assert last_moment("30 1 * * *", "Europe/Berlin", at.astimezone(UTC)) == at
    assert last_moment("30 1 * * *", "Europe/Berlin", at.replace(minute=29)) == at.replace(day=26)
    assert next_moments("30 1 * * *", "Europe/Berlin", at, 2) == [at.replace(day=28), at.replace(day=29)]
    assert next_moments("30 1 */2 * fri", "Europe/Berlin", at, 3) == list(islice(CronSim("30 1 1-31/2 * fri", at), 3))


@pytest.mark.parametrize(
    ("cron", "timezone", "skipped"),
    [
        ("30 2 * * *", "Europe/Berlin", datetime(2027, 3, 28, 2, 30)),
        ("30 2 * * sun", "Europe/Berlin", datetime(2027, 3, 28, 2, 30)),
        ("30 2 * * mon", "Europe/Berlin", None),
        ("30 1,3 * * *", "Europe/Berlin", None),
        ("*/10 * * * *", "Europe/Berlin", None),
        ("30 2 * * *", "UTC", None),
    ],
)
def test_moments_that_no_clock_shows(cron: str, timezone: str, skipped: datetime | None) -> None:
    assert first_skipped(cron, timezone, NOW) == skipped


def test_clocks_that_agree_all_year() -> None:
    def in_london(moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo("Europe/London"))

    assert same_clock("Europe/London", NOW, in_london) and same_clock("Europe/Guernsey", NOW, in_london)
    assert not same_clock("UTC", NOW, in_london)  # though both show the same in November
