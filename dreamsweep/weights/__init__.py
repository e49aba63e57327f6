"""Weights by name: published ones, which are downloaded once, checked and cached, and starter ones, which ship with dreamsweep.

Engines call `paths`; the names are in `registry.yaml` beside this module, and `dreamsweep weights list` prints them.
docs/weights.md describes the cache, mirrors, and work without a network. No code in a weight file is ever run.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def paths(name: str) -> dict[str, Path]:
    """Returns the files of a published model, checked, and downloaded first where they are missing.

    Keyed by their names within the model, such as `pytorch_model.bin` and `config.json`, or `unet/config.json` of a folder in the
    format of diffusers. Raises WeightsError when a file is not what was published or
    cannot be had, and DownloadError when its download failed in a way that may pass by itself.
    """
    from dreamsweep.weights import fetch

    return fetch.paths(name)


def folder(name: str) -> Path:
    """Returns the folder of a published model's files (see `paths`), which `from_pretrained` of diffusers takes."""
    from dreamsweep.weights import fetch

    fetch.paths(name)
    return fetch.folder(name)


def sha256(name: str) -> dict[str, str]:
    """Returns the SHA-256 of each of a published model's files, by its name within the model (see `paths`)."""
    from dreamsweep.weights import fetch

    return fetch.sha256(name)


def digest(name: str) -> str:
    """Returns one SHA-256 for a published model: its file's, or, for several files, that over the lines `name:SHA-256`."""
    from dreamsweep.weights import fetch

    return fetch.digest(name)


def sha256_of(name: str) -> dict[str, str]:
    """Returns the SHA-256 that trials record for weights, by hashing files: no network is loaded (see `hashes.sha256_of`)."""
    from dreamsweep.weights import hashes

    return hashes.sha256_of(name)


def load_tensors(path: Path, within: str | None = None) -> "dict[str, Tensor]":
    """Reads a state dict from a `.safetensors` file, or from a `.bin`, `.pt` or `.pth` without running anything in it.

    `within` names the state dict in a checkpoint that holds other things as well. Raises WeightsError when the file is damaged, or holds
    anything but tensors.
    """
    from dreamsweep.weights import safe

    return safe.load_tensors(path, within)
