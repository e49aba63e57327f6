"""Where sweeps are kept: a local folder or an S3 bucket, behind one small interface."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlparse

from dreamsweep.errors import StoreError


class Store(Protocol):
    """Objects by key (`demo/manifest.json`), each whole or not there. Every method raises StoreError in one sentence."""

    uri: str

    def write(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Puts an object in one step: a reader sees the old one or the new one."""
        ...

    def write_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """The same from a file, in parts where it is large."""
        ...

    def read(self, key: str) -> bytes:
        """The object; a missing one raises StoreError."""
        ...

    def read_file(self, key: str, path: Path) -> None:
        """The object into a file."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts so, sorted."""
        ...

    def folders(self) -> Iterator[str]:
        """The first part of every key with more parts than one, each once, sorted: the names of the sweeps."""
        ...

    def delete(self, key: str) -> None:
        """Removes the object; one that is not there is no error."""
        ...

    def uri_of(self, key: str) -> str:
        """The object's address, as DuckDB and people read it."""
        ...

    def check(self) -> None:
        """Writes, reads and removes a small object, so that a mistake shows before a night's work."""
        ...


def open_store(uri: str) -> Store:
    """The store at a path, `file://…` or `s3://bucket/prefix`. Raises StoreError for anything else."""
    parsed = urlparse(uri)
    match parsed.scheme:
        case "":
            from dreamsweep.store.local import LocalStore

            return LocalStore(Path(uri))
        case "file":
            from dreamsweep.store.local import LocalStore

            return LocalStore(Path(unquote(parsed.path)))
        case "s3" if parsed.netloc:
            from dreamsweep.store.s3 import S3Store

            return S3Store(parsed.netloc, parsed.path.strip("/"))
        case "s3":
            raise StoreError(f"store {uri!r} names no bucket; write s3://bucket/prefix.")
        case other:
            raise StoreError(f"store {uri!r}: no store speaks {other!r}; use a folder, file:///folder or s3://bucket/prefix.")
