"""From staged shards to one published sweep."""

import hashlib

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.expand import trials
from dreamsweep.manifest import Manifest, gather, publish
from dreamsweep.spec import Sweep
from dreamsweep.store import open_store
from tasks.policy import RETRY_DELAYS, worth_retrying


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def gather_rows(sweep: Sweep, store: str) -> Manifest:
    """Streams the staged rows of the sweep's trials into two tables; publishes nothing."""
    wanted: dict[str, None] = {trial.id: None for trial in trials(sweep)}
    # of what the sweep came to, not of its file: a prompt file may lie elsewhere, or change under the same path
    asked = hashlib.sha256("\n".join([sweep.name, *wanted]).encode()).hexdigest()
    return gather(open_store(store), sweep.name, wanted, asked)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def publish_manifest(manifest: Manifest, store: str) -> None:
    """Makes the gathered tables the sweep's own, in one write."""
    publish(open_store(store), manifest)
