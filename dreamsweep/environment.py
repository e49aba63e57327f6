"""Switches in the environment."""

import os


def is_on(variable: str) -> bool:
    """Whether an environment variable is set, to anything but `0`, `false` or `no`."""
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no")
