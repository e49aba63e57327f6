"""The schedule: when a deployed sweep is made by itself."""

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError
from pydantic import field_validator

from dreamsweep.spec.base import DATE, Spec, short_for

PART_OF_CRON = re.compile(r"(\*|(\d+|[a-z]{3})(-(\d+|[a-z]{3}))?)(/\d+)?|l|(\d|[a-z]{3})#[1-5]", re.ASCII | re.IGNORECASE)
"""What may stand between the commas of a cron line for Prefect and for cronsim alike."""
LAST_VALUES = (59, 23, 31, 12, 7)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NUMBERS = dict(zip(MONTHS, range(1, 13), strict=True)) | dict(zip(DAYS, range(7), strict=True))
"""Numbers of months and of days of the week."""
SYSTEM_ZONES = frozenset({"localtime", "Factory"})
"""Entries of the time zone database that name no place, or another one on each machine."""


def schedule_name(sweep: str) -> str:
    """Returns the name by which a sweep's schedule goes: the sweep's without its date."""
    return re.sub(rf"[._-]*{re.escape(DATE)}", "", sweep)


class Schedule(Spec):
    """When a sweep is made by itself, once it is deployed: `"0 2 * * *"`, or with a timezone. No part of any trial's identity."""

    cron: str
    """Minute, hour, day of the month, month, day of the week: `0 2 * * *` is every night at two."""
    timezone: str = "UTC"
    """Such as `Europe/Berlin`; two o'clock stays two o'clock when summer time comes and goes, and `{date}` is the date there."""
    active: bool = True
    """`false` keeps the schedule, and starts nothing."""

    _plain_cron = short_for("cron")

    @field_validator("cron")
    @classmethod
    def _comes(cls, cron: str) -> str:
        if len(cron.split()) != 5:
            raise ValueError("it takes five fields, such as '0 2 * * *' (minute, hour, day of the month, month, day of the week)")
        try:
            CronSim(cron, datetime.now(UTC))
            CronSim(" ".join([*cron.split()[:4], "*"]), datetime.now(UTC))  # Prefect never starts a day of the month that no month has
        except CronSimError as error:
            raise ValueError(f"{str(error).lower()}; every night at two is '0 2 * * *'") from None
        if unknown := next(_unknown_to_prefect(cron), None):
            raise ValueError(f"Prefect, which keeps schedules, does not read {unknown!r} as cron does; write it with numbers and '-'")
        return cron

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        known = zoneinfo.available_timezones() - SYSTEM_ZONES
        if timezone not in known:
            near = difflib.get_close_matches(timezone, known, n=1)
            raise ValueError(f"no such timezone; did you mean {near[0]!r}" if near else "no such timezone; use one such as 'Europe/Berlin'")
        return timezone


def _unknown_to_prefect(cron: str) -> Iterator[str]:
    """Returns the parts of a cron line that Prefect refuses, or reads as every value."""
    fields = cron.split()
    if "#" in fields[4] and fields[2] != "*":
        yield f"{fields[2]} … {fields[4]}"
    days = fields[2].lower().split(",")
    if "l" in days and any(day != "l" and not (day.isdigit() and int(day) < 29) for day in days):
        yield fields[2]  # one of the two readers forgets the last day, or all others
    for last, field in zip(LAST_VALUES, fields, strict=True):
        parts = field.split(",")
        if len({"#" in part for part in parts}) > 1:
            yield field
        yield from (part for part in parts if not PART_OF_CRON.fullmatch(part) or _is_read_as_every(part, last))


def _is_read_as_every(part: str, last: int) -> bool:
    """Returns whether Prefect takes a part for every value: a range with equal ends (`2-2`), or the last value with a step (`31/1`)."""
    values, step, _ = part.partition("/")
    ends = [int(end) if end.isdigit() else NUMBERS.get(end.lower()) for end in values.split("-")]
    return ends == [last] if step and len(ends) == 1 else len(ends) == 2 and ends[0] == ends[1]
