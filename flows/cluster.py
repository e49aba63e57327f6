"""Shards as tasks of a Dask or Ray cluster, for those who have one: its machines need this package and the store's credentials."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Literal

from prefect.client.schemas.objects import State
from prefect.task_runners import TaskRunner
from pydantic import NonNegativeFloat

from dreamsweep.errors import DreamsweepError
from dreamsweep.expand import Shard
from dreamsweep.spec import Spec
from tasks.generate import generate_shard

WINDOW = 256
"""Shards handed to the cluster at once: enough for as many workers, and no night's work in its scheduler's memory."""


class Cluster(Spec):
    """A cluster whose workers make the shards."""

    cluster: Literal["dask", "ray"]
    address: str | None = None
    """Of its scheduler, `tcp://…` or `ray://…`; without one, workers on this machine, for as long as the sweep runs."""
    gpus: NonNegativeFloat = 0
    """GPUs that Ray sets aside for each shard. Dask has a worker a GPU where it is so set up (dask-cuda)."""


class ClusterError(DreamsweepError):
    """The cluster cannot be used from here."""


def make_on_cluster(shards: Iterable[Shard], store: str, device: str, cluster: Cluster) -> Iterator[Shard | BaseException]:
    """Gives each shard that is made, and why others are not, in their order. Raises ClusterError where there is no such cluster."""
    shards = iter(shards)
    first = next(shards, None)
    if first is None:  # nothing to make: no cluster is started
        return
    runner, options = _runner(cluster)
    waiting: deque[tuple[Shard, Any]] = deque()

    def hand_over(shard: Shard) -> None:
        waiting.append((shard, runner.submit(generate_shard, {"shard": shard, "store": store, "device": device})))

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
                yield _over(*waiting.popleft())
            hand_over(shard)
        while waiting:
            yield _over(*waiting.popleft())


def _over(shard: Shard, future: Any) -> Shard | BaseException:
    future.wait()
    state: State[None] = future.state
    return shard if state.is_completed() else state.result(raise_on_failure=False)  # type: ignore[return-value]


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
