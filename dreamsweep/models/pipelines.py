"""Pipelines of diffusers: folders opened without messages on the user's terminal (`weights.hashes` finds and checks them), and what they
may start from.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.model_folders import READ_ERRORS, quiet
from dreamsweep.errors import WeightsError


@dataclass(frozen=True)
class Onto:
    """Pictures, or latents of pictures, to start from with noise on them (SDEdit, Meng et al., 2022)."""

    pictures: Float[Tensor, "n c y x"]
    strength: float
    """How much of them is given up to noise, in (0, 1]."""

    def first_step(self, steps: int) -> int:
        """Returns the first of so many denoising steps, from 0, that is done: the last ones alone, by the same share, and at least one."""
        return steps - max(1, round(self.strength * steps))


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
