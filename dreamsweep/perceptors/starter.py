"""The starter perceptors: small networks in the stock `clip.model.CLIP` classes, stored as safetensors."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamsweep.torchvision_ops import declare_missing_ops

if TYPE_CHECKING:
    from clip.model import CLIP

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own normalisation of pixels (Radford et al., 2021, `clip.clip._transform`)."""


@dataclass(frozen=True)
class ClipShape:
    """The arguments of `clip.model.CLIP` that a state dict does not name."""

    embed: int
    resolution: int
    vision_layers: tuple[int, int, int, int]
    vision_width: int
    context: int
    text_width: int
    text_heads: int
    text_layers: int


def build_clip(shape: ClipShape, vocabulary: int) -> "CLIP":
    """A stock CLIP with a ModifiedResNet, random weights, float32."""
    declare_missing_ops()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from clip.model import CLIP
    return CLIP(
        shape.embed, shape.resolution, shape.vision_layers, shape.vision_width, None,
        shape.context, vocabulary, shape.text_width, shape.text_heads, shape.text_layers,
    )  # fmt: skip


def normalise_pixels(pictures: Tensor) -> Tensor:
    """CLIP's input from pixels in [0, 1], `n 3 r r`."""
    mean = pictures.new_tensor(PIXEL_MEAN)[:, None, None]
    std = pictures.new_tensor(PIXEL_STD)[:, None, None]
    return (pictures - mean) / std


def embed_pictures(model: nn.Module, pictures: Tensor, bf16: bool = False) -> Tensor:
    """Unit embeddings `n d` of pixels in [0, 1], `n 3 r r`; differentiable."""
    pixels = normalise_pixels(pictures).contiguous(memory_format=torch.channels_last)
    with torch.autocast(pictures.device.type, torch.bfloat16, enabled=bf16):
        embedded = model.visual(pixels)  # type: ignore[operator]
    return F.normalize(embedded.float(), dim=1)
