"""Shards made on this machine several at once, each in a process of its own, and how many at once pay.

On a CPU, one batch leaves much of a second core idle; two processes of one thread each do 1.2 to 1.4 times as much as one of two threads
(`benchmarks/at_once.py`). On a machine with several GPUs, each process has one.

A process goes on from shard to shard with its networks loaded. It ends when the connection to this one closes, so that nothing is left
running after a kill; what the kill lost, the next run makes from the last checkpoints.
"""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from dreamsweep.environment import SHARDS_AT_ONCE, count
from dreamsweep.errors import UserError
from dreamsweep.generation.make_here import Outcome, SweepStoppedError, make_here, never
from dreamsweep.generation.worker import Said, Stopped
from dreamsweep.planning.expand import Shard
from dreamsweep.results.handoff import Lost
from dreamsweep.retry import PROGRESS
from dreamsweep.store import Store

START = "from dreamsweep.generation.worker import main; main()"
ATTEMPTS = 3
"""Processes that may die under one shard before it is given up."""
LOOK_SECONDS = 0.25
"""Between two looks at whether the sweep is to stop."""
PAYS_SECONDS = 60.0
"""Estimated seconds of work on one process from which more of them pay: each takes seconds to load torch and its networks."""
PROCESS_BYTES = 2 * 2**30
"""Memory that a process needs with starter weights, rounded up: 1.5 GiB were seen."""


class ProcessLostError(Exception):
    """Raised in the place of a shard under which several processes have died."""


def make_at_once(
    shards: Iterator[Shard], store: Store, devices_of: Callable[[], Sequence[str]], stop: Callable[[], bool] = never
) -> Iterator[Outcome]:
    """Generates shards in one process for each of some devices, in which one may stand several times; in this process for a single one.

    `devices_of` is asked once there is a shard to make, as its answer takes torch. A shard whose process dies is begun anew from its
    checkpoint; after a kill, as where memory runs out, by one process fewer. A process has the threads of one of so many whatever happens,
    for the last bits of pixels depend on their number.
    Raises SweepStoppedError once `stop` answers yes and every process has saved a checkpoint.
    """
    first = next(shards, None)
    if first is None:
        return
    shards, devices = itertools.chain([first], shards), devices_of()
    if len(devices) == 1:
        yield from make_here(shards, store, devices[0], stop)
        return
    with _Crew(store, devices) as crew:
        yield from crew.make(shards, stop)


