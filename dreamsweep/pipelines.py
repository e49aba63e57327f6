"""Folders in the format of diffusers: found by name, checked, and opened without a word on the user's terminal."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dreamsweep.errors import WeightsError
from dreamsweep.spec import WeightsName
from dreamsweep.starter.files import expected_sha256, folder_sha256, weights_folder
from dreamsweep.torchvision_ops import declare_missing_ops

READ_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What reading a damaged or incomplete folder may raise."""


def find_folder(weights: WeightsName, starter: str, model: str) -> tuple[Path, str, str]:
    """(folder, name, SHA-256) of a starter pipeline, or of a published one by its name or folder.

    Raises WeightsError when there is none, or a file of it is missing or damaged.
    """
    if weights == "starter":
        folder = weights_folder() / starter
        if not folder.is_dir():
            raise WeightsError(
                f"weights 'starter': there is no {starter!r} yet; say weights: published, and name a folder in the format of diffusers as "
                "the engine's model."
            )
        found = folder_sha256(folder)
        if found != expected_sha256(starter):
            raise WeightsError(f"weights {starter!r}: a file in {folder} is damaged or missing; restore it with git or install again.")
        return folder, starter, found
    if Path(model).is_dir():
        return Path(model), model, folder_sha256(Path(model))
    from dreamsweep import weights as published

    return published.folder(model), model, published.digest(model)


def open_pipeline(folder: Path, name: str, device: str, **parts: Any) -> Any:
    """The pipeline in a folder, from safetensors alone, frozen, on the device; `parts` replaces some of it.

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
    """The pipeline on the device, without gradients for its weights, and quiet."""
    pipeline = pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    return pipeline


def unreadable(name: str, folder: Path, error: Exception) -> WeightsError:
    """One sentence for what a library said of a folder."""
    told = str(error).split("\n")[0].rstrip(".")
    return WeightsError(f"weights {name!r}: {str(folder)!r} holds no pipeline that can be read ({told}); restore it.")


@contextmanager
def quiet() -> Iterator[None]:
    """diffusers and transformers log and warn of what their users do not choose; a person's terminal stays clean."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    declare_missing_ops()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging as of_diffusers
        from transformers.utils import logging as of_transformers

        for logging in (of_diffusers, of_transformers):
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        yield
