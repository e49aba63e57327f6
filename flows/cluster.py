"""Shards as tasks of a Dask or Ray cluster, for those who have one: its machines need this package and the store's credentials."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Literal

from prefect.task_runners import TaskRunner
from pydantic import NonNegativeFloat

from dreamsweep.errors import DreamsweepError
from dreamsweep.expand import Shard
from dreamsweep.planned import Elsewhere, read_progress
from dreamsweep.spec import Spec
from dreamsweep.store import open_store
from tasks.generate import generate_shard

WINDOW = 256
"""Shards handed to the cluster at once: enough for as many workers, and no night's work in its scheduler's memory."""


LOOKS = 16
"""Shards whose progress is read at one look."""
LOOK_SECONDS = 5.0
"""Between two looks at them."""


class Cluster(Spec):
    """A cluster whose workers make the shards."""

    cluster: Literal["dask", "ray"]
    address: str | None = None
    """Of its scheduler, `tcp://…` or `ray://…`; without one, workers on this machine, for as long as the sweep runs."""
    gpus: NonNegativeFloat = 0
    """GPUs that Ray sets aside for each shard. Dask has a worker a GPU where it is so set up (dask-cuda)."""


class ClusterError(DreamsweepError):
    """The cluster cannot be used from here."""


def make_on_cluster(shards: Iterable[Shard], store: str, device: str, cluster: Cluster) -> Iterator[Shard | BaseException | Elsewhere]:
    """Gives each shard that is made, and why others are not, in their order, and meanwhile how they go on.

    Raises ClusterError where there is no such cluster.
    """
    shards = iter(shards)
    first = next(shards, None)
    if first is None:  # nothing to make: no cluster is started
        return
    runner, options = _runner(cluster)
    opened, waiting = open_store(store), deque[_Handed]()

    def hand_over(shard: Shard) -> None:
        waiting.append(_Handed(shard, runner.submit(generate_shard, {"shard": shard, "store": store, "device": device})))

    def first_over() -> Iterator[Shard | BaseException | Elsewhere]:
        while not waiting[0].over.wait(LOOK_SECONDS):
            left = [handed.shard for handed in waiting if not handed.over.is_set()]
            told = (read_progress(opened, shard.sweep, shard.shard_id) for shard in left[:LOOKS])
            yield Elsewhere(len(left), 0, tuple(progress for progress in told if progress))
        yield waiting.popleft().outcome()

    with ExitStack() as until_made:
        try:
            until_made.enter_context(runner)
            until_made.enter_context(options)
            hand_over(first)  # Dask connects no sooner
        except (OSError, ValueError, RuntimeError) as error:
            asked, told = f"{cluster.cluster}:{cluster.address}", str(error).split("\n")[0].rstrip(".")
            raise ClusterError(f"compute {asked!r}: no such cluster answers ({told}); check its address.") from None
        for shard in shards:
            if len(waiting) >= WINDOW:
                yield from first_over()
            hand_over(shard)
        while waiting:
            yield from first_over()


class _Handed:
    """A shard that the cluster has."""

    def __init__(self, shard: Shard, future: Any) -> None:
        self.shard, self.future, self.over = shard, future, threading.Event()
        future.add_done_callback(lambda _: self.over.set())

    def outcome(self) -> Shard | BaseException:
        """The shard if it is made, else why it is not: its own failure, or that of the worker under it."""
        try:
            self.future.result()
        except Exception as error:  # noqa: BLE001 - whatever it was, it came from another machine and is told of there
            return error
        return self.shard


def _runner(cluster: Cluster) -> tuple[TaskRunner[Any], AbstractContextManager[Any]]:
    try:
        match cluster.cluster:
            case "dask":
                from prefect_dask.task_runners import DaskTaskRunner

                return DaskTaskRunner(address=cluster.address), nullcontext()
            case "ray":
                from prefect_ray import RayTaskRunner
                from prefect_ray.context import remote_options

                return RayTaskRunner(address=cluster.address), remote_options(num_gpus=cluster.gpus) if cluster.gpus else nullcontext()
    except ImportError:
        raise ClusterError(
            f"compute {cluster.cluster!r} needs an extra that is not installed: pip install 'dreamsweep[{cluster.cluster}]'."
        ) from None