class _Worker:
    """A process that makes one shard after the other on one device."""

    def __init__(self, store: Store, device: str, at_once: int) -> None:
        self.device = device
        self.connection, theirs = multiprocessing.Pipe()
        # no `multiprocessing.Process`: that runs the caller's script once more, and a notebook's or an artist's has no guard against it
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, str(theirs.fileno()), store.uri, device],
            stdin=subprocess.DEVNULL,
            env={**os.environ, SHARDS_AT_ONCE: str(at_once)},
            pass_fds=[theirs.fileno()],
            process_group=0,  # so that Ctrl-C reaches the process alone that shows the sweep
        )
        theirs.close()  # else the end of the process would not be seen here
        self.shard: Shard | None = None

    def begin(self, shard: Shard) -> None:
        """Has a shard made."""
        self.shard = shard
        self._send(shard)

    def stop(self) -> None:
        """Has the shard save a checkpoint and stop."""
        self._send(None)

    def receive(self) -> Any:
        """Returns the next message; None where the process has died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def end(self) -> int:
        """Ends the process, and returns its exit code."""
        self.connection.close()
        self.process.kill()
        return self.process.wait()

    def _send(self, message: Shard | None) -> None:
        with suppress(OSError):  # it has died, which shows when it is next heard
            self.connection.send(message)


class _Crew:
    """The processes of a sweep, and the shards that they have."""

    def __init__(self, store: Store, devices: Sequence[str]) -> None:
        self.store, self.at_once = store, len(devices)
        self.workers: list[_Worker] = []
        self.waiting = deque(devices)
        """Devices without a process."""
        self.lost: deque[Shard] = deque()
        """Shards whose process died, to be begun anew."""
        self.deaths: Counter[str] = Counter()
        """Processes that died under each shard."""

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()

    def make(self, shards: Iterator[Shard], stop: Callable[[], bool]) -> Iterator[Outcome]:
        """Yields what comes of the shards, as it comes."""
        self._hand_over(shards)
        is_stopping = False
        while busy := [worker for worker in self.workers if worker.shard]:
            if not is_stopping and (is_stopping := stop()):
                for worker in busy:
                    worker.stop()
            ready = wait([worker.connection for worker in busy], LOOK_SECONDS)
            for worker in busy:
                if worker.connection in ready:
                    yield from self._take(worker)
            if not is_stopping:
                self._hand_over(shards)
        if is_stopping:
            raise SweepStoppedError

    def _hand_over(self, shards: Iterator[Shard]) -> None:
        """Gives every idle process, and every device without one, a shard, as long as there are any."""
        for worker in self.workers:
            if worker.shard is None and (shard := self._next(shards)):
                worker.begin(shard)
        while self.waiting and (shard := self._next(shards)):
            worker = _Worker(self.store, self.waiting.popleft(), self.at_once)
            self.workers.append(worker)
            worker.begin(shard)

    def _next(self, shards: Iterator[Shard]) -> Shard | None:
        return self.lost.popleft() if self.lost else next(shards, None)

    def _take(self, worker: _Worker) -> Iterator[Outcome]:
        """Takes one message of a process, or its death."""
        match worker.receive():
            case None:
                yield from self._bury(worker)
            case Said(line):
                PROGRESS.warning("%s", line)
            case Stopped():
                worker.shard = None
            case Shard() | BaseException() as outcome:
                worker.shard = None
                yield outcome
            case outcome:
                yield outcome

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """Has the shard of a process that died made by another."""
        shard, code = worker.shard, worker.process.wait()
        worker.end()
        self.workers.remove(worker)
        assert shard is not None
        self.deaths[shard.shard_id] += 1
        was_killed = code == -signal.SIGKILL
        reason = f"the process of shard {shard.shard_id} " + ("was killed" if was_killed else f"ended with exit code {code}")
        if was_killed and self.workers:
            reason += ", as where memory runs out: from now on, one shard fewer is made at once"
        else:
            self.waiting.append(worker.device)
        if (deaths := self.deaths[shard.shard_id]) < ATTEMPTS:
            self.lost.append(shard)
            yield Lost(shard.shard_id, reason, deaths + 1)
        else:
            yield Lost(shard.shard_id, reason, None)
            yield ProcessLostError(f"{reason} ({deaths} times)")


def devices_for(device: str, at_once: int | None, seconds: float | None) -> list[str]:
    """Returns the device of each process that makes shards of a sweep on this machine.

    `at_once` says how many; without it, one for each GPU, or as many as the CPUs and the memory allow, where the `seconds` of the whole
    sweep on one process pay them (None: not known, as of published weights, nor what memory they take). Nothing counts that another run
    of the sweep on this machine would not find, such as what is left of it: so every run draws the same pixels. One where this machine
    makes other shards beside these (DREAMSWEEP_SHARDS_AT_ONCE). Raises DeviceError as `resolve_device`, UserError.
    """
    import torch

    from dreamsweep.compute.devices import resolve_device
    from dreamsweep.compute.threads import usable_cpus

    chosen = resolve_device(device)
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if chosen == "cuda" else [chosen]
    if at_once is None:
        if os.name == "nt" or count(SHARDS_AT_ONCE, 1) > 1:
            at_once = 1
        elif chosen == "cuda":
            at_once = len(cards)
        elif chosen == "cpu" and seconds is not None and seconds >= PAYS_SECONDS:
            at_once = max(1, min(usable_cpus(), memory() // PROCESS_BYTES))
        else:
            at_once = 1
    if at_once == 1:
        return [chosen]
    if os.name == "nt":
        raise UserError(f"--at-once {at_once}: Windows lends processes no connection; leave it out.")
    return list(itertools.islice(itertools.cycle(cards), at_once))


def memory() -> int:
    """Returns the bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
