"""Steps of a sweep as task runs: each has its name on the flow run's page, and is retried by the policy."""

from collections.abc import Callable
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.retry import outlast
from dreamsweep.tasks.policy import RETRIES, retry_delays, worth_retrying

T = TypeVar("T")


def as_task(name: str, call: Callable[[], T]) -> T:
    """Runs a step of `run_sweep` as a task of that name; as another one after an outage that outlasted the retries of the first."""
    step = task(
        name=name,
        cache_policy=NO_CACHE,  # the store is the record of what is done
        retries=RETRIES,
        retry_delay_seconds=retry_delays,
        retry_condition_fn=worth_retrying,
    )
    result: T = outlast(lambda: step(call)())
    return result
