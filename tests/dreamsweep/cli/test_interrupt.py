"""The first interruption waits for the iteration that runs, the second does not."""

import os
import signal

import pytest

from dreamsweep.cli.interrupt import stoppable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_shard_is_generated_the_first_asks_and_the_second_stops(number: signal.Signals) -> None:
    shown: list[str] = []
    before = signal.getsignal(number)
    with stoppable(lambda: True, lambda: shown.append("stopping")) as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop() and shown == ["stopping"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_while_no_shard_is_generated_the_first_stops() -> None:
    with stoppable(lambda: False, lambda: None), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
