"""The cache folder of published weights: its files, their hashes, and the pins made when they were first used.

`<cache>/pins.json` holds what is not published anywhere and was therefore pinned on first use: hashes of files, commits of hub
repositories. `<cache>/.checked.json` holds the hash of each file with its size and time, so that gigabytes are not read at every
start. A model's own folder holds its files and nothing else, except those that are still being fetched.
"""

import contextlib
import hashlib
import json
import os
import secrets
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from dreamsweep.environment import home
from dreamsweep.errors import WeightsError
from dreamsweep.spec import Spec
from dreamsweep.weights.registry import FileName, Sha256

HASHES = ".checked.json"
"""File in the cache folder that holds hashes by path, each with the size and time of the file when it was read."""


class Pin(Spec):
    """Pins of one model, made on its first use."""

    revision: str | None = None
    """Commit of the hub repository."""
    files: dict[FileName, Sha256 | None] = Field(default_factory=dict)
    """SHA-256 by file name; None: to be pinned when the file is first read."""


_Pins = TypeAdapter(dict[str, Pin])


def cache_folder() -> Path:
    """Returns the folder of published weights: DREAMSWEEP_WEIGHTS, or ~/.cache/dreamsweep. Raises UserError without a home."""
    return cache_home()[1]


def cache_home() -> tuple[str, Path]:
    """Returns the environment variable that says where published weights are, and their folder. Raises UserError without a home."""
    if folder := os.environ.get("DREAMSWEEP_WEIGHTS"):
        return "DREAMSWEEP_WEIGHTS", Path(folder)
    return "HOME", home() / ".cache" / "dreamsweep"


def pins_file() -> Path:
    """Returns the path of the pins."""
    return cache_folder() / "pins.json"


def read_pin(name: str) -> Pin:
    """Returns the pins of a model; empty before its first use. Raises WeightsError when pins.json is damaged."""
    return _read_pins().get(name, Pin())


def pinned_names() -> list[str]:
    """Returns the names of all models that have pins."""
    return list(_read_pins())


def pin(name: str, revision: str | None = None, files: dict[str, str | None] | None = None) -> Pin:
    """Adds to a model's pins, and returns them all; existing pins stay as they are.

    In a folder that cannot be written (a read-only mount) nothing is saved: a trial's record has the hashes all the same.
    """
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_folder() / ".pins.lock"):
            pins = _read_pins()
            before = pins.get(name, Pin())
            known = {file: digest for file, digest in before.files.items() if digest is not None}
            pins[name] = Pin(revision=before.revision or revision, files={**before.files, **(files or {}), **known})
            if pins[name] != before:
                write_json(pins_file(), {key: value.model_dump() for key, value in sorted(pins.items())})
            return pins[name]
    except OSError:
        before = read_pin(name)
        return Pin(revision=before.revision or revision, files={**(files or {}), **before.files})


def file_sha256(path: Path, reread: bool = False) -> str:
    """Returns a file's SHA-256; from `.checked.json` while the file's size and time are unchanged, unless `reread`."""
    if reread:
        _digest.cache_clear()
    stamp, cached = _stamp(path), _read_hashes().get(_key(path))
    if not reread and cached is not None and cached[:2] == stamp:
        return str(cached[2])
    digest = _digest(path, *stamp)
    remember(path, digest)
    return digest


def session_sha256(path: Path) -> str:
    """Returns a file's SHA-256, read once a process while its size and time are unchanged; nothing is written to the cache folder."""
    return _digest(path, *_stamp(path))


def read_sha256(path: Path) -> str:
    """Returns a file's SHA-256, always by reading it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember(path: Path, digest: str) -> None:
    """Saves the SHA-256 of a file as it is now; of two processes that save at once, one may lose its line, which is then read again."""
    with contextlib.suppress(OSError):  # a read-only mount
        write_json(cache_folder() / HASHES, {**_read_hashes(), _key(path): [*_stamp(path), digest]})


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # containers that share the folder may share process ids
    try:
        partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """Hashes a file once a process, where nothing can be saved on disk; size and time tell versions of it apart."""
    return read_sha256(path)


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _key(path: Path) -> str:
    return os.path.relpath(path, cache_folder())


def _read_pins() -> dict[str, Pin]:
    try:
        return _Pins.validate_json(pins_file().read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise WeightsError(
            f"weights: {pins_file()} cannot be read ({error.strerror}); make it readable, or set DREAMSWEEP_WEIGHTS to another folder."
        ) from None
    except ValidationError:
        raise WeightsError(f"weights: {pins_file()} is damaged; repair it, or delete it to pin the files that are there again.") from None


def _read_hashes() -> dict[str, list[Any]]:
    try:
        hashes = json.loads((cache_folder() / HASHES).read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in hashes.items() if isinstance(value, list)} if isinstance(hashes, dict) else {}
