"""Runs a command for as long as standard input is open: `python -m dreamsweep.cli.tied SIGNAL COMMAND…`.

The system closes that input however its other end goes, a `kill -9` included; the command is ended then, with all that it has started.
Only the standard library is imported, as one of these lives beside every part of `dreamsweep up`.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 30.0
"""How long what the command has started, and then the command, may take to end by itself."""
SET_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 36
"""Requests of prctl(2)."""


def main(command: list[str], number: signal.Signals = signal.SIGTERM, grace: float = GRACE_SECONDS) -> int:
    """Runs the command, and returns its exit code; 0 where it was ended because standard input was closed.

    What it has started then gets the signal of that number. SIGTERM to this process kills all of it at once.
    """
    _prctl(SET_CHILD_SUBREAPER, 1)  # processes whose parent ends become children of this one, so that none is lost sight of
    is_closed = threading.Event()
    threading.Thread(target=_await_end_of_input, args=(is_closed,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that holds the other end
    signal.signal(signal.SIGTERM, lambda number, frame: _kill_all())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_before_command)
    while child.poll() is None and not is_closed.wait(0.2):
        pass
    code = child.poll()
    if code is None:
        _stop(child, number, grace)
    _end(set(), signal.SIGTERM, grace)
    return 0 if code is None else code if code >= 0 else 128 - code


def _stop(child: "subprocess.Popen[bytes]", number: signal.Signals, grace: float) -> None:
    """Ends a command after what it has started. It is halted meanwhile: a worker would take new work, and call its flow runs crashed."""
    child.send_signal(signal.SIGSTOP)
    if set(descendants(os.getpid())) - {child.pid}:
        _end({child.pid}, number, grace)
        child.kill()
    else:
        child.terminate()
        child.send_signal(signal.SIGCONT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace)


def _await_end_of_input(is_closed: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    is_closed.set()


def _before_command() -> None:
    """Has the command hear Ctrl-C, and be asked to end where this process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _prctl(SET_DEATH_SIGNAL, signal.SIGTERM)


def _end(spared: set[int], number: signal.Signals, grace: float) -> None:
    """Ends all processes below this one but those that are spared; kills those that are there still after the grace period."""
    _signal(set(descendants(os.getpid())) - spared, number)
    end = time.monotonic() + grace
    while (left := set(descendants(os.getpid())) - spared) and time.monotonic() < end:
        _reap(left)
        time.sleep(0.1)
    _signal(left, signal.SIGKILL)


def _kill_all() -> None:
    _signal(descendants(os.getpid()), signal.SIGKILL)
    os._exit(137)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _reap(processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


def descendants(process: int) -> list[int]:
    """Returns the processes below one, children before their own children, without those that have ended."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    below = list(children.get(process, ()))
    for child in below:  # grows as it is read
        below += children.get(child, ())
    return below


def _parents() -> list[tuple[int, int]]:
    """Returns each process with its parent."""
    if Path("/proc/self/stat").exists():
        return [pair for folder in Path("/proc").glob("[0-9]*") if (pair := _parent_of(folder))]
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False).stdout
    rows = (line.split() for line in listed.splitlines())
    return [(int(row[0]), int(row[1])) for row in rows if not row[2].startswith("Z")]


def _parent_of(folder: Path) -> tuple[int, int] | None:
    try:
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):  # it has ended meanwhile
        return None
    return None if state == "Z" else (int(folder.name), int(parent))


def _prctl(request: int, value: int) -> None:
    """Sets an attribute of this process, on Linux alone."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(request, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], signal.Signals[sys.argv[1]]))
