"""Queue of writes that other threads do while the device computes: pictures are encoded and uploaded beside the iterations."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

THREADS = 8
"""Writes at once. Most of their time is spent waiting for a store; encoders run outside Python's lock."""
MOST_BYTES = 256 << 20
"""Bytes that unfinished writes may hold together. One that is larger waits until it is alone."""


@dataclass(frozen=True)
class _Write:
    call: Callable[[], None]
    size: int
    after_all: bool


class WriteQueue:
    """Writes in the order in which they were submitted, several at once; a context manager that waits for them when it is left.

    After a write has failed no other begins, and whoever submits or joins next gets its exception. On KeyboardInterrupt nobody waits:
    writes that have begun are left to their threads, which end with the process.
    """

    def __init__(self, threads: int = THREADS, most_bytes: int = MOST_BYTES) -> None:
        self._limit, self._most_bytes = threads, most_bytes
        self._changed = threading.Condition()
        self._waiting: deque[_Write] = deque()
        self._threads = self._idle = self._running = self._held = 0
        self._failure: BaseException | None = None
        self._is_closed = False

    def submit(self, call: Callable[[], None], size: int = 0, after_all: bool = False) -> None:
        """Adds a write that holds `size` bytes; waits while the queue holds too many. Raises the exception of an earlier write.

        With `after_all` it begins when all earlier ones are done: a file that names others, such as a checkpoint.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._held or self._held + size <= self._most_bytes)
            self._raise_failure()
            self._waiting.append(_Write(call, size, after_all))
            self._held += size
            if not self._idle and self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name="dreamsweep-write", daemon=True).start()
            self._changed.notify_all()

    def join(self) -> None:
        """Waits until every write is done. Raises the exception of the first that failed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._running)
            self._raise_failure()

    def __enter__(self) -> "WriteQueue":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self.join()
            elif isinstance(error, Exception | GeneratorExit):
                with suppress(Exception):  # what ended the work is the reason to give
                    self.join()
        finally:
            with self._changed:
                self._is_closed = True
                self._waiting.clear()
                self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure:
            raise self._failure

    def _work(self) -> None:
        while write := self._next():
            failure: BaseException | None = None
            try:
                write.call()
            except BaseException as error:  # noqa: BLE001 - raised in the thread that submits and joins
                failure = error
            with self._changed:
                self._running -= 1
                self._held -= write.size
                if failure:
                    self._failure = self._failure or failure
                    self._held -= sum(other.size for other in self._waiting)
                    self._waiting.clear()
                self._changed.notify_all()
            del write, failure  # and the pictures with them, while the thread waits

    def _next(self) -> _Write | None:
        """Takes the next write, once it may begin; None when the queue is closed."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._is_closed or self._may_begin())
            self._idle -= 1
            if self._is_closed:
                return None
            self._running += 1
            return self._waiting.popleft()

    def _may_begin(self) -> bool:
        return bool(self._waiting) and not (self._waiting[0].after_all and self._running)
