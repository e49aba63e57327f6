"""One shard: its pictures and rows."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.expand import Shard
from dreamsweep.shard import run_shard
from dreamsweep.store import open_store
from tasks.policy import RETRY_DELAYS, worth_retrying
from tasks.progress import report


@task(
    task_run_name="shard-{shard.shard_id}",
    cache_policy=NO_CACHE,  # a staged shard is the record of done work
    retries=2,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_retrying,
)
def generate_shard(shard: Shard, store: str, device: str) -> None:
    """Generates and stages the shard, or what its last checkpoint lacks."""
    report(shard, run_shard(shard, open_store(store), device))
