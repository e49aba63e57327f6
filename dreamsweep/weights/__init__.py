"""Published weights by name: fetched once, checked, kept in a folder, and never run.

`paths` is what engines call; the names stand in `registry.yaml` beside this module, and `dreamsweep weights list` prints them.
docs/weights.md tells of the cache, mirrors, and work without a network.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def paths(name: str) -> dict[str, Path]:
    """The files of a published model, checked, and downloaded first where they are not here yet.

    Keyed by their names within the model, such as `pytorch_model.bin` and `config.json`, or `unet/config.json` of a folder in the
    format of diffusers. Raises WeightsError when a file can neither be found nor fetched, or is not what was published.
    """
    from dreamsweep.weights import fetch

    return fetch.paths(name)


def folder(name: str) -> Path:
    """The folder that holds a published model's files (see `paths`): what `from_pretrained` of diffusers takes."""
    from dreamsweep.weights import fetch

    fetch.paths(name)
    return fetch.folder(name)


def sha256(name: str) -> dict[str, str]:
    """The SHA-256 of each of a model's files, by its name within the model (see `paths`)."""
    from dreamsweep.weights import fetch

    return fetch.sha256(name)


def digest(name: str) -> str:
    """One SHA-256 for a model, for a trial's record: its file's, or, of several, that over the lines `name:SHA-256` (see `paths`)."""
    from dreamsweep.weights import fetch

    return fetch.digest(name)


def load_tensors(path: Path) -> "dict[str, Tensor]":
    """A state dict from a `.safetensors` file, or from a `.bin`, `.pt` or `.pth` without running anything in it.

    Raises WeightsError when the file is damaged, or holds something else than tensors.
    """
    from dreamsweep.weights import safe

    return safe.load_tensors(path)
