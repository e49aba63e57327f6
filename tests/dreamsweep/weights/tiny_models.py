"""Tiny random models in the formats of the published ones."""

import copy
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dreamsweep.models.dvae import DvaeShape, build_decoder, build_encoder
from dreamsweep.perceptors.clip_package import import_clip

if TYPE_CHECKING:
    from clip.model import CLIP

DVAE = DvaeShape(n_hid=8, n_init=8, codes=16)


def tiny_clip(vision: str = "vit", vocabulary: int = 49408) -> "CLIP":
    """Returns a stock CLIP with one layer a tower; `build_model` makes a head of each 64 channels, so there are 64."""
    import_clip()
    from clip.model import CLIP

    layers, width, patch = (1, 64, 16) if vision == "vit" else ((1, 1, 1, 1), 4, None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CLIP(8, 32, layers, width, patch, 77, vocabulary, 64, 1, 1).eval()


def half_state(model: "CLIP") -> dict[str, Tensor]:
    """Returns a CLIP's state dict in the precision that OpenAI published: half, but for embeddings and norms."""
    import_clip()
    from clip.model import convert_weights

    converted = copy.deepcopy(model)
    convert_weights(converted)
    return dict(converted.state_dict())


def clip_archive(model: "CLIP") -> bytes:
    """Returns TorchScript as OpenAI published it: in the precision of `half_state`, with its three numbers among the tensors."""
    from clip.model import convert_weights

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
        side = int(model.input_resolution)
        traced = torch.jit.trace(model, (torch.zeros(1, 3, side, side), torch.zeros(1, 77, dtype=torch.int64)), check_trace=False)
        convert_weights(model)  # whose tensors are the archive's
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def saved(value: Any, legacy: bool = False) -> bytes:
    """Returns the bytes that `torch.save` writes; `legacy` as torch wrote before 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def old_dalle(part: str) -> nn.Module:
    """Returns an encoder or a decoder as a torch of 2021 would have pickled it: its upsampling lacks attributes that later ones need."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return aged(build_encoder(DVAE) if part == "encoder" else build_decoder(DVAE))


def aged(module: nn.Module) -> nn.Module:
    """Returns a module without the attributes that a torch of 2021 did not pickle."""
    for inner in module.modules():
        inner.__dict__.pop("recompute_scale_factor", None)
        inner.__dict__.pop("_non_persistent_buffers_set", None)
    return module


class Trap:
    """Object that creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def trapped_module(mark: Path) -> nn.Module:
    """Returns a decoder with a trap inside."""
    module = old_dalle("decoder")
    module.__dict__["extra"] = Trap(mark)
    return module


def a_state() -> dict[str, Tensor]:
    """Returns a small state dict."""
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
