"""What the sweep amounts to, kept in the store beside what it makes."""

import yaml
from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.expand import Plan, plan
from dreamsweep.spec import Sweep
from dreamsweep.store import open_store
from tasks.policy import RETRY_DELAYS, worth_retrying


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def plan_sweep(sweep: Sweep, store: str) -> Plan:
    """Counts the sweep, and writes the sweep as run to `<sweep>/sweep.yaml`."""
    counted = plan(sweep)
    written = yaml.safe_dump(sweep.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)
    open_store(store).write(f"{sweep.name}/sweep.yaml", written.encode(), "application/yaml")
    return counted
