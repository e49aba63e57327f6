"""Retries: how often, after what delays, of which failures."""

import logging
from collections.abc import Iterator

import pytest

from dreamsweep.errors import StoreError, StoreUnavailableError, UserError
from dreamsweep.retry import LONGEST_PAUSE, STORE_SECONDS, Patience, delays, is_transient, outlast, outlast_steps

AWAY = StoreUnavailableError("the store does not answer.")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, of which none passes."""
    waits: list[float] = []
    monkeypatch.setattr("dreamsweep.retry.time.sleep", waits.append)
    return waits


class Fails:
    """A call that fails a number of times, and then works."""

    def __init__(self, times: int, failure: Exception = AWAY) -> None:
        self.left, self.failure, self.calls = times, failure, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.failure
        return "worked"


def test_delays_double_up_to_five_minutes_and_keep_their_proportions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(delays(9)) == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "0.5")
    assert list(delays(9)) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "soon")
    with pytest.raises(UserError, match="DREAMSWEEP_RETRY_SECONDS: 'soon'"):
        delays(1)


def test_an_outage_is_waited_for_and_said(slept: list[float], caplog: pytest.LogCaptureFixture) -> None:
    recovered: list[bool] = []
    with caplog.at_level(logging.WARNING, "dreamsweep.progress"):
        assert outlast(Fails(3), recovered=lambda: recovered.append(True)) == "worked"
    assert slept == [5, 10, 20] and recovered == [True]
    assert caplog.messages[0] == "the store does not answer. Retried in 5 s."
    assert outlast(Fails(0), recovered=lambda: recovered.append(True)) == "worked"
    assert recovered == [True]


def test_retries_end(slept: list[float]) -> None:
    call = Fails(100)
    with pytest.raises(StoreUnavailableError):
        outlast(call, 2)
    assert call.calls == 3 and len(slept) == 2


@pytest.mark.parametrize("failure", [StoreError("no bucket"), ZeroDivisionError(), KeyError("x")])
def test_what_will_not_pass_is_raised_at_once(slept: list[float], failure: Exception) -> None:
    call = Fails(1, failure)
    with pytest.raises(type(failure)):
        outlast(call)
    assert call.calls == 1 and not slept


def test_a_wrapped_outage_is_one_unless_it_became_the_user_s(slept: list[float]) -> None:
    wrapped, refused = RuntimeError("a task failed"), StoreError("no such address")
    wrapped.__cause__ = refused.__cause__ = AWAY
    assert is_transient(wrapped) and not is_transient(refused) and not is_transient(None)


def test_steps_begin_again_where_they_are_kept(slept: list[float]) -> None:
    kept, outages = [0], [2, 4]

    def begin() -> Iterator[int]:
        while kept[0] < 5:
            if outages and kept[0] == outages[0]:
                outages.pop(0)
                raise AWAY
            kept[0] += 1
            yield kept[0]

    assert list(outlast_steps(begin)) == [1, 2, 3, 4, 5]
    assert slept == [5, 10]


def test_the_next_outage_of_a_night_is_retried_as_often_as_the_first(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    hours = iter(range(0, 36_000_000, 3_600))
    monkeypatch.setattr("dreamsweep.retry.time.monotonic", lambda: next(hours))
    attempts = Fails(5)

    def begin() -> Iterator[str]:
        yield attempts()

    assert list(outlast_steps(begin, 1)) == ["worked"]
    assert slept == [5] * 5


def test_without_delays_the_retries_still_end(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "0")
    attempts = Fails(5)

    def begin() -> Iterator[str]:
        yield attempts()

    with pytest.raises(StoreUnavailableError):
        list(outlast_steps(begin, 3))
    assert attempts.calls == 4 and slept == [0, 0, 0]


class Clock:
    """A clock that goes on while somebody sleeps, and at no other time."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("dreamsweep.retry.time.sleep", clock.sleep)
    monkeypatch.setattr("dreamsweep.retry.time.monotonic", clock.monotonic)
    return clock


class AwayUntil:
    """A call that fails until a moment of the clock."""

    def __init__(self, clock: Clock, moment: float) -> None:
        self.clock, self.moment, self.calls = clock, moment, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.clock.now < self.moment:
            raise AWAY
        return "worked"


@pytest.mark.parametrize("away", [0.1, 3, 90, 270])
def test_a_request_waits_out_five_minutes(clock: Clock, away: float, caplog: pytest.LogCaptureFixture) -> None:
    call = AwayUntil(clock, away)
    with caplog.at_level(logging.WARNING, "dreamsweep.progress"):
        assert Patience(STORE_SECONDS).outlast(call) == "worked"
    assert away <= clock.now <= away + LONGEST_PAUSE and max(clock.pauses) <= LONGEST_PAUSE
    said = ["the store does not answer. Waiting up to 5 min for it.", "The store answers again."]
    assert caplog.messages == (said if away > 2 else [])


def test_a_request_gives_up_at_its_deadline(clock: Clock) -> None:
    with pytest.raises(StoreUnavailableError):
        Patience(300).outlast(AwayUntil(clock, 10_000))
    assert 300 - LONGEST_PAUSE <= clock.now <= 300


def test_pauses_are_drawn_between_nothing_and_a_limit_that_doubles(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.retry.random.uniform", lambda least, most: most)
    Patience(300).outlast(AwayUntil(clock, 60))
    assert clock.pauses == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_mistakes_are_not_waited_for_and_several_threads_say_an_outage_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(300)
    with pytest.raises(StoreError):
        patience.outlast(Fails(1, StoreError("no such bucket")))
    assert not clock.pauses
    nested = AwayUntil(clock, 100)
    with caplog.at_level(logging.WARNING, "dreamsweep.progress"):
        patience.outlast(lambda: patience.outlast(nested))
        patience.outlast(AwayUntil(clock, clock.now + 50))
    assert len(caplog.messages) == 4, "twice away, twice back"
