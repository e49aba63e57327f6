"""A process that has everything imported and forks a child for each run of a sweep, so that a run starts in milliseconds.

Reads a request a line, as JSON, and answers with the child's process id; then, a line each, `PID CODE` as children end. A request
`{"kill": PID}` kills a child that is still alive.
"""

import errno
import json
import logging
import os
import random
import select
import signal
import sys
import time
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, BinaryIO, Self

from dreamsweep import retry
from dreamsweep.errors import DreamsweepError, UserError
from dreamsweep.generation import run_sweep as sweeps
from dreamsweep.generation import shard as engines
from dreamsweep.generation.run_sweep import IncompleteSweepError, run_sweep
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.report import contact_sheet, curves
from dreamsweep.report.summary import Summary
from dreamsweep.store import local, open_store, s3, s3_lock

IMPORTED = (engines, contact_sheet, curves)
"""What a run imports when it needs it."""


def run(request: Mapping[str, Any]) -> int:
    """Runs a sweep; returns what the command's exit code would be."""
    os.environ.update(request.get("environment", {}))
    if request.get("hurried"):  # the same waits, in hundredths of their time
        retry.FIRST_PAUSE, retry.LONGEST_PAUSE = 0.01, 0.2
        s3_lock.LEASE_SECONDS, s3_lock.WRITE_SECONDS, s3_lock.LONGEST_PAUSE = 4.0, 1.0, 0.5
        s3._PATIENT = {"connect_timeout": 5, "read_timeout": 20, "retries": {"mode": "standard", "total_max_attempts": 1}}
    if writes := request.get("writes"):
        _fill_disk(writes, getattr(errno, request["error"]))
    if (seed := request.get("clock")) is not None:
        _let_the_clock_jump(seed)
    if not request.get("summary"):
        sweeps.ensure_summary = lambda store, manifest: Summary((), "")  # type: ignore[attr-defined]
    try:
        for _ in run_sweep(parse_sweep(request["sweep"], Path(), "chaos"), open_store(request["store"]), device="cpu"):
            pass
    except (DreamsweepError, IncompleteSweepError) as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, UserError) else 1
    return 0


def _let_the_clock_jump(seed: int) -> None:
    """Lets this machine's clock (not the monotonic one) show another time whenever it is looked at: seconds to years off."""
    draw, real = random.Random(seed), time.time

    def jumped() -> float:
        return real() + draw.choice((-1, 1)) * draw.choice((0.0, 5.0, 3_600.0, 86_400.0, 4e7))

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(jumped(), tz)

    time.time = jumped
    for module in list(sys.modules.values()):
        if module.__name__.startswith("dreamsweep.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Jumping  # type: ignore[attr-defined]


def _fill_disk(writes: int, code: int) -> None:
    """Lets every write to a folder fail once there were so many, as on a disk that is full or can only be read."""
    through, left = local._write_through, [writes]

    def write_through(handle: BinaryIO, data: bytes = b"") -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        through(handle, data)

    local._write_through = write_through


def main() -> None:
    logging.getLogger("dreamsweep").setLevel(logging.ERROR)
    children: set[int] = set()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready = select.select([sys.stdin], [], [], 0.01)[0]
        if ready:
            line = sys.stdin.readline()
            if not line:
                break
            request = json.loads(line)
            if "kill" in request:
                if request["kill"] in children:
                    os.kill(request["kill"], signal.SIGKILL)
                continue
            pid = os.fork()
            if pid == 0:
                code = 3
                try:
                    code = run(request)
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            children.add(pid)
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
        for pid in list(children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                children.discard(pid)
                sys.stdout.write(f"{pid} {os.waitstatus_to_exitcode(status)}\n")
                sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
