"""What the sweep amounts to, kept in the store beside what it makes."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.expand import Plan, plan
from dreamsweep.spec import Sweep
from dreamsweep.store import open_store
from dreamsweep.sweepfile import sweep_text
from tasks.policy import RETRY_DELAYS, worth_retrying


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def plan_sweep(sweep: Sweep, store: str) -> Plan:
    """Counts the sweep, and writes the sweep as run to `<sweep>/sweep.yaml`."""
    counted = plan(sweep)
    open_store(store).write(f"{sweep.name}/sweep.yaml", sweep_text(sweep).encode(), "application/yaml")
    return counted
