"""The folder that published weights are kept in: what lies there, what it hashes to, and what was pinned when it was first used.

`<cache>/pins.json` holds what nobody has published and was therefore pinned on first use: hashes of files, commits of hub repositories.
`<cache>/.checked.json` remembers the hash of each file beside its size and time, so that gigabytes are not read at every start.
A model's own folder holds its files and nothing else, but for those that are still being fetched.
"""

import contextlib
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from dreamsweep.errors import WeightsError
from dreamsweep.spec import Spec
from dreamsweep.weights.registry import FileName, Sha256

SEEN = ".checked.json"


class Pin(Spec):
    """What is held fast of one model since its first use."""

    revision: str | None = None
    """The hub's commit."""
    files: dict[FileName, Sha256 | None] = Field(default_factory=dict)
    """None: to be pinned when it is first read."""


_Pins = TypeAdapter(dict[str, Pin])


def cache_folder() -> Path:
    """Where published weights are kept: DREAMSWEEP_WEIGHTS, or ~/.cache/dreamsweep."""
    return Path(os.environ.get("DREAMSWEEP_WEIGHTS") or Path.home() / ".cache" / "dreamsweep")


def pins_file() -> Path:
    """Where the pins are."""
    return cache_folder() / "pins.json"


def read_pin(name: str) -> Pin:
    """What is pinned of a model; empty before its first use. Raises WeightsError when pins.json is damaged."""
    return _read_pins().get(name, Pin())


def pinned_names() -> list[str]:
    """Every model of which something is pinned."""
    return list(_read_pins())


def pin(name: str, revision: str | None = None, files: dict[str, str | None] | None = None) -> Pin:
    """Adds to a model's pins, and returns them all; what is pinned already stays as it is.

    In a folder that cannot be written (a read-only mount) nothing is kept: a trial's record has the hashes all the same.
    """
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_folder() / ".pins.lock"):
            pins = _read_pins()
            found = pins.get(name, Pin())
            held = {file: digest for file, digest in found.files.items() if digest is not None}
            pins[name] = Pin(revision=found.revision or revision, files={**found.files, **(files or {}), **held})
            if pins[name] != found:
                write_json(pins_file(), {key: value.model_dump() for key, value in sorted(pins.items())})
            return pins[name]
    except OSError:
        found = read_pin(name)
        return Pin(revision=found.revision or revision, files={**(files or {}), **found.files})


def file_sha256(path: Path, afresh: bool = False) -> str:
    """A file's SHA-256; read off `.checked.json` while the file's size and time are as they were, unless asked for afresh."""
    if afresh:
        _digest.cache_clear()
    stamp, seen = _stamp(path), _read_seen().get(_key(path))
    if not afresh and seen is not None and seen[:2] == stamp:
        return str(seen[2])
    digest = _digest(path, *stamp)
    remember(path, digest)
    return digest


def read_sha256(path: Path) -> str:
    """A file's SHA-256, read here and now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember(path: Path, digest: str) -> None:
    """Notes that this file, as it is now, has this SHA-256; two who write at once lose no more than a line."""
    with contextlib.suppress(OSError):  # a read-only mount
        write_json(cache_folder() / SEEN, {**_read_seen(), _key(path): [*_stamp(path), digest]})


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """Once a process where nothing can be remembered on disk; size and time are there to tell files apart."""
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
    except (OSError, ValidationError):
        raise WeightsError(f"weights: {pins_file()} is damaged; mend it, or delete it to pin what is there anew.") from None


def _read_seen() -> dict[str, list[Any]]:
    try:
        found = json.loads((cache_folder() / SEEN).read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, list)} if isinstance(found, dict) else {}
