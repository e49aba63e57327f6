"""Schedules as Prefect plans them: what a sweep file may say Prefect takes, and each night has a date of its own."""

import heapq
import itertools
import re
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from cronsim import CronSim
from hypothesis import assume, given
from hypothesis import strategies as st
from prefect.server.schemas.schedules import CronSchedule
from pydantic import ValidationError

from dreamsweep.flows.sweep import SweepRequest
from dreamsweep.planning.expand import day_at
from dreamsweep.planning.sweep_file import parse_sweep, sweep_text
from dreamsweep.planning.timers import WEEK, calendar_lines, crontab_times, last_moment, next_moments
from dreamsweep.spec import Schedule, Sweep
from dreamsweep.spec.schedule import SYSTEM_ZONES

MINUTES = ["*", "0", "59", "5-10", "*/5", "5/10", "59/2", "05", "L"]
HOURS = ["*", "23", "2-4", "*/6", "23/1", "4/3", "2-2"]
DAYS = ["*", "1", "31", "L", "LW", "1-15", "1-31", "*/10", "*/1", "15W", "?", "5/4", "L/2"]
MONTHS = ["*", "12", "jan", "DEC", "jan-mar", "*/3", "2", "JAN-1", "12/1"]
WEEKDAYS = ["*", "0", "7", "1-5", "MON-FRI", "5L", "L5", "5#2", "fri#5", "sun/2", "*/2", "0-6", "0-7", "fri-7", "7/1", "H", "?"]


def some(parts: list[str]) -> st.SearchStrategy[str]:
    """One or two parts of a field of a cron line."""
    return st.lists(st.sampled_from(parts), min_size=1, max_size=2).map(",".join)


@given(st.tuples(some(MINUTES), some(HOURS), some(DAYS), some(MONTHS), some(WEEKDAYS)).map(" ".join))
def test_what_a_sweep_file_may_say_prefect_plans(cron: str) -> None:
    try:
        Schedule(cron=cron)
    except ValidationError:
        assume(False)
    assert len(list(CronSchedule(cron=cron, timezone="UTC")._get_dates_generator(n=2, start=datetime(2026, 1, 1, tzinfo=UTC)))) == 2


@given(st.tuples(some(MINUTES), some(HOURS), some(DAYS), some(MONTHS), some(WEEKDAYS)).map(" ".join), st.integers(0, 60 * 24 * 3650))
def test_timers_and_crontabs_name_the_moments_that_prefect_plans(cron: str, minutes: int) -> None:
    try:
        Schedule(cron=cron)
    except ValidationError:
        assume(False)
    days = days_of_month(cron)
    assume(31 not in days or len(days) in (1, 31))  # beside other days, croniter, which Prefect plans with, leaves out the first of March
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    plan = CronSchedule(cron=cron, timezone="UTC")._get_dates_generator(n=6, start=start + timedelta(seconds=1))
    moments = [datetime.fromtimestamp(moment.timestamp(), UTC) for moment in plan]
    assert next_moments(cron, "UTC", start, 6) == moments
    assert last_moment(cron, "UTC", moments[1] - timedelta(minutes=1)) == moments[0]
    assert last_moment(cron, "UTC", moments[1]) == moments[1]
    lines = [calendar_moments(line, start) for line in calendar_lines(cron, "UTC")]
    assert list(islice((moment for moment, _ in itertools.groupby(heapq.merge(*lines))), 6)) == moments
    if "L" not in cron.split()[2] and "#" not in cron:
        assert list(islice(CronSim(crontab_times(cron), start), 6)) == moments


def days_of_month(cron: str) -> frozenset[int]:
    """Returns the days of a cron line, without the last of each month."""
    return frozenset(day for day in CronSim(cron, datetime(2026, 1, 1)).days if day <= 31)


def calendar_moments(line: str, start: datetime) -> Iterator[datetime]:
    """Returns the moments of one calendar event (systemd.time(7)) after the start, by UTC."""
    *weekdays, day, time, zone = line.split(" ")
    assert zone == "UTC"
    weekday = values(weekdays[0], WEEK) if weekdays else frozenset(range(7))
    year, month, *dates = re.split("[-~]", day)
    hour, minute, second = time.split(":")
    assert (year, second) == ("*", "00") and (dates == ["01"] or "~" not in day)
    last = "~" in day
    for number in itertools.count():
        date = (start + timedelta(days=number)).replace(hour=0, minute=0, second=0)
        is_right = (date + timedelta(days=1)).day == 1 if last else date.day in values(dates[0], range(1, 32))
        if is_right and date.month in values(month, range(1, 13)) and date.weekday() in weekday:
            for at in itertools.product(sorted(values(hour, range(24))), sorted(values(minute, range(60)))):
                moment = date.replace(hour=at[0], minute=at[1])
                if moment > start:
                    yield moment


@cache
def values(field: str, every: Sequence[str] | range) -> frozenset[int]:
    if field == "*":
        return frozenset(every)  # type: ignore[arg-type]
    numbers = {name: number for number, name in enumerate(every)} if isinstance(every[0], str) else {f"{n:02}": n for n in range(60)}
    parts = [part.split("..") for part in field.split(",")]
    return frozenset(number for part in parts for number in range(numbers[part[0]], numbers[part[-1]] + 1))


def test_every_timezone_of_a_sweep_file_is_prefect_s_as_well() -> None:
    for timezone in zoneinfo.available_timezones() - SYSTEM_ZONES:
        assert CronSchedule(cron="0 2 * * *", timezone=timezone).timezone == timezone


def nightly(cron: str, timezone: str) -> Sweep:
    content = {"name": "night-{date}", "prompts": ["a"], "engines": ["dalle"], "seeds": {"count": 1, "daily": True}}
    return parse_sweep({**content, "schedule": {"cron": cron, "timezone": timezone}}, Path("/"), "test")


@pytest.mark.parametrize("start", [date(2026, 3, 1), date(2026, 10, 15)])
@pytest.mark.parametrize("cron", ["30 0 * * *", "30 1 * * *", "30 2 * * *", "0 19 * * *", "59 23 * * *"])
@pytest.mark.parametrize("timezone", ["Europe/Berlin", "Europe/London", "America/New_York", "Pacific/Auckland", "UTC"])
def test_no_two_nights_share_a_date_and_none_is_left_out(timezone: str, cron: str, start: date) -> None:
    """Both changes of the clock lie within the 40 nights."""
    sweep = nightly(cron, timezone)
    noon = datetime(start.year, start.month, start.day, 12, tzinfo=zoneinfo.ZoneInfo(timezone))
    moments = CronSchedule(cron=cron, timezone=timezone)._get_dates_generator(n=40, start=noon)
    days = [day_at(sweep, moment.astimezone(UTC)) for moment in moments]
    assert days == [days[0] + timedelta(days=number) for number in range(40)]


def test_a_flow_run_is_named_after_the_date_in_the_schedule_s_timezone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.flows.sweep._moment", lambda: datetime(2026, 7, 1, 23, 30, tzinfo=UTC))
    sweep = nightly("30 1 * * *", "Europe/Berlin")
    assert SweepRequest(sweep=sweep).name == SweepRequest(sweep=sweep_text(sweep)).name == "night-2026-07-02"
    unscheduled = sweep.model_copy(update={"schedule": None})
    assert SweepRequest(sweep=unscheduled).name == SweepRequest(sweep=sweep_text(unscheduled)).name == "night-2026-07-01"
    assert SweepRequest(sweep='name: "t-{date}"\nschedule: {cron: "0 2 * * *", timezone: No/Where}').name == "t-2026-07-01"
