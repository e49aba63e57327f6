"""Weights without the code that may come with them: every reader here gives tensors, and runs nothing that a file says.

A pickle is a program. `torch.load(weights_only=True)` reads one with an allow-list instead: tensors and plain containers. DALL-E's
files are whole modules; of those the classes of `DALLE_CLASSES` may be named, and each is read as an empty `bag` in place of the class.
So nothing of an old pickle runs, and what it lacks (`Upsample.recompute_scale_factor`) does not matter: only its tensors are taken.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dreamsweep.errors import WeightsError

DALLE_CLASSES = (
    *("dall_e.encoder.Encoder", "dall_e.encoder.EncoderBlock", "dall_e.decoder.Decoder", "dall_e.decoder.DecoderBlock"),
    *("dall_e.utils.Conv2d", "torch.nn.modules.container.Sequential", "torch.nn.modules.linear.Identity"),
    *("torch.nn.modules.activation.ReLU", "torch.nn.modules.pooling.MaxPool2d", "torch.nn.modules.upsampling.Upsample"),
)
"""All that the published encoder and decoder are made of, tensors and containers aside."""


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A state dict from safetensors, or from a pickle of tensors (see `dreamsweep.weights.load_tensors`)."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"weights {path}: it cannot be read as safetensors ({error}); delete it and fetch it again.") from None
    found = _load(path, [])
    if isinstance(found, dict) and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()):
        return dict(found)
    raise WeightsError(f"weights {path}: it holds {_kind(found)}, not a state dict of tensors; delete it and fetch what was published.")


def load_clip_tensors(path: Path) -> dict[str, Tensor]:
    """A CLIP's state dict, from the TorchScript archive that OpenAI published or from a plain state dict."""
    if not _is_archive(path):
        return load_tensors(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is going away; what was published in it is not
        try:
            return {key: value.detach() for key, value in torch.jit.load(str(path), map_location="cpu").state_dict().items()}
        except RuntimeError as error:
            raise WeightsError(
                f"weights {path}: it cannot be read as TorchScript ({_first_line(error)}); delete it and fetch it again."
            ) from None


def load_dalle_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict of a pickled `dall_e.Encoder` or `dall_e.Decoder`."""
    bag = type("bag", (), {})
    found = _load(path, [(bag, name) for name in DALLE_CLASSES])
    if not isinstance(found, bag):
        raise WeightsError(f"weights {path}: it holds {_kind(found)}, not a pickled module; delete it and fetch what was published.")
    try:
        return dict(_tensors_of(found, ""))
    except (AttributeError, TypeError, RecursionError):
        raise WeightsError(f"weights {path}: the module in it is not whole; delete it and fetch it again.") from None


def _tensors_of(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """What `state_dict` would give of a module, read off its attributes."""
    for name, value in {**module._parameters, **module._buffers}.items():
        if isinstance(value, Tensor):
            yield prefix + name, value.detach()
    for name, inner in module._modules.items():
        yield from _tensors_of(inner, f"{prefix}{name}.")


def _load(path: Path, allowed: list[tuple[type, str]]) -> Any:
    """Unpickles with torch's restricted reader: tensors, plain containers, and a class of ours in place of each name."""
    try:
        with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files have typed storages
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsError(f"weights {path}: it is damaged ({_first_line(error)}); delete it and fetch it again.") from None


def _refusal(path: Path, told: str) -> WeightsError:
    """Why torch's restricted reader stopped, in a sentence."""
    wanted = re.search(r"GLOBAL ([\w.]+)", told)
    if wanted:
        return WeightsError(
            f"weights {path}: it wants to run {wanted[1]} when it is read, which nothing that was published does, and was stopped; "
            "delete it, and fetch it again from a place that you trust."
        )
    if "Only persistent_load of storage" in told:
        return WeightsError(
            f"weights {path}: it is a whole module as torch saved it before 1.6, with its source, which cannot be read safely; "
            "where nothing can come to harm, load it and save it again with a newer torch."
        )
    inner = re.search(r"WeightsUnpickler error: ([^\n]+)", told)
    reason = inner[1].rstrip(". ") if inner else "torch refuses it"
    return WeightsError(f"weights {path}: it is no pickle of tensors ({reason}); delete it and fetch it again.")


def _is_archive(path: Path) -> bool:
    """Whether this is TorchScript: a zip with code beside its tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
