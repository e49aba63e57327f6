"""A store in a local folder: each object is a file, put in place by a rename."""

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from dreamsweep.errors import DreamsweepError, StoreError, StoreUnavailableError
from dreamsweep.store import BYTES, RUN_FIRST, Entry, Unfinished, checked_key

PARTIAL = ".partial-"
"""Prefix of the names of files that are still being written. A killed process leaves one behind; no listing shows it."""
ROOM = 16 << 20
"""Bytes that must be free for a store to count as one that can be written."""
_PLACES = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_TRANSIENT = {
    *(errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOLCK, errno.ENFILE, errno.ENOMEM),
    *(errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.EPIPE),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH),
}
"""Transient errors of a disk, mostly a network disk, that are worth a retry. A full disk is not among them: a retry frees nothing."""


class LocalStore:
    """A folder (see `Store`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder.expanduser()))
        self.uri = self.folder.as_uri()

    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        with self._sentences(key), self._replacing(key) as target:
            target.write(data)

    def write_file(self, key: str, path: Path, content_type: str = BYTES) -> None:
        with path.open("rb") as source, self._sentences(key), self._replacing(key) as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def version(self, key: str) -> str | None:
        with self._sentences(key):
            try:
                return hashlib.sha256(self._path(key).read_bytes()).hexdigest()
            except FileNotFoundError:
                return None

    def replace(self, key: str, data: bytes, version: str | None, content_type: str = BYTES) -> bool:
        with self._sentences(key):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{PARTIAL}lock"):  # its file stays, for a lock on one that was removed locks nobody out
                if self.version(key) != version:
                    return False
                self.write(key, data, content_type)
                return True

    def read(self, key: str) -> bytes:
        with self._sentences(key):
            return self._path(key).read_bytes()

    def get(self, key: str) -> bytes | None:
        with self._sentences(key):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def read_file(self, key: str, path: Path) -> None:
        with self._sentences(key):
            source = self._path(key).open("rb")
        with source, path.open("wb") as target:
            while chunk := self._chunk(source, key):
                target.write(chunk)

    def _chunk(self, source: BinaryIO, key: str) -> bytes:
        with self._sentences(key):
            return source.read(1 << 20)

    def exists(self, key: str) -> bool:
        with self._sentences(key):
            try:
                return stat.S_ISREG(self._path(key).stat().st_mode)  # `is_file` of newer Pythons takes an outage for a missing file
            except (FileNotFoundError, NotADirectoryError):
                return False

    def keys(self, prefix: str) -> Iterator[str]:
        names = (path.relative_to(self.folder).as_posix() for path in self._files(prefix) if not path.name.startswith(PARTIAL))
        return iter(sorted(key for key in names if key.startswith(prefix)))

    def entries(self, prefix: str) -> Iterator[Entry]:
        for key in self.keys(prefix):
            with suppress(FileNotFoundError), self._sentences(key, missing_is_empty=True):
                status = self._path(key).stat()
                yield Entry(key, status.st_size, status.st_mtime)

    def folders(self) -> Iterator[str]:
        with self._sentences("", missing_is_empty=True):
            return iter(sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir()))
        return iter(())

    def delete(self, key: str) -> None:
        with self._sentences(key, missing_is_empty=True):
            path = self._path(key)
            path.unlink(missing_ok=True)
            for folder in path.parents:  # S3 knows no empty folders, so that none is left here
                if folder == self.folder or not _removed(folder):
                    break

    def uri_of(self, key: str) -> str:
        return self._path(key).as_uri()

    def link(self, key: str, seconds: int) -> str:
        return self.uri_of(key)

    def unfinished(self) -> Iterator[Unfinished]:
        for path in self._files(""):
            if path.name.startswith(PARTIAL) and path.name != f"{PARTIAL}lock":
                with self._sentences("", missing_is_empty=True):  # missing where the write has ended meanwhile
                    status, name = path.stat(), path.relative_to(self.folder).as_posix()
                    yield Unfinished(name, status.st_size, status.st_mtime, partial(self._unlink, path, name))

    def check(self) -> None:
        with self._sentences(""):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:  # in /proc, say
                raise StoreError(f"store {str(self.folder)!r}: no folder can be made there; name another with --store.") from None
            probe = self.folder / f"{PARTIAL}{secrets.token_hex(8)}"
            try:
                with probe.open("xb") as handle:
                    _write_through(handle, b"can this be written?")
            finally:
                probe.unlink(missing_ok=True)
            if shutil.disk_usage(self.folder).free < ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _unlink(self, path: Path, name: str) -> None:
        with self._sentences(name):
            path.unlink(missing_ok=True)

    def _files(self, prefix: str) -> list[Path]:
        """Lists every file below the prefix's last folder."""
        paths: list[Path] = []
        with self._sentences(prefix):
            for root, _, names in os.walk(self.folder / prefix.rpartition("/")[0], onerror=_unless_missing):
                paths += [Path(root, name) for name in names]
        return paths

    def _path(self, key: str) -> Path:
        return self.folder / checked_key(key)

    @contextmanager
    def _replacing(self, key: str) -> Iterator[BinaryIO]:
        """Opens a temporary file that atomically replaces the key's file once it is complete and on the disk."""
        path = self._path(key)
        unfinished = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
        try:
            with _created(unfinished) as handle:
                yield handle
                _write_through(handle)
            os.replace(unfinished, path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        _keep_names(path.parent)

    @contextmanager
    def _sentences(self, key: str, missing_is_empty: bool = False) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            if not missing_is_empty:
                raise StoreError(f"store {str(self.folder)!r} holds no {key!r}; {RUN_FIRST}.") from None
        except OSError as error:
            raise self._explained(error, key) from None

    def _explained(self, error: OSError, key: str) -> DreamsweepError:
        """Returns a transient failure as StoreUnavailableError, any other as StoreError."""
        if error.errno in _TRANSIENT:
            place = str(self.folder / key)
            return StoreUnavailableError(
                f"store {str(self.folder)!r} does not answer at {place!r} ({error.strerror or error}); look at that disk, or the network "
                "behind it."
            )
        return StoreError(self._explain(error, key))

    def _explain(self, error: OSError, key: str) -> str:
        path = self.folder / key
        prefix = f"store {str(self.folder)!r} cannot be used"
        nearest = next((p for p in (path, *path.parents) if os.path.lexists(p)), path)
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                return f"{prefix}: its disk is full; free some space and run the same command again to go on."
            case code if code in _PLACES and nearest.is_dir():
                return f"{prefix}: {str(nearest)!r} is a folder where a file should be; move it away, or name another store with --store."
            case code if code in _PLACES:
                return f"{prefix}: {str(nearest)!r} is a file where a folder should be; move it away, or name another store with --store."
            case errno.EACCES | errno.EPERM:
                return f"{prefix}: permission denied at {str(nearest)!r}; change its rights, or name another store with --store."
            case errno.EROFS:
                return f"{prefix}: {str(nearest)!r} lies on a disk that can only be read; name another store with --store."
            case _:
                return f"{prefix} at {str(path)!r}: {error.strerror or error}; look at that disk, or name another store with --store."


def _created(path: Path) -> BinaryIO:
    """Creates a file and the folders above it; retries if another process removes the empty folders at the same moment."""
    for _ in range(100):
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
    return path.open("xb")


def _write_through(handle: BinaryIO, data: bytes = b"") -> None:
    handle.write(data)
    handle.flush()
    os.fsync(handle.fileno())


def _keep_names(folder: Path) -> None:
    """Flushes a folder's entries to the disk (fsync); skipped on file systems that do not support it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _removed(folder: Path) -> bool:
    """Removes the folder if it is empty; returns whether it did."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
