"""Checks of the machine that generates a shard, before it starts."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.generation import checks
from dreamsweep.planning.expand import Shard
from dreamsweep.store import open_store
from dreamsweep.tasks.policy import RETRIES, retry_delays, worth_retrying


@task(cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=retry_delays, retry_condition_fn=worth_retrying)
def check_shard(shard: Shard, store: str, device: str) -> None:
    """Checks device and weights where the shard is made: this machine may hold other weights than its neighbours. Raises UserError."""
    checks.check_shard(shard, open_store(store), device)
