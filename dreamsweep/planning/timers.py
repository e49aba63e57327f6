"""Cron lines as systemd and cron read them, and the moments that they name.

A cron line means here what it means to Prefect: of a day of the month and a day of the week that are both restricted, either is enough.
cron itself wants both where one of them starts with `*`, as in `0 2 */2 * mon`; the lines written here leave it no such choice.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from dreamsweep.errors import UserError

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
YEAR = timedelta(days=366)
Range = tuple[int, int]


@dataclass(frozen=True)
class _Cron:
    """Values of a cron line's fields. `days` and `weekdays` are empty where every day will do."""

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    last_day: bool
    """Whether the last day of the month is among the days."""
    weekdays: frozenset[int]
    """1 is Monday, 7 Sunday."""
    nth_weekdays: frozenset[tuple[int, int]]
    """The n-th of a weekday in a month: (5, 2) is the second Friday."""


def calendar_lines(cron: str, timezone: str) -> list[str]:
    """Returns the values of `OnCalendar=` that name the same moments together (systemd.time(7)); the cron line is a valid `Schedule`'s."""
    parsed = _parse(cron)
    month = _listed(parsed.months, (1, 12), "..", "{:02}")
    time = f"{_listed(parsed.hours, (0, 23), '..', '{:02}')}:{_listed(parsed.minutes, (0, 59), '..', '{:02}')}:00"
    return [f"{day} {time} {timezone}" for day in _calendar_days(parsed, month)]


def _calendar_days(parsed: _Cron, month: str) -> Iterator[str]:
    if parsed.days:
        yield f"*-{month}-{_listed(parsed.days, (1, 31), '..', '{:02}')}"
    if parsed.last_day:
        yield f"*-{month}~01"
    if parsed.weekdays:
        yield f"{_weekdays(parsed.weekdays)} *-{month}-*"
    for nth in sorted({nth for _, nth in parsed.nth_weekdays}):
        days = f"{7 * nth - 6:02}..{min(7 * nth, 31):02}"
        yield f"{_weekdays({day for day, number in parsed.nth_weekdays if number == nth})} *-{month}-{days}"
    if not (parsed.days or parsed.last_day or parsed.weekdays or parsed.nth_weekdays):
        yield f"*-{month}-*"


def crontab_times(cron: str) -> str:
    """Returns the five fields of a crontab, in words that every cron knows. Raises UserError for `L` and `#`, which none knows."""
    parsed = _parse(cron)
    if parsed.last_day or parsed.nth_weekdays:
        word = "L" if parsed.last_day else "#"
        raise UserError(f"cron {cron!r}: no cron knows {word!r}, only systemd's timers do; write days by their numbers.")
    return _fields(parsed)


def last_moment(cron: str, timezone: str, now: datetime) -> datetime:
    """Returns the latest moment of a schedule that is not after `now`, in its time zone."""
    later = now.astimezone(ZoneInfo(timezone)) + timedelta(seconds=1)  # its own moment counts
    return next(CronSim(_fields(_parse(cron)), later, reverse=True))


def next_moments(cron: str, timezone: str, now: datetime, count: int) -> list[datetime]:
    """Returns the next moments of a schedule after `now`, in its time zone."""
    return list(islice(CronSim(_fields(_parse(cron)), now.astimezone(ZoneInfo(timezone))), count))


def first_skipped(cron: str, timezone: str, now: datetime) -> datetime | None:
    """Returns the first moment within a year that no clock shows, as summer time begins: systemd's timers leave it out.

    None where there is none, or where every hour has one. The moment is by the clock on the wall, without a time zone.
    """
    parsed, zone = _parse(cron), ZoneInfo(timezone)
    if len(parsed.hours) == 24:
        return None
    for moment in _moments_of_days_that_change(parsed, zone, now):
        if moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment and _comes(parsed, moment):
            return moment
    return None


