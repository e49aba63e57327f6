"""One shard: its pictures and rows."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.expand import Shard
from dreamsweep.shard import run_shard
from dreamsweep.store import open_store
from tasks.policy import RETRY_DELAYS, worth_retrying
from tasks.progress import report, shown_in_prefect


@task(
    task_run_name="shard-{shard.shard_id}",
    cache_policy=NO_CACHE,  # a staged shard is the record of done work
    retries=2,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_retrying,
)
def generate_shard(shard: Shard, store: str, device: str) -> None:
    """Generates and stages the shard, or what its last checkpoint lacks. Told to end (SIGTERM), it keeps where it is first."""
    with told_to_end() as stop:
        report(shown_in_prefect(shard, run_shard(shard, open_store(store), device, stop)))


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
