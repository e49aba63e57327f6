"""How many CPU threads torch computes with: those of the CPUs that this process may use, shared with the shards beside it.

How many other processes are busy does not count: a trial's last bits depend on the number of threads, so it should be the same every
night. Instead threads that wait are put to sleep on a busy machine (`OMP_WAIT_POLICY`, set where the package is imported), so that a
thread too many costs less (`benchmarks/threads.py`).
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import torch

from dreamsweep.environment import SHARDS_AT_ONCE, count
from dreamsweep.text import counted

GIVEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that say the number of threads themselves, the first one first."""


@dataclass(frozen=True)
class Threads:
    """Number of torch's threads in this process, and why it is that."""

    number: int
    reason: str


@cache
def set_threads() -> Threads:
    """Sets torch's number of threads, once a process, never above what it was.

    Raises UserError where DREAMSWEEP_SHARDS_AT_ONCE is no count.
    """
    for variable in GIVEN:
        if given := os.environ.get(variable, "").strip():
            return Threads(torch.get_num_threads(), f"{variable}={given}")
    own, quota, shards = torch.get_num_threads(), cgroup_cpus(), count(SHARDS_AT_ONCE, 1)
    number = choose_threads(own, quota, shards)
    if number != own:
        torch.set_num_threads(number)
    reasons = [counted(allowed_cpus(), "CPU")]
    reasons += [f"a cgroup's limit of {quota:g}"] if quota is not None else []
    reasons += [f"{shards} shards at once"] if shards > 1 else []
    return Threads(number, ", ".join(reasons))


def choose_threads(own: int, quota: float | None, shards: int) -> int:
    """Returns the threads of one of several shards at once: a whole number of CPUs, at least 1, at most torch's `own` number."""
    return max(1, min(own, own if quota is None else math.floor(quota)) // shards)


def usable_cpus() -> int:
    """Returns the number of CPUs that this process may keep busy, by its affinity and by the limit of its cgroups."""
    return choose_threads(allowed_cpus(), cgroup_cpus(), 1)


def allowed_cpus() -> int:
    """Returns the number of CPUs that this process may run on (its affinity)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have none
        return os.cpu_count() or 1


def cgroup_cpus(root: Path = Path("/")) -> float | None:
    """Returns the CPUs that the tightest cgroup around this process allows (version 1 or 2), or None without a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits = [limit for line in lines if line.count(":") >= 2 for limit in _limits(root / "sys/fs/cgroup", *line.split(":", 2)[1:])]
    return min(limits, default=None)


def _limits(mounted: Path, controllers: str, path: str) -> Iterator[float]:
    """Yields the limits of a cgroup and of those that it lies in. In a container, the mounted root may be the container's own cgroup."""
    if not controllers:
        mounts, read = (mounted, mounted / "unified"), _limit_v2
    elif "cpu" in controllers.split(","):
        mounts, read = (mounted / controllers, mounted / "cpu"), _limit_v1
    else:
        return
    group = PurePosixPath("/" if ".." in path else path)
    for mount in mounts:
        for inner in (group, *group.parents):
            try:
                limit = read(mount / str(inner).lstrip("/"))
            except (OSError, ValueError, ZeroDivisionError):  # not here, without this controller, or not what a kernel writes
                continue
            if limit is not None:
                yield limit


def _limit_v1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None


def _limit_v2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return int(quota) / int(period) if quota != "max" else None
