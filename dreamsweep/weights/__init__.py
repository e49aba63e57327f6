"""Published weights by name: fetched once, checked, kept in a folder, and never run.

`paths` is what engines call; the names stand in `registry.yaml` beside this module, and `dreamsweep weights list` prints them.
"""

from pathlib import Path

from torch import Tensor

from dreamsweep.errors import WeightsError


def paths(name: str) -> dict[str, Path]:
    """The files of a published model, checked, and downloaded first where they are not here yet.

    Keyed by their names within the model, such as `pytorch_model.bin` and `config.json`, or `unet/config.json` of a folder in the
    format of diffusers. Raises WeightsError when a file can neither be found nor fetched, or is not what was published.
    """
    raise WeightsError(f"weights {name!r}: published weights cannot be fetched yet; use 'starter', which ships with dreamsweep.")


def folder(name: str) -> Path:
    """The folder that holds a published model's files (see `paths`): what `from_pretrained` of diffusers takes."""
    raise WeightsError(f"weights {name!r}: published weights cannot be fetched yet; use 'starter', which ships with dreamsweep.")


def sha256(name: str) -> dict[str, str]:
    """`{"name/file": SHA-256}` of each of a model's files as they were checked: what a trial's record says of them.

    A weights name without a file of its own in the registry raises WeightsError.
    """
    raise WeightsError(f"weights {name!r}: published weights cannot be fetched yet; use 'starter', which ships with dreamsweep.")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A state dict from a `.safetensors` file, or from a `.bin`, `.pt` or `.pth` without running anything in it.

    Raises WeightsError when the file is damaged, or holds something else than tensors.
    """
    raise WeightsError(f"weights {path.name!r}: published weights cannot be read yet; use 'starter', which ships with dreamsweep.")