def same_clock(timezone: str, now: datetime, local: Callable[[datetime], datetime] = datetime.astimezone) -> bool:
    """Returns whether clocks of a time zone show this machine's time (`local`) on every day of the next year."""
    zone = ZoneInfo(timezone)
    days = (now.astimezone(UTC) + timedelta(days=day) for day in range(YEAR.days))
    return all(local(day).utcoffset() == day.astimezone(zone).utcoffset() for day in days)


def _moments_of_days_that_change(parsed: _Cron, zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
    start = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    midnights = [start + timedelta(days=day) for day in range(YEAR.days + 1)]
    for day, following in pairwise(midnights):
        if day.replace(tzinfo=zone).utcoffset() != following.replace(tzinfo=zone).utcoffset():
            yield from (day.replace(hour=hour, minute=minute) for hour in sorted(parsed.hours) for minute in sorted(parsed.minutes))


def _comes(parsed: _Cron, moment: datetime) -> bool:
    return next(CronSim(_fields(parsed), moment - timedelta(minutes=1))) == moment


def _parse(cron: str) -> _Cron:
    simulated = CronSim(cron, datetime.now(UTC))
    _, _, day_field, _, weekday_field = cron.split()
    days = frozenset(day for day in simulated.days if day > 0)
    plain = frozenset((day + 6) % 7 + 1 for day in simulated.weekdays if isinstance(day, int))
    pairs = (entry for entry in simulated.weekdays if isinstance(entry, tuple))
    is_any_day = "*" in day_field.split(",") or (len(days) == 31 and "*" in weekday_field)
    is_any_weekday = "*" in weekday_field.split(",") or (len(plain) == 7 and "*" in day_field)
    return _Cron(
        minutes=frozenset(simulated.minutes),
        hours=frozenset(simulated.hours),
        months=frozenset(simulated.months),
        days=frozenset() if is_any_day else days,
        last_day=CronSim.LAST in simulated.days,
        weekdays=frozenset() if is_any_weekday else plain,
        nth_weekdays=frozenset(((day + 6) % 7 + 1, nth) for day, nth in pairs),
    )


def _fields(parsed: _Cron) -> str:
    """Returns five fields of cron, the last two never with a star of their own where both are restricted."""
    days = [_listed(parsed.days, None, "-", "{}")] if parsed.days else []
    weekdays = [_listed(parsed.weekdays, None, "-", "{}")] if parsed.weekdays else []
    return " ".join(
        (
            _listed(parsed.minutes, (0, 59), "-", "{}"),
            _listed(parsed.hours, (0, 23), "-", "{}"),
            ",".join([*days, *["L"] * parsed.last_day]) or "*",
            _listed(parsed.months, (1, 12), "-", "{}"),
            ",".join([*weekdays, *(f"{day}#{nth}" for day, nth in sorted(parsed.nth_weekdays))]) or "*",
        )
    )


def _weekdays(days: Collection[int]) -> str:
    return ",".join(WEEK[first - 1] if first == last else f"{WEEK[first - 1]}..{WEEK[last - 1]}" for first, last in _ranges(days))


def _listed(values: Collection[int], every: Range | None, to: str, number: str) -> str:
    """Returns values as a list of numbers and ranges; `*` where they are every value."""
    ranges = _ranges(values)
    if every and ranges == [every]:
        return "*"
    return ",".join(number.format(first) if first == last else f"{number.format(first)}{to}{number.format(last)}" for first, last in ranges)


def _ranges(values: Collection[int]) -> list[Range]:
    """Returns consecutive values as ranges of three and more; the others as ranges of their own."""
    ranges: list[Range] = []
    for value in sorted(values):
        if ranges and ranges[-1][1] == value - 1:
            ranges[-1] = (ranges[-1][0], value)
        else:
            ranges.append((value, value))
    return [part for first, last in ranges for part in ([(first, last)] if last - first != 1 else [(first, first), (last, last)])]
