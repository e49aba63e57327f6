"""Safe loading of weights: every reader here returns tensors, and runs no code that a file contains.

A pickle is a program. `torch.load(weights_only=True)` reads one with an allow-list instead: tensors and plain containers. DALL-E's
files are pickled modules; for them the allow-list also has the class names in `DALLE_CLASSES`, each read as an instance of the empty
class `Stub`. So no code of an old pickle runs, and attributes that it lacks (`Upsample.recompute_scale_factor`) do not matter: only
its tensors are used.
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
from dreamsweep.weights.cache import read_sha256
from dreamsweep.weights.registry import is_published
from dreamsweep.weights.torchscript import archive_tensors

DALLE_CLASSES = (
    *("dall_e.encoder.Encoder", "dall_e.encoder.EncoderBlock", "dall_e.decoder.Decoder", "dall_e.decoder.DecoderBlock"),
    *("dall_e.utils.Conv2d", "torch.nn.modules.container.Sequential", "torch.nn.modules.linear.Identity"),
    *("torch.nn.modules.activation.ReLU", "torch.nn.modules.pooling.MaxPool2d", "torch.nn.modules.upsampling.Upsample"),
)
"""Classes that the published encoder and decoder consist of, apart from tensors and containers."""

MOST_HEADER = 25_000_000
"""Bytes of a safetensors header, at most; those of published models have up to a million."""
MOST_CODE = 16 << 20
"""Bytes by which a zip's parts may exceed the file: TorchScript compresses its code."""
_DAMAGED = (EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What readers of damaged files raise."""


def load_tensors(path: Path, within: str | None = None) -> dict[str, Tensor]:
    """Reads a state dict from safetensors, or from a pickle of tensors (see `dreamsweep.weights.load_tensors`)."""
    check_size(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"weights {path}: it cannot be read as safetensors ({error}); delete it and fetch it again.") from None
    state = _load(path, [])
    if within is not None and isinstance(state, dict):
        state = state.get(within, state)
    if isinstance(state, dict) and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
        return dict(state)
    raise WeightsError(f"weights {path}: it holds {_kind(state)}, not a state dict of tensors; delete it and fetch what was published.")


def load_clip_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a CLIP's state dict, from the TorchScript archive that OpenAI published or from a plain state dict.

    An archive is a program. It is loaded as one only where its SHA-256 is one of the registry's; of any other only the tensors are read.
    """
    check_size(path)
    if not _is_archive(path):
        return load_tensors(path)
    if not is_published(read_sha256(path)):
        return _tensors_alone(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but the published files are in it
        try:
            return {key: value.detach() for key, value in torch.jit.load(str(path), map_location="cpu").state_dict().items()}
        except (RuntimeError, torch.jit.Error) as error:
            raise WeightsError(
                f"weights {path}: it cannot be read as TorchScript ({_first_line(error)}); delete it and fetch it again."
            ) from None


def _tensors_alone(path: Path) -> dict[str, Tensor]:
    try:
        return archive_tensors(path)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, *_DAMAGED, RecursionError) as error:
        raise WeightsError(
            f"weights {path}: it cannot be read as TorchScript without running it ({_first_line(error)}), and its SHA-256 is none of the "
            "registry's; delete it and fetch what was published."
        ) from None


def check_size(path: Path) -> None:
    """Refuses a file that would take much more memory than its size before it is read. Raises WeightsError.

    Files of torch are zips whose tensors are stored as they are. Compressed ones, and parts that overlap, can be made to fill any memory;
    so can the header of safetensors, which is JSON.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
        if path.suffix == ".safetensors" and int.from_bytes(start, "little") > min(size, MOST_HEADER):
            reason = f"its header is longer than {MOST_HEADER:,} bytes, or than the file"
            raise WeightsError(f"weights {path}: it cannot be read as safetensors ({reason}); delete it and fetch it again.")
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # the sentence of its reader says what is wrong with it
    total = sum(part.file_size for part in parts)
    if total > size + MOST_CODE:
        raise WeightsError(
            f"weights {path}: its parts come to {total:,} bytes in a file of {size:,}, which no published file's do; delete it and fetch "
            "what was published."
        )


def load_dalle_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the state dict of a pickled `dall_e.Encoder` or `dall_e.Decoder`."""
    check_size(path)
    stub = type("Stub", (), {})
    module = _load(path, [(stub, name) for name in DALLE_CLASSES])
    if not isinstance(module, stub):
        raise WeightsError(f"weights {path}: it holds {_kind(module)}, not a pickled module; delete it and fetch what was published.")
    try:
        return dict(_tensors_of(module, ""))
    except (AttributeError, TypeError, RecursionError):
        raise WeightsError(f"weights {path}: the module in it is incomplete; delete it and fetch it again.") from None


def _tensors_of(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yields what `state_dict` would return for a module, from its attributes."""
    for name, value in {**module._parameters, **module._buffers}.items():
        if isinstance(value, Tensor):
            yield prefix + name, value.detach()
    for name, inner in module._modules.items():
        yield from _tensors_of(inner, f"{prefix}{name}.")


def _load(path: Path, allowed: list[tuple[type, str]]) -> Any:
    """Unpickles with torch's restricted reader: tensors, plain containers, and for each allowed name the class given for it."""
    try:
        with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files have typed storages, which are deprecated
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from None
    except (RuntimeError, *_DAMAGED) as error:
        raise WeightsError(f"weights {path}: it is damaged ({_first_line(error)}); delete it and fetch it again.") from None


def _refusal(path: Path, message: str) -> WeightsError:
    """Returns an error that says why torch's restricted reader refused a file."""
    wanted = re.search(r"GLOBAL ([\w.]+)", message)
    if wanted:
        return WeightsError(
            f"weights {path}: it would run {wanted[1]} when it is read, which no published file does, so it was not read; "
            "delete it, and fetch it again from a place that you trust."
        )
    if "Only persistent_load of storage" in message:
        return WeightsError(
            f"weights {path}: it is a module with its source code, as torch saved it before 1.6, which cannot be read safely; "
            "load it in an isolated environment, and save it again with a newer torch."
        )
    inner = re.search(r"WeightsUnpickler error: ([^\n]+)", message)
    reason = inner[1].rstrip(". ") if inner else "torch refuses it"
    return WeightsError(f"weights {path}: it is not a pickle of tensors ({reason}); delete it and fetch it again.")


def _is_archive(path: Path) -> bool:
    """Returns whether a file is TorchScript: a zip with code beside its tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
