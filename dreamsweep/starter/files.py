"""The starter weights' files: safetensors beside this module, each with its SHA-256 in `weights.json`."""

import hashlib
import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dreamsweep.errors import WeightsError

_SHIPPED = Path(__file__).parent / "weights"
STARTER_NAMES = ("starter-guide", "starter-judge", "starter-dvae", "starter-biggan")
"""Weights that ship as one safetensors file."""
STARTER_FOLDERS = ("starter-diffusion", "starter-unclip")
"""Weights that ship as a folder in the format of diffusers."""


def weights_folder() -> Path:
    """Where the starter weights lie: beside this module, or in DREAMSWEEP_STARTER_WEIGHTS."""
    return Path(os.environ.get("DREAMSWEEP_STARTER_WEIGHTS", _SHIPPED))


def read_weights(name: str) -> tuple[dict[str, Tensor], dict[str, str], str]:
    """(tensors, metadata, SHA-256) of one starter file. Raises WeightsError when it is missing, cut short or changed."""
    path = weights_folder() / f"{name}.safetensors"
    found = file_sha256(path, name)
    expected = expected_sha256(name)
    if found != expected:
        raise WeightsError(
            f"weights {name!r}: {path} is damaged (SHA-256 {found[:12]}…, expected {expected[:12]}…); restore it with git or install again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {}), found  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read as safetensors ({error}); install again.") from None


def write_weights(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes one starter file and its SHA-256 into `weights.json` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata)
    path.chmod(0o644)  # safetensors writes for the owner alone
    _list(path.parent / "weights.json", path.stem, hashlib.sha256(path.read_bytes()).hexdigest())


def expected_sha256(name: str) -> str:
    """The SHA-256 that a starter file was shipped with. Raises WeightsError when it is not listed."""
    index = weights_folder() / "weights.json"
    try:
        return str(json.loads(index.read_text())[name])
    except (OSError, KeyError, ValueError):
        raise WeightsError(f"weights {name!r}: {index} does not list it; restore the file with git, or install again.") from None


def file_sha256(path: Path, name: str) -> str:
    """The SHA-256 of a weight file as it lies there. Raises WeightsError when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read ({error.strerror}); restore it with git, or install again.") from None


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder).as_posix()}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


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
    """Names of about a thousand things that the starter weights know: the wrong answers of a guide's contrast."""
    text = (Path(__file__).parent / "things.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
