"""What a flow run that was started again finds in its own past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Failed, Pending, Running, Scheduled

from dreamsweep.flows.automations import LOST, end_before

START = datetime(2026, 11, 26, tzinfo=UTC)


def past(*states: State[Any]) -> list[State[Any]]:
    """States a minute apart, the newest first, as no order is promised."""
    return [state.model_copy(update={"timestamp": START + timedelta(minutes=number)}) for number, state in enumerate(states)][::-1]


@pytest.mark.parametrize("end", [Completed(), Failed(message="why"), Cancelled()])
def test_one_that_had_ended_ends_again(end: State[Any]) -> None:
    state = end_before(past(Scheduled(), Running(), end, AwaitingRetry(message=LOST), Pending(), Running()))
    assert state is not None and (state.type, state.message) == (end.type, end.message)


@pytest.mark.parametrize(
    "states",
    [
        (Scheduled(), Pending(), Running()),
        (Scheduled(), Running(), Crashed(), AwaitingRetry(message=LOST), Running()),
        (Scheduled(), Running(), AwaitingRetry(message=LOST), Running()),
        (Scheduled(), Running(), Failed(), AwaitingRetry(message="Retry from the UI"), Running()),
        (
            Scheduled(),
            Running(),
            Failed(),
            AwaitingRetry(message=LOST),
            Running(),
            Crashed(),
            AwaitingRetry(message="it crashed"),
            Running(),
        ),
        (Running(),),
        (),
    ],
)
def test_one_that_crashed_or_that_somebody_started_again_has_work_to_do(states: tuple[State[Any], ...]) -> None:
    assert end_before(past(*states)) is None
