"""Folders that diffusers and transformers read: without messages on the user's terminal, and with the errors that reading may raise."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from dreamsweep.compute.torchvision_ops import declare_missing_ops

READ_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What reading a damaged or incomplete folder may raise."""


class _NoWarnings:
    """Switches warnings off while any thread is inside.

    `warnings.catch_warnings` keeps the process's own list of filters: of two threads, the first to leave would give the other
    its filters back too early, and the last would leave them off for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_NO_WARNINGS = _NoWarnings()


@contextmanager
def quiet() -> Iterator[None]:
    """diffusers and transformers log and warn of what their users do not choose; a person's terminal stays clean, in any thread."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    declare_missing_ops()
    with _NO_WARNINGS:
        from diffusers.utils import logging as of_diffusers
        from transformers.utils import logging as of_transformers

        for logging in (of_diffusers, of_transformers):
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        yield
