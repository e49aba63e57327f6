"""Retries: how often, after what delays, of which failures."""

import logging
from collections.abc import Iterator

import pytest

from dreamsweep.errors import StoreError, StoreUnavailableError, UserError
from dreamsweep.retry import delays, is_transient, outlast, outlast_steps

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
