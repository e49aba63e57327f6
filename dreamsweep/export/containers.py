"""What files go into: a folder, a zip, or a single file. The same files give the same bytes; a target is whole or not there."""

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, cast, runtime_checkable

from dreamsweep.errors import StoreError

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every file in a zip: the earliest that the format has."""
MODE = 0o644 << 16


@runtime_checkable
class Container(Protocol):
    """Place for files, written one after the other."""

    @property
    def is_single(self) -> bool:
        """Whether all of it is one file, as far as the format goes."""
        ...

    def open(self, name: str) -> AbstractContextManager[io.BufferedIOBase]:
        """Opens a new file for writing; `name` has slashes between its parts."""
        ...


@dataclass(frozen=True)
class Folder:
    """Folder on this machine."""

    path: Path
    is_single: ClassVar[bool] = False

    def open(self, name: str) -> AbstractContextManager[io.BufferedIOBase]:
        """Opens a new file below the folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


class Zip:
    """Zip archive, written from front to back; pictures are compressed already, so nothing is compressed again.

    A context: its directory is written at the end.
    """

    is_single: ClassVar[bool] = False

    def __init__(self, out: io.BufferedIOBase) -> None:
        self._archive = zipfile.ZipFile(_Forward(out), "w", zipfile.ZIP_STORED)

    def open(self, name: str) -> AbstractContextManager[io.BufferedIOBase]:
        """Opens a new file of the archive."""
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.external_attr, entry.create_system = MODE, 3  # as on Unix, wherever it is written
        return cast(AbstractContextManager[io.BufferedIOBase], self._archive.open(entry, "w", force_zip64=True))

    def __enter__(self) -> "Zip":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # of a file that was not written to its end: an error is on its way already
            self._archive.close()


@dataclass(frozen=True)
class _Forward:
    """What a zip is written to: without a way back, so that a stream and a file get the same bytes."""

    out: io.BufferedIOBase

    def write(self, data: bytes, /) -> int:
        return self.out.write(data)

    def flush(self) -> None:
        self.out.flush()

    def close(self) -> None:
        """Leaves the output open: its owner closes it."""


@dataclass(frozen=True)
class Single:
    """A single file, whose name the reader has chosen already."""

    out: io.BufferedIOBase
    is_single: ClassVar[bool] = True

    @contextmanager
    def open(self, name: str) -> Iterator[io.BufferedIOBase]:
        """Yields the file, whatever its name."""
        yield self.out


class Spool(io.BytesIO):
    """Bytes that were written and not taken yet: what a server sends on while an archive is written. Nothing can be sought in it."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        return self._taken + self.waiting

    @property
    def waiting(self) -> int:
        """Number of bytes that were not taken yet."""
        return super().tell()

    def take(self) -> bytes:
        """Returns what was written since the last call."""
        taken = self.getvalue()
        self._taken += len(taken)
        super().seek(0)
        self.truncate()
        return taken


@contextmanager
def whole_file(target: Path) -> Iterator[io.BufferedIOBase]:
    """Yields a file that becomes the target once the block ends; until then, and where it fails, an earlier one stays.

    Raises StoreError where it cannot be written.
    """
    with _refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise StoreError(f"--to {str(target)!r}: this is a folder; name a file.")
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                yield out
            part.chmod(0o666 & ~_umask())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yields a new folder that becomes the target once the block ends; the target must not exist yet, or be empty.

    Raises StoreError where it holds something, or cannot be written.
    """
    with _refused(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StoreError(f"--to {str(target)!r}: it is there already and not empty; name a new folder.")
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            yield part
            part.chmod(0o777 & ~_umask())
            if target.exists():
                target.rmdir()
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _refused(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"--to {str(target)!r}: it cannot be written there ({error.strerror or error}).") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
