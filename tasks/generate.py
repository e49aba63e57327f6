"""One shard: its pictures and rows."""

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

from dreamsweep.expand import Shard
from dreamsweep.shard import run_shard
from dreamsweep.store import open_store
from tasks.policy import RETRY_DELAYS, worth_retrying
from tasks.progress import report, shown_in_prefect

LOOK_SECONDS = 60.0
"""Between two looks at what the server holds of the flow run."""


@task(
    task_run_name="shard-{shard.shard_id}",
    cache_policy=NO_CACHE,  # a staged shard is the record of done work
    retries=2,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_retrying,
)
def generate_shard(shard: Shard, store: str, device: str) -> None:
    """Generates and stages the shard, or what its last checkpoint lacks. Told to end (SIGTERM), it keeps where it is first.

    So it does where the server has ended its flow run: one that was out of reach is taken for crashed, and another makes the shard.
    """
    given_up = ended_by_server()
    with told_to_end() as told:
        report(shown_in_prefect(shard, run_shard(shard, open_store(store), device, lambda: told() or given_up())))


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Whether a SIGTERM has come: a spot machine's notice, a container's or a worker's end. It is passed on afterwards.

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
    """Whether the flow run around it is over, as far as the server knows: asked once a minute. A server that does not answer says no."""
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
