"""Folders in the format of diffusers: opened without messages on the user's terminal (`weights.hashes` finds and checks them)."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.errors import WeightsError

READ_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What reading a damaged or incomplete folder may raise."""


def open_pipeline(folder: Path, name: str, device: str, **parts: Any) -> Any:
    """Returns the pipeline in a folder, from safetensors alone, frozen, on the device; `parts` replaces some of it.

    Raises WeightsError when it cannot be read.
    """
    with quiet():
        import diffusers

        kind: Any = diffusers.DiffusionPipeline  # untyped
        try:
            dtype = torch.float16 if device.startswith("cuda") else torch.float32
            pipeline = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, torch_dtype=dtype, **parts)
        except READ_ERRORS as error:
            raise unreadable(name, folder, error) from None
        return freeze(pipeline, device)


def freeze(pipeline: Any, device: str) -> Any:
    """Returns the pipeline on the device, without gradients for its weights, and quiet."""
    pipeline = pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    return pipeline


def unreadable(name: str, folder: Path, error: Exception) -> WeightsError:
    """Returns one sentence for what a library said of a folder."""
    reason = str(error).split("\n")[0].rstrip(".")
    return WeightsError(f"weights {name!r}: {str(folder)!r} holds no pipeline that can be read ({reason}); restore it.")


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
