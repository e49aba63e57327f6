"""Switches and numbers in the environment."""

import os

from dreamsweep.errors import DreamsweepError


def is_on(variable: str) -> bool:
    """Whether an environment variable is set, to anything but `0`, `false` or `no`."""
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no")


CHECKPOINT_SECONDS = 15.0
"""Between a shard's checkpoints, unless DREAMSWEEP_CHECKPOINT_SECONDS says otherwise: what a kill loses at most."""


def checkpoint_seconds() -> float:
    """Between a shard's checkpoints. Raises DreamsweepError where the environment says nonsense."""
    return seconds("DREAMSWEEP_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS)


def seconds(variable: str, default: float) -> float:
    """The seconds that an environment variable holds. Raises DreamsweepError where it holds something else."""
    told = os.environ.get(variable, "").strip()
    try:
        found = float(told or default)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise DreamsweepError(f"{variable}: {told!r} is no span of seconds; write 0 or more, such as {default:g}.")
    return found
