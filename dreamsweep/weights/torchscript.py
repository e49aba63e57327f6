"""Tensors of a TorchScript archive, read without running the program that it is.

`torch.jit.load` runs code of the archive. Its tensors alone can be had without: `data.pkl` holds the modules' attributes, and each
storage is a file of the archive (https://pytorch.org/docs/stable/jit.html; torch/csrc/jit/serialization). Of the pickle only these classes
are taken: storages, the function that makes a tensor of one, ordered dictionaries, and the archive's own classes, as empty ones.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16, "CharStorage": torch.int8,
    "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


def archive_tensors(path: Path) -> dict[str, Tensor]:
    """Reads what `state_dict` of an archive's module would return. Raises UnpicklingError, or what zip files raise, if it holds none."""
    with zipfile.ZipFile(path) as archive:
        (root,) = {name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1}
        with archive.open(root) as file:
            module = _Reader(file, archive, root.removesuffix("data.pkl")).load()
    if not isinstance(module, _Module):
        raise pickle.UnpicklingError("it holds no module")
    return dict(_tensors_of(module, ""))


class _Module:
    """Object of one of the archive's own classes: its attributes, and nothing of its code."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _Reader(pickle.Unpickler):
    """Reader of `data.pkl` that makes tensors, dictionaries and empty modules, and nothing else."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self.archive, self.folder = archive, folder
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns what a name of the pickle stands for. Raises UnpicklingError for a name that is none of a module's tensors."""
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        allowed = {("torch._utils", "_rebuild_tensor_v2"): _tensor, ("collections", "OrderedDict"): OrderedDict}
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it would run {module}.{name} when it is read")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        """Returns a storage as a flat tensor."""
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not str(key).isalnum():
            raise pickle.UnpicklingError("it names no storage")
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.folder}data/{key}"))
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        if self.storages[key].numel() < numel:
            raise pickle.UnpicklingError("a storage is shorter than it says")
        return self.storages[key]


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    """Returns a tensor over a storage; one that would be larger than its storage is refused."""
    if math.prod(size) > storage.numel():
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return torch.as_strided(storage, size, stride, offset)


def _tensors_of(module: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors_of(value, f"{prefix}{name}.")
