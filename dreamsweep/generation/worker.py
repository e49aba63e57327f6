"""The process that makes shards beside others, which `make_at_once` starts with a handle of a connection, a store's URI and a device.

It makes one shard after the other as they come in over a connection, and sends what comes of each. Another message while it makes one, or
the end of the connection, means that the sweep is to stop: it saves a checkpoint. So a process whose sweep was killed ends by itself.
"""

import logging
import pickle
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from dreamsweep.generation.make_here import Outcome, SweepStoppedError, make_here
from dreamsweep.planning.expand import Shard
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
    PROGRESS.addHandler(_Sender(connection))
    PROGRESS.propagate = False
    with suppress(EOFError, OSError):  # nobody listens any more
        make_all(connection, open_store(store), device)


def make_all(connection: "Connection[Outcome | Stopped | Said, Shard | None]", store: Store, device: str) -> None:
    """Makes each shard that comes in, until nothing comes instead of one. Raises EOFError or OSError at the end of the connection."""
    while (shard := connection.recv()) is not None:
        try:
            for outcome in make_here(iter([shard]), store, device, connection.poll):
                connection.send(_sendable(outcome))
        except SweepStoppedError:
            connection.send(Stopped())
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


class _Sender(logging.Handler):
    """Sends lines of the log to the process that shows them."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.WARNING)
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one line."""
        self.connection.send(Said(record.getMessage()))
