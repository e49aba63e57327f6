"""Retries of what may pass by itself, such as an outage of the store: delays that grow, and a line in the log now and then.

Each request to a store waits for minutes (`Patience`). A task that fails all the same is retried (`TASK_RETRIES`). Whoever
coordinates a sweep waits longer: `outlast` and `outlast_steps` give up after a night.
"""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from dreamsweep.environment import seconds
from dreamsweep.errors import TransientError, UserError
from dreamsweep.text import format_seconds

FIRST_DELAY = 5.0
"""Seconds before the first retry, unless DREAMSWEEP_RETRY_SECONDS sets it. Each further delay doubles, up to `MOST` times the first."""
MOST = 60
TASK_RETRIES = 7
"""Retries of a task: 5 + 10 + 20 + 40 + 80 + 160 + 300 s, so that it outlasts an outage of ten minutes."""
NIGHT = 144
"""Retries of whoever coordinates a sweep: twelve hours."""
STORE_SECONDS = 300.0
"""Seconds that one request to a store waits for an outage to end, unless DREAMSWEEP_STORE_SECONDS sets them."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds of the pauses between two tries of such a request, at most: the first, doubled each time, and the longest."""
SAID_AFTER = 1.0
"""Seconds of an outage after which a line says so: one that a few tries have outlasted is not worth it."""
PROGRESS = logging.getLogger("dreamsweep.progress")

T = TypeVar("T")


def store_seconds() -> float:
    """Reads the seconds that a request to a store waits. Raises UserError where DREAMSWEEP_STORE_SECONDS is invalid."""
    return seconds("DREAMSWEEP_STORE_SECONDS", STORE_SECONDS)


class Patience:
    """Waits for the outages of one server to end, for whichever threads call it: with full jitter, until a deadline for each call.

    Pauses are drawn anew each time between 0 and a limit that doubles (full jitter: AWS Architecture Blog, 2015), so that the machines
    of a night do not all come back at the same moment. An outage is said once, and so is its end.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._is_said = False

    def outlast(self, call: Callable[[], T]) -> T:
        """Calls again while the failure is transient, until the deadline; raises the last failure, or any other."""
        began: float | None = None
        for attempt in itertools.count():
            try:
                result = call()
            except TransientError as failure:
                now = time.monotonic()
                began = now if began is None else began
                pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 16)))
                if now - began + pause > self.limit:
                    raise
                if now - began >= SAID_AFTER:
                    self._say(failure)
                time.sleep(pause)
            else:
                if began is not None:
                    self._say_its_end()
                return result
        raise AssertionError("the last attempt returns or raises")

    def _say(self, failure: TransientError) -> None:
        with self._lock:
            is_first, self._is_said = not self._is_said, True
        if is_first:
            text = f"{str(failure).rstrip('.')}. Waiting up to {format_seconds(self.limit)} for it."
            PROGRESS.warning("%s", text, extra={"outage": text})

    def _say_its_end(self) -> None:
        with self._lock:
            was_said, self._is_said = self._is_said, False
        if was_said:
            PROGRESS.warning("The store answers again.")


def first_delay() -> float:
    """Reads the seconds before the first retry. Raises UserError where DREAMSWEEP_RETRY_SECONDS is invalid."""
    return seconds("DREAMSWEEP_RETRY_SECONDS", FIRST_DELAY)


def delays(retries: int) -> Iterator[float]:
    """Seconds before each retry."""
    first = first_delay()
    return (first * min(2.0**number, MOST) for number in range(retries))


def is_transient(failure: object) -> bool:
    """Returns whether an exception, or the one that it was explicitly raised from, may pass by itself."""
    while isinstance(failure, BaseException) and not isinstance(failure, UserError):
        if isinstance(failure, TransientError):
            return True
        failure = failure.__cause__
    return False


def outlast(call: Callable[[], T], retries: int = NIGHT, recovered: Callable[[], None] = lambda: None) -> T:
    """Calls again after each transient failure, and `recovered` once a retry has succeeded. Raises the last failure, or any other."""
    waits = delays(retries)
    for attempt in itertools.count():
        try:
            result = call()
        except Exception as failure:  # noqa: BLE001 - raised again unless it is transient
            _wait(failure, next(waits, None))
        else:
            if attempt:
                recovered()
            return result
    raise AssertionError("the last attempt returns or raises")


def outlast_steps(
    begin: Callable[[], Iterable[T]], retries: int = NIGHT, lost: Callable[[Exception, int | None], T] | None = None
) -> Iterator[T]:
    """Iterates, and begins again after each transient failure, such as a shard from its checkpoint.

    Retries are counted anew once it has run for twice the longest delay, so that several outages in one night do not add up. `lost`
    makes an item of a transient failure and the attempt that follows it, from 2 (None: none does), instead of a line in the log.
    Raises the last failure, or any other.
    """
    waits = delays(retries)
    for attempt in itertools.count(2):
        begun = time.monotonic()
        try:
            yield from begin()
        except Exception as failure:
            if not is_transient(failure):
                raise
            if 0 < 2 * MOST * first_delay() < time.monotonic() - begun:
                waits = delays(retries)
            delay = next(waits, None)
            if lost:
                yield lost(failure, None if delay is None else attempt)
            if delay is None:
                raise
            if not lost:
                say(failure, delay)
            time.sleep(delay)
        else:
            return


def say(failure: object, delay: float) -> None:
    """Logs a failure that is retried."""
    text = f"{str(failure).rstrip('.')}. Retried in {format_seconds(delay)}."
    PROGRESS.warning("%s", text, extra={"outage": text})


def _wait(failure: Any, delay: float | None) -> None:
    """Waits before the next retry; raises the failure itself where there is none."""
    if delay is None or not is_transient(failure):
        raise failure
    say(failure, delay)
    time.sleep(delay)
