"""Is this machine ready? What is installed, which devices there are, whether the weights are whole, whether the store can be written."""

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from dreamsweep import __version__
from dreamsweep.errors import DreamsweepError
from dreamsweep.words import counted

NEEDED = ("torch", "torchvision", "clip-anytorch", "DALL-E", "pydantic", "prefect", "pyarrow", "duckdb", "boto3", "pillow", "matplotlib")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    what: str
    told: str
    ok: bool
    needed: bool = True
    """Whether a sweep fails without it."""


def findings(store: str) -> Iterator[Finding]:
    """Everything looked at, one after the other."""
    yield Finding("dreamsweep", __version__, ok=True)
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", ok=sys.version_info >= (3, 11))
    yield from (_package(name) for name in NEEDED)
    yield from _devices()
    yield from _starter_weights()
    yield from _published_weights()
    yield _store(store)


def _package(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name), ok=True)
    except metadata.PackageNotFoundError:
        return Finding(name, f"not installed; pip install {name}", ok=False)


def _devices() -> Iterator[Finding]:
    try:
        import torch

        from dreamsweep.devices import available_devices

        found = available_devices()
    except ImportError as error:
        yield Finding("devices", f"torch cannot be imported ({error})", ok=False)
        return
    told = {"cpu": counted(torch.get_num_threads(), "thread")}
    if "cuda" in found:
        told["cuda"] = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    for device in ("cpu", "cuda", "mps"):
        there = device in found
        yield Finding(f"device {device}", told.get(device, "there") if there else "not there", there, needed=device == "cpu")


def _starter_weights() -> Iterator[Finding]:
    from dreamsweep.starter.files import STARTER_FOLDERS, STARTER_NAMES, expected_sha256, file_sha256, folder_sha256, weights_folder

    for name in (*STARTER_NAMES, *STARTER_FOLDERS):
        path = weights_folder() / (name if name in STARTER_FOLDERS else f"{name}.safetensors")
        try:
            expected = expected_sha256(name)
            found = folder_sha256(path) if name in STARTER_FOLDERS else file_sha256(path, name)
        except DreamsweepError as error:
            yield Finding(f"weights {name}", str(error), ok=False)
            continue
        whole = found == expected
        size = sum(file.stat().st_size for file in (path.rglob("*") if name in STARTER_FOLDERS else (path,)) if file.is_file())
        told = f"{size / 1e6:.1f} MB, SHA-256 {found[:12]}…"
        yield Finding(f"weights {name}", told if whole else f"{told}, but {expected[:12]}… was shipped; restore it with git", ok=whole)


def _published_weights() -> Iterator[Finding]:
    from dreamsweep.weights.cache import cache_folder
    from dreamsweep.weights.registry import registry

    folder = cache_folder()
    found = [name for name, model in registry().items() if all((folder / model.folder / file).is_file() for file in model.files)]
    told = ", ".join(found) if found else f"none yet in {folder}; fetched when a sweep first names one, or by dreamsweep weights pull"
    yield Finding("published weights", told, ok=bool(found), needed=False)


def _store(uri: str) -> Finding:
    from dreamsweep.store import open_store

    try:
        store = open_store(uri)
        store.check()
    except DreamsweepError as error:
        return Finding("store", str(error), ok=False)
    return Finding("store", f"{store.uri} can be written", ok=True)
