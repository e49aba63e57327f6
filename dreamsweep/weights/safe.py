"""Weights without the code that may come with them: every reader here gives tensors, and runs nothing that a file says.

A pickle is a program. `torch.load(weights_only=True)` reads one with an allow-list instead: tensors and plain containers, and, for
DALL-E's pickled modules, the classes of `_dalle_classes`. Even those modules are only looked at: their tensors go into modules built
afresh, so that what old pickles lack (`Upsample.recompute_scale_factor`) or might bring along does not matter.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamsweep.errors import WeightsError


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A state dict from safetensors, or from a pickle of tensors (see `dreamsweep.weights.load_tensors`)."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"weights {path}: it cannot be read as safetensors ({error}); delete it and fetch it again.") from None
    found = _load(path, ())
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
    found = _load(path, _dalle_classes())
    if not isinstance(found, nn.Module):
        raise WeightsError(f"weights {path}: it holds {_kind(found)}, not a pickled module; delete it and fetch what was published.")
    try:
        return dict(found.state_dict())
    except (AttributeError, TypeError) as error:
        raise WeightsError(f"weights {path}: the module in it is not whole ({error}); delete it and fetch it again.") from None


def _dalle_classes() -> tuple[type, ...]:
    """All that the published encoder and decoder are made of, tensors and containers aside."""
    from dall_e import Decoder, Encoder
    from dall_e.decoder import DecoderBlock
    from dall_e.encoder import EncoderBlock
    from dall_e.utils import Conv2d

    return (Encoder, EncoderBlock, Decoder, DecoderBlock, Conv2d, nn.Sequential, nn.Identity, nn.ReLU, nn.MaxPool2d, nn.Upsample)


def _load(path: Path, classes: Sequence[type | Callable[..., Any]]) -> Any:
    """Unpickles with torch's restricted reader: tensors, plain containers, and these classes."""
    try:
        with torch.serialization.safe_globals(list(classes)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files: typed storages, sources that have changed
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted:
            raise WeightsError(
                f"weights {path}: it wants to run {wanted[1]} when it is read, which nothing that was published does, and was stopped; "
                "delete it, and fetch it again from a place that you trust."
            ) from None
        raise WeightsError(f"weights {path}: it is no pickle of tensors ({_first_line(error)}); delete it and fetch it again.") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsError(f"weights {path}: it is damaged ({_first_line(error)}); delete it and fetch it again.") from None


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
