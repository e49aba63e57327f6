"""Retry policy of every task: which failures are retried, how often, and after what delays."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from dreamsweep.retry import TASK_RETRIES, delays, is_transient, say

RETRIES = TASK_RETRIES


def retry_delays(retries: int) -> list[float]:
    """Seconds before each retry of a task."""
    return list(delays(retries))


def worth_retrying(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Returns whether a task's failure is transient, such as an outage of the store, and so worth a retry."""
    failure = state.result(raise_on_failure=False)
    if not is_transient(failure):
        return False
    retried = max(0, task_run.run_count - 1)
    planned = task.retry_delay_seconds
    if isinstance(planned, list) and retried < task.retries:
        say(failure, planned[min(retried, len(planned) - 1)])
    return True
