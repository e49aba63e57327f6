"""Task that generates one shard: its pictures and rows."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from dreamsweep.generation.make_here import few_a_second
from dreamsweep.planning.expand import Shard
from dreamsweep.results.handoff import Progress
from dreamsweep.store import Store, open_store
from dreamsweep.tasks.policy import RETRIES, retry_delays, worth_retrying
from dreamsweep.tasks.progress import show_shard

LOOK_SECONDS = 60.0
"""Seconds between two polls of the flow run's state on the server."""


@task(
    task_run_name="shard-{shard.shard_id}",
    cache_policy=NO_CACHE,  # a staged shard is the record of done work
    retries=RETRIES,
    retry_delay_seconds=retry_delays,
    retry_condition_fn=worth_retrying,
)
def generate_shard(shard: Shard, store: str, device: str) -> None:
    """Generates and stages the shard, or what its last checkpoint lacks. Told to end (SIGTERM), it keeps where it is first.

    So it does where the server has ended its flow run: one that was out of reach is taken for crashed, and another makes the shard.
    """
    given_up = ended_by_server()
    with termination() as terminated:
        for _ in show_shard(shard, few_a_second(run_shard(shard, open_store(store), device, lambda: terminated() or given_up()))):
            pass


def run_shard(shard: Shard, store: Store, device: str, stop: Callable[[], bool]) -> Iterator[Progress]:
    """Yields the shard's progress while it is generated. Loads torch only now: a flow run that plans and watches does without."""
    from dreamsweep.generation import shard as engines

    yield from engines.run_shard(shard, store, device, stop)


@contextmanager
def termination() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether a SIGTERM has come (a spot machine's notice, a container's end). It is passed on afterwards.

    Only a process's main thread hears signals; elsewhere the answer is always no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        yield lambda: bool(heard)
    finally:
        signal.signal(signal.SIGTERM, before)
        if heard:
            signal.raise_signal(signal.SIGTERM)


def ended_by_server() -> Callable[[], bool]:
    """Returns a function that answers whether the server has ended this flow run; polled once a minute, False during an outage."""
    looked = time.monotonic()

    def ask() -> bool:
        nonlocal looked
        if flow_run.id is None or time.monotonic() - looked < LOOK_SECONDS:
            return False
        looked = time.monotonic()
        with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run.id)).state
            return state is not None and state.is_final()
        return False

    return ask
