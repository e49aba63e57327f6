"""The process that makes shards beside others, which `make_at_once` starts with a handle of a connection, a store's URI and a device.

It makes one shard after the other as they come in over a connection, and sends what comes of each. Another message while it makes one, or
the end of the connection, means that the sweep is to stop: it saves a checkpoint. So a process whose sweep was killed ends by itself.
"""

import logging
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from dreamsweep.generation.make_here import Outcome, SweepStoppedError, make_here
from dreamsweep.retry import PROGRESS
from dreamsweep.store import Store, open_store


@dataclass(frozen=True)
class Stopped:
    """Message: the shard has saved a checkpoint, as it was told to stop."""


@dataclass(frozen=True)
class Said:
    """Message: a line for the log, such as that the store does not answer."""

    line: str


def main() -> None:
    """Makes shards until the connection ends."""
    handle, store, device = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever gets them with this process says what to do
        signal.signal(number, signal.SIG_IGN)
    connection = Connection(int(handle))
    sender = Sender(connection)
    PROGRESS.addHandler(sender)
    PROGRESS.propagate = False
    with suppress(EOFError, OSError):  # nobody listens any more
        make_all(connection, sender.send, open_store(store), device)


def make_all(connection: Connection, send: Callable[[Outcome | Stopped], None], store: Store, device: str) -> None:
    """Makes each shard that comes in, until nothing comes instead of one. Raises EOFError or OSError at the end of the connection."""
    while (shard := connection.recv()) is not None:
        try:
            for outcome in make_here(iter([shard]), store, device, connection.poll):
                send(_sendable(outcome))
        except SweepStoppedError:
            send(Stopped())
            return


def _sendable(outcome: Outcome) -> Outcome:
    """Returns an outcome that another process can read, an error with where it happened."""
    if not isinstance(outcome, BaseException):
        return outcome
    outcome.add_note("".join(traceback.format_exception(outcome)))
    try:
        pickle.loads(pickle.dumps(outcome))
    except Exception:  # noqa: BLE001 - a library's error that takes other arguments than it keeps
        plain = RuntimeError(f"{type(outcome).__name__}: {outcome}")
        plain.__notes__ = outcome.__notes__
        return plain
    return outcome


class Sender(logging.Handler):
    """Sends messages, and lines of the log, to the process that shows them. Threads that write pictures say what they wait for, too, so one
    sends at a time."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.WARNING)
        self.connection, self.turn = connection, threading.Lock()

    def send(self, message: Outcome | Stopped | Said) -> None:
        """Sends one message, whole."""
        with self.turn:
            self.connection.send(message)

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one line; none where nobody listens any more."""
        with suppress(OSError):
            self.send(Said(record.getMessage()))
