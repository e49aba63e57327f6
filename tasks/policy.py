"""What is worth trying again."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from dreamsweep.errors import DreamsweepError

RETRY_DELAYS = [5.0, 30.0]
"""Seconds before the first and the second retry."""


def worth_retrying(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failure may pass by itself: networks and disks, never what the user has to mend."""
    failure = state.result(raise_on_failure=False)
    return is_transient(failure)


def is_transient(failure: object) -> bool:
    """Whether an exception comes from a network or disk and not from what was asked."""
    from botocore.exceptions import BotoCoreError

    return isinstance(failure, OSError | BotoCoreError) and not isinstance(failure, DreamsweepError)
