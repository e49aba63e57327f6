"""Shards as tasks of a Dask or Ray cluster, for those who have one: its machines need this package and the store's credentials."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Literal

from prefect.task_runners import TaskRunner
from pydantic import NonNegativeFloat

from dreamsweep.errors import ClusterError, TransientError
from dreamsweep.planning.expand import Shard
from dreamsweep.results.handoff import Elsewhere, Progress, read_progress
from dreamsweep.retry import is_transient, outlast
from dreamsweep.spec import Spec
from dreamsweep.store import Store, keys, open_store
from dreamsweep.tasks.generate import generate_shard

WINDOW = 256
"""Shards handed to the cluster at once: enough for as many workers, and no night's work in its scheduler's memory."""


LOOKS = 16
"""Shards whose progress is read at one look."""
LOOK_SECONDS = 5.0
"""Between two looks at them."""
OUTAGES = 50
"""Times that one shard is handed over again after an outage, each of which has outlasted the retries of its task."""


class Cluster(Spec):
    """A cluster whose workers make the shards."""

    cluster: Literal["dask", "ray"]
    address: str | None = None
    """Of its scheduler, `tcp://…` or `ray://…`; without one, workers on this machine, for as long as the sweep runs."""
    gpus: NonNegativeFloat = 0
    """GPUs that Ray sets aside for each shard. Dask has a worker a GPU where it is so set up (dask-cuda)."""


def make_on_cluster(shards: Iterable[Shard], store: str, device: str, cluster: Cluster) -> Iterator[Shard | BaseException | Elsewhere]:
    """Yields each shard that is made, and the reason for each failure, in order, with progress in between.

    Raises ClusterError where there is no such cluster.
    """
    shards = iter(shards)
    first = next(shards, None)
    if first is None:  # nothing to make: no cluster is started
        return
    runner, options = _runner(cluster, device)
    opened, waiting, outages = open_store(store), deque[_Handed](), Counter[str]()

    def hand_over(shard: Shard) -> None:
        waiting.append(_Handed(shard, runner.submit(generate_shard, {"shard": shard, "store": store, "device": device})))

    def first_over() -> Iterator[Shard | BaseException | Elsewhere]:
        while not waiting[0].over.wait(LOOK_SECONDS):
            left = [handed.shard for handed in waiting if not handed.over.is_set()]
            yield Elsewhere(len(left), 0, _progress_of(opened, left[:LOOKS]))
        handed = waiting.popleft()
        outcome = handed.outcome()
        if is_transient(outcome) and outages[handed.shard.shard_id] < OUTAGES:
            outages[handed.shard.shard_id] += 1
            outlast(lambda: opened.exists(keys.manifest(handed.shard.sweep)))
            hand_over(handed.shard)
        else:
            yield outcome

    with ExitStack() as until_made:
        try:
            until_made.enter_context(runner)
            until_made.enter_context(options)
            hand_over(first)  # Dask connects no sooner
        except (OSError, ValueError, RuntimeError) as error:
            address, reason = f"{cluster.cluster}:{cluster.address}", str(error).split("\n")[0].rstrip(".")
            raise ClusterError(f"compute {address!r}: no such cluster answers ({reason}); check its address.") from None
        for shard in shards:
            if len(waiting) >= WINDOW:
                yield from first_over()
            hand_over(shard)
        while waiting:
            yield from first_over()


def _progress_of(store: Store, shards: Iterable[Shard]) -> tuple[Progress, ...]:
    """Reads the progress of shards as far as known; none during an outage of the store, without waiting for it."""
    try:
        progress = [read_progress(store, shard.sweep, shard.shard_id) for shard in shards]
    except TransientError:
        return ()
    return tuple(known for known in progress if known)


class _Handed:
    """A shard that the cluster has."""

    def __init__(self, shard: Shard, future: Any) -> None:
        self.shard, self.future, self.over = shard, future, threading.Event()
        future.add_done_callback(lambda _: self.over.set())

    def outcome(self) -> Shard | BaseException:
        """Returns the shard if it is made, else the exception: its own, or that of the worker under it."""
        try:
            self.future.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, it came from another machine and is told of there
            return error
        return self.shard


def local_workers(device: str) -> dict[str, Any]:
    """Returns the workers of a local Dask cluster, one thread each: one for each usable CPU, or a single one for a GPU."""
    # they load torch, which a sweep made elsewhere does without
    from dreamsweep.compute.devices import resolve_device
    from dreamsweep.compute.threads import usable_cpus

    workers = usable_cpus() if resolve_device(device) == "cpu" else 1
    return {"n_workers": workers, "threads_per_worker": 1}


def _runner(cluster: Cluster, device: str) -> tuple[TaskRunner[Any], AbstractContextManager[Any]]:
    try:
        match cluster.cluster:
            case "dask":
                from prefect_dask.task_runners import DaskTaskRunner

                own = None if cluster.address else local_workers(device)
                return DaskTaskRunner(address=cluster.address, cluster_kwargs=own), nullcontext()
            case "ray":
                from prefect_ray import RayTaskRunner
                from prefect_ray.context import remote_options

                return RayTaskRunner(address=cluster.address), remote_options(num_gpus=cluster.gpus) if cluster.gpus else nullcontext()
    except ImportError:
        raise ClusterError(
            f"compute {cluster.cluster!r} needs an extra that is not installed: pip install 'dreamsweep[{cluster.cluster}]'."
        ) from None
