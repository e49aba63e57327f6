"""Tiny random models in the very formats that the published ones come in."""

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dreamsweep.codes import DvaeShape, build_decoder, build_encoder
from dreamsweep.torchvision_ops import declare_missing_ops

if TYPE_CHECKING:
    from clip.model import CLIP

DVAE = DvaeShape(n_hid=8, n_init=8, codes=16)


def tiny_clip(vision: str = "vit", vocabulary: int = 49408) -> "CLIP":
    """A stock CLIP of one layer a tower; `build_model` gives each 64 channels a head, so there are 64."""
    declare_missing_ops()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from clip.model import CLIP
    layers, width, patch = (1, 64, 16) if vision == "vit" else ((1, 1, 1, 1), 4, None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CLIP(8, 32, layers, width, patch, 77, vocabulary, 64, 1, 1).eval()


def clip_archive(model: "CLIP") -> bytes:
    """TorchScript as OpenAI published it: half precision, with its three numbers among the tensors."""
    numbers = {name: torch.tensor(getattr(model, name)) for name in ("context_length", "vocab_size")}
    numbers["input_resolution"] = torch.tensor(model.visual.input_resolution)
    for name, number in numbers.items():
        model.__dict__.pop(name, None)
        model.register_buffer(name, number)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        traced = torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int64)), check_trace=False)
        torch.jit.save(traced.half(), buffer)
    return buffer.getvalue()


def saved(value: Any, legacy: bool = False) -> bytes:
    """What `torch.save` writes; `legacy` as torch wrote before 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def old_dalle(part: str) -> nn.Module:
    """An encoder or a decoder as a torch of 2021 would have pickled it: its upsampling lacks what later ones look for."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = build_encoder(DVAE) if part == "encoder" else build_decoder(DVAE)
    for inner in module.modules():
        inner.__dict__.pop("recompute_scale_factor", None)
        inner.__dict__.pop("_non_persistent_buffers_set", None)
    return module


class Trap:
    """Pickled, it creates a file wherever it is read back."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def trapped_module(mark: Path) -> nn.Module:
    """A decoder with a trap inside."""
    module = old_dalle("decoder")
    module.__dict__["extra"] = Trap(mark)
    return module


def a_state() -> dict[str, Tensor]:
    """A state dict."""
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
