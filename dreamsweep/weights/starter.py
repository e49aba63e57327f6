"""Files of the starter weights: safetensors in `dreamsweep/starter/weights`, each with its SHA-256 in `weights.json`."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamsweep.errors import WeightsError
from dreamsweep.weights.cache import read_sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_SHIPPED = Path(__file__).parents[1] / "starter" / "weights"
STARTER_NAMES = ("starter-guide", "starter-judge", "starter-auditor", "starter-segmenter", "starter-dvae", "starter-biggan")
"""Names of weights that ship as one safetensors file."""
STARTER_FOLDERS = ("starter-diffusion", "starter-unclip")
"""Names of weights that ship as a folder in the format of diffusers."""


def weights_folder() -> Path:
    """Returns the folder of the starter weights: the one in the package, or DREAMSWEEP_STARTER_WEIGHTS."""
    return Path(os.environ.get("DREAMSWEEP_STARTER_WEIGHTS", _SHIPPED))


def read_weights(name: str) -> tuple[dict[str, "Tensor"], dict[str, str], str]:
    """Reads (tensors, metadata, SHA-256) of one starter file. Raises WeightsError when it is missing, cut short or changed."""
    with _checked(name, "pt") as (file, sha256):
        return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {}), sha256  # noqa: SIM118 - not a dict


def read_array(name: str, key: str) -> tuple["NDArray[Any]", dict[str, str]]:
    """Reads one tensor of a starter file as an array, without torch, and the file's metadata. Raises WeightsError as `read_weights`."""
    with _checked(name, "np") as (file, _):
        return file.get_tensor(key), dict(file.metadata() or {})


@contextmanager
def _checked(name: str, framework: str) -> Iterator[tuple[Any, str]]:
    """Opens a starter file that is what it was shipped as; yields it and its SHA-256."""
    from safetensors import SafetensorError, safe_open

    path = weights_folder() / f"{name}.safetensors"
    actual = file_sha256(path, name)
    if actual != expected_sha256(name):
        raise damaged(name, path, actual)
    try:
        with safe_open(path, framework=framework) as file:
            yield file, actual
    except SafetensorError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read as safetensors ({error}); install again.") from None


def damaged(name: str, path: Path, actual: str) -> WeightsError:
    """Returns the error for a starter file with another SHA-256 than it was shipped with."""
    return WeightsError(
        f"weights {name!r}: {path} is damaged (SHA-256 {actual[:12]}…, expected {expected_sha256(name)[:12]}…); "
        "restore it with git or install again."
    )


def write_weights(path: Path, tensors: dict[str, "Tensor"], metadata: dict[str, str]) -> None:
    """Writes one starter file and its SHA-256 into `weights.json` beside it."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata)
    path.chmod(0o644)  # safetensors writes for the owner alone
    _list(path.parent / "weights.json", path.stem, read_sha256(path))


def expected_sha256(name: str) -> str:
    """Returns the SHA-256 that a starter file was shipped with. Raises WeightsError when it is not listed."""
    index = weights_folder() / "weights.json"
    try:
        return str(json.loads(index.read_text())[name])
    except (OSError, KeyError, ValueError):
        raise WeightsError(f"weights {name!r}: {index} does not list it; restore the file with git, or install again.") from None


def file_sha256(path: Path, name: str) -> str:
    """Returns the SHA-256 of a weight file, by reading it. Raises WeightsError when it cannot be read."""
    try:
        return read_sha256(path)
    except OSError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read ({error.strerror}); restore it with git, or install again.") from None


def folder_sha256(folder: Path) -> str:
    """Returns the SHA-256 over the names and hashes of all files in a folder, by reading them."""
    return hash_of_hashes((name, read_sha256(path)) for name, path in folder_files(folder))


def folder_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields every file below a folder, with its name within the folder, in the order in which `hash_of_hashes` takes them."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield path.relative_to(folder).as_posix(), path


def hash_of_hashes(hashes: Iterable[tuple[str, str]]) -> str:
    """Returns the SHA-256 over lines `name:SHA-256`, which stands for weights of several files."""
    return hashlib.sha256("".join(f"{name}:{digest}\n" for name, digest in hashes).encode()).hexdigest()


def list_folder(folder: Path) -> None:
    """Writes the SHA-256 of a starter folder into `weights.json` beside it."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors writes for the owner alone
    _list(folder.parent / "weights.json", folder.name, folder_sha256(folder))


def _list(index: Path, name: str, sha256: str) -> None:
    record = json.loads(index.read_text()) if index.exists() else {}
    index.write_text(json.dumps({**record, name: sha256}, indent=2, sort_keys=True) + "\n")


def thing_names() -> list[str]:
    """Returns the names of about a thousand things that the starter weights know: the wrong answers of a guide's contrast."""
    text = (_SHIPPED.parent / "things.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
