"""Interruption of a run: the first Ctrl-C or SIGTERM lets the running shard save a checkpoint, the second stops at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable(is_generating: Callable[[], bool], on_stop: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Yields a function that answers whether the running shard is to stop after its iteration.

    While no shard is generated, and from the second time on, Ctrl-C and SIGTERM raise KeyboardInterrupt.
    """
    requests: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        requests.append(number)
        if len(requests) > 1 or not is_generating():
            raise KeyboardInterrupt
        on_stop()

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def stop_on_sigterm() -> None:
    """Has SIGTERM end the process as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
