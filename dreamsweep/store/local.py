"""A store in a local folder: each object is a file, put in place by a rename."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamsweep.errors import StoreError

_PARTIAL = ".partial-"
_CURES = {
    "No space left on device": "free some space and run the same command again; nothing half-written is left",
    "Permission denied": "choose a folder that you may write with --store",
    "Read-only file system": "choose a folder that can be written with --store",
    "Not a directory": "a file stands where the store's folder should be; choose another with --store",
    "File exists": "a file stands where the store's folder should be; choose another with --store",
}


class LocalStore:
    """A folder (see `Store`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.uri = self.folder.as_uri()

    def write(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        with self._sentences(key), self._replacing(key) as partial, open(partial, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())

    def write_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        with self._sentences(key), self._replacing(key) as partial, open(path, "rb") as source, open(partial, "wb") as handle:
            shutil.copyfileobj(source, handle, 1 << 20)
            handle.flush()
            os.fsync(handle.fileno())

    def read(self, key: str) -> bytes:
        with self._sentences(key):
            return self._path(key).read_bytes()

    def read_file(self, key: str, path: Path) -> None:
        with self._sentences(key):
            shutil.copyfile(self._path(key), path)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        folder = self._path(prefix) if not prefix or prefix.endswith("/") else self._path(prefix).parent
        found = (
            (Path(root) / name).relative_to(self.folder).as_posix()
            for root, _, names in os.walk(folder)
            for name in names
            if not name.startswith(_PARTIAL)
        )
        return iter(sorted(key for key in found if key.startswith(prefix)))

    def folders(self) -> Iterator[str]:
        if not self.folder.is_dir():
            return iter(())
        return iter(sorted(path.name for path in self.folder.iterdir() if path.is_dir()))

    def delete(self, key: str) -> None:
        with self._sentences(key):
            self._path(key).unlink(missing_ok=True)

    def uri_of(self, key: str) -> str:
        return self._path(key).as_uri()

    def check(self) -> None:
        with self._sentences(""):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as handle:
                handle.write(b"can this be written?")
                handle.flush()

    def _path(self, key: str) -> Path:
        return self.folder / key

    @contextmanager
    def _replacing(self, key: str) -> Iterator[str]:
        """A new file in the key's folder that takes the key's place once it is whole."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=path.parent)
        os.close(handle)
        try:
            yield partial
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    @contextmanager
    def _sentences(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise StoreError(f"store {str(self.folder)!r} holds no {key!r}; run the sweep first, or name another store with --store.") from None
        except OSError as error:
            reason = error.strerror or str(error)
            cure = _CURES.get(reason, "choose another with --store")
            at = f" at {key!r}" if key else ""
            raise StoreError(f"store {str(self.folder)!r} cannot be used{at}: {reason}; {cure}.") from None
