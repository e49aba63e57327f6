"""The parts of `dreamsweep up`: processes that are started, watched, started again, and ended together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dreamsweep.cli.terminal import say, tell
from dreamsweep.errors import UserError

STARTUP_SECONDS = 240.0
END_SECONDS = 90.0
"""How long a part may take to end; one that makes pictures saves a checkpoint first."""
STARTS, SPAN_SECONDS = 5, 600.0
"""A part that has to be started more often than that in so many seconds is given up."""
WATCH_SECONDS = 0.5


@dataclass
class Part:
    """Process that ends when its standard input closes. Its output is printed line by line after its name, or written to a log."""

    name: str
    """Word before its lines."""
    title: str
    """Name in sentences, such as `the worker of the pool gpu`."""
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool] = lambda: True
    log: Path | None = None
    """File for its output, in place of the terminal."""
    process: "subprocess.Popen[bytes] | None" = None
    printer: threading.Thread = field(default_factory=threading.Thread)
    last_line: str = ""
    starts: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Starts the process, and a thread that prints what it writes."""
        self.starts.append(time.monotonic())
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            start_new_session=True,  # the terminal's Ctrl-C is for the command alone
        )
        self.printer = threading.Thread(target=self._print, args=(self.process,), daemon=True)
        self.printer.start()

    def _print(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout, self.log.open("w", encoding="utf-8") if self.log else nullcontext() as log:
            for line in process.stdout:
                if text := line.decode(errors="replace").rstrip():
                    self.last_line = text
                    if log is None:
                        say(f"{self.name:8} {text}")
                    else:
                        print(text, file=log, flush=True)

    def end_code(self) -> int | None:
        """Returns the exit code of a process that has ended, after its last line is printed; None while it runs."""
        code = self.process.poll() if self.process else None
        if code is not None:
            self.close()
            self.printer.join(1)
        return code

    def close(self) -> None:
        """Closes the process's standard input."""
        assert self.process is not None
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def wait_until_ready(self) -> None:
        """Waits until the part does its work. Raises UserError where it ends first, or takes too long."""
        end = time.monotonic() + STARTUP_SECONDS
        while not self.is_ready():
            if (code := self.end_code()) is not None:
                raise UserError(f"{self.title} cannot start (exit code {code}){self._why()}")
            if time.monotonic() > end:
                raise UserError(f"{self.title} did not start within {STARTUP_SECONDS:.0f} s{self._why()}")
            time.sleep(0.1)

    def _why(self) -> str:
        where = f"; its log is {self.log}" if self.log else ""
        return f"{where}; its last line: {self.last_line.rstrip('.')}." if self.last_line else f"{where}."


def tied(*arguments: str, number: signal.Signals = signal.SIGTERM) -> list[str]:
    """Returns the command line of a Python module that ends when its standard input closes; what it has started gets the signal first."""
    return [sys.executable, "-m", "dreamsweep.cli.tied", number.name, sys.executable, "-m", *arguments]


@contextmanager
def ended_together(parts: list[Part]) -> Iterator[None]:
    """Ends all parts however the block is left; the first, which serves the others, after them. A second Ctrl-C kills them."""
    try:
        yield
    finally:
        try:
            _end(parts[1:])
            _end(parts[:1])
        except KeyboardInterrupt:
            for part in parts:
                if part.process:
                    part.process.terminate()
            raise


def _end(parts: Sequence[Part]) -> None:
    running = [part for part in parts if part.process]
    for part in running:
        part.close()
    for part in running:
        assert part.process
        try:
            part.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            part.process.terminate()
            part.process.wait(5)
        part.printer.join(1)


def watch(parts: Sequence[Part]) -> None:
    """Starts each part again that ends, until Ctrl-C. Raises UserError where one ends again and again."""
    while True:
        for part in parts:
            if (code := part.end_code()) is not None:
                _start_again(part, code)
        time.sleep(WATCH_SECONDS)


def _start_again(part: Part, code: int) -> None:
    now = time.monotonic()
    recent = [start for start in part.starts if now - start < SPAN_SECONDS]
    if len(recent) >= STARTS:
        raise UserError(f"{part.title} ended {len(recent)} times within {SPAN_SECONDS / 60:.0f} minutes (exit code {code}){part._why()}")
    tell(f"{part.title[0].upper()}{part.title[1:]} ended (exit code {code}); it is started again.")
    time.sleep(2 ** (len(recent) - 1) - 1)
    part.start()
    try:
        part.wait_until_ready()
    except UserError:
        if part.end_code() is None:
            raise
        # it ended while it started: `watch` starts it again, as long as that is not too often
