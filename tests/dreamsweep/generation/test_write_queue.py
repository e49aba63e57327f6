"""The queue of writes: order, bounds, failures, and what becomes of it at an end that nobody planned."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.generation.write_queue import WriteQueue


def fails() -> None:
    raise StoreError("the disk is full.")


def soon(event: threading.Event, then: Callable[[], object] = lambda: None) -> None:
    """Waits for an event, then calls."""
    assert event.wait(30)
    then()


def test_every_write_is_done_once_joined_and_several_at_a_time() -> None:
    meeting, done = threading.Barrier(3), list[int]()

    def write(number: int) -> None:
        meeting.wait(30)
        done.append(number)

    with WriteQueue(threads=3) as queue:
        for number in range(6):
            queue.submit(partial(write, number))
        queue.join()
        assert sorted(done) == list(range(6))


def test_a_file_that_names_others_is_written_after_them() -> None:
    go, done = threading.Event(), list[str]()
    with WriteQueue(threads=4) as queue:
        queue.submit(partial(soon, go, lambda: done.append("picture")))
        queue.submit(lambda: done.append("checkpoint"), after_all=True)
        queue.submit(lambda: done.append("next picture"))
        assert not done
        go.set()
    assert done[0] == "picture" and sorted(done) == ["checkpoint", "next picture", "picture"]


def test_writes_that_hold_too_much_wait_and_a_large_one_waits_until_it_is_alone() -> None:
    go, begun, added = threading.Event(), list[int](), threading.Event()
    queue = WriteQueue(threads=4, most_bytes=100)

    def write(size: int) -> None:
        begun.append(size)
        soon(go)

    def add() -> None:
        for size in (60, 40, 500):
            queue.submit(partial(write, size), size)
        added.set()

    thread = threading.Thread(target=add)
    thread.start()
    assert not added.wait(0.2) and set(begun) <= {60, 40}
    go.set()
    thread.join()
    queue.join()
    assert sorted(begun) == [40, 60, 500]
    queue.__exit__(None, None, None)


def submit_and_end(queue: WriteQueue, writes: Sequence[Callable[[], None]], end: BaseException | None = None) -> None:
    """Submits writes, and leaves the queue as its work does that ends by an exception, or by none."""
    with queue:
        for write in writes:
            queue.submit(write)
        if end:
            raise end


def test_after_a_failure_nothing_else_begins_and_the_next_call_raises_it() -> None:
    go, done = threading.Event(), list[str]()
    queue = WriteQueue(threads=1)
    queue.submit(partial(soon, go, fails))
    queue.submit(lambda: done.append("checkpoint"), after_all=True)
    go.set()
    for call in (queue.join, lambda: queue.submit(lambda: done.append("later")), lambda: queue.__exit__(None, None, None)):
        with pytest.raises(StoreError, match="disk is full"):
            call()
    assert not done


@pytest.mark.parametrize("reason", [ValueError, GeneratorExit])
def test_what_was_submitted_is_written_before_another_failure_goes_on(reason: type[BaseException]) -> None:
    done = list[int]()
    with pytest.raises(reason):
        submit_and_end(WriteQueue(threads=1), [partial(done.append, number) for number in range(20)], reason())
    assert done == list(range(20))


def test_a_failed_write_does_not_hide_the_reason_of_the_end() -> None:
    with pytest.raises(ValueError, match="the engine"):
        submit_and_end(WriteQueue(), [fails], ValueError("the engine's"))
    with pytest.raises(StoreError, match="disk is full"):
        submit_and_end(WriteQueue(), [fails])


def test_ctrl_c_waits_for_no_write() -> None:
    go = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        submit_and_end(WriteQueue(threads=1), [partial(soon, go)] * 2, KeyboardInterrupt())
    go.set()
