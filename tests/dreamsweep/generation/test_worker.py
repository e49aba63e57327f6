"""The process beside others: what it sends of shards, of errors and of log lines."""

import logging
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.generation import worker
from dreamsweep.generation.make_here import SweepStoppedError
from dreamsweep.generation.worker import Said, Stopped, make_all
from dreamsweep.results.handoff import Lost
from dreamsweep.retry import PROGRESS
from dreamsweep.store import Store, open_store


class TwoPartError(Exception):
    """Cannot be read back: it takes two arguments and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - for its traceback
        return caught


@pytest.mark.parametrize(("error", "kind"), [(StoreError("no space"), StoreError), (TwoPartError("no ", "space"), RuntimeError)])
def test_an_error_comes_with_where_it_happened(error: Exception, kind: type, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "make_here", lambda *_: iter([raised(error)]))
    ours, theirs = multiprocessing.Pipe()
    ours.send("a shard")
    ours.send(None)
    make_all(theirs, theirs.send, store, "cpu")
    received = ours.recv()
    assert type(received) is kind and "no space" in str(received)
    assert isinstance(received, Exception) and "in raised" in received.__notes__[0]


def test_what_comes_while_a_shard_is_made_stops_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(shards: Iterator[Any], store: Any, device: str, stop: Any) -> Iterator[Any]:
        assert not stop()
        yield Lost(next(shards), "an outage", 2)
        ours.send(None)
        assert stop()
        raise SweepStoppedError

    monkeypatch.setattr(worker, "make_here", make)
    ours, theirs = multiprocessing.Pipe()
    ours.send("a shard")
    make_all(theirs, theirs.send, store, "cpu")
    assert (ours.recv(), ours.recv()) == (Lost("a shard", "an outage", 2), Stopped())


def test_without_a_listener_it_ends(store: Store) -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    with pytest.raises((EOFError, OSError)):
        make_all(theirs, theirs.send, store, "cpu")


def test_lines_of_the_log_are_sent() -> None:
    ours, theirs = multiprocessing.Pipe()
    sender = worker.Sender(theirs)
    PROGRESS.addHandler(sender)
    try:
        PROGRESS.warning("%s. Waiting.", "s3 does not answer")
        PROGRESS.log(logging.INFO, "nothing")
    finally:
        PROGRESS.removeHandler(sender)
    assert ours.recv() == Said("s3 does not answer. Waiting.") and not ours.poll()


def test_threads_send_whole_messages_in_turns() -> None:
    ours, theirs = multiprocessing.Pipe()
    sender, text = worker.Sender(theirs), "x" * 100_000  # more than a pipe takes in one write
    threads = [threading.Thread(target=sender.send, args=(Said(text + str(number)),)) for number in range(8)]
    for thread in threads:
        thread.start()
    assert {ours.recv().line for _ in threads} == {text + str(number) for number in range(8)}


def test_a_line_that_nobody_hears_is_no_error() -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    worker.Sender(theirs).emit(logging.makeLogRecord({"msg": "s3 does not answer"}))
