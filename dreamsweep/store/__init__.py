"""Where sweeps are kept: a local folder or an S3 bucket, behind one small interface.

An object is whole or not there, and keys are the same in every store; only `uri_of` tells stores apart. Keys are made of sweep
names, ids and fixed words, never of prompts.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from dreamsweep.errors import StoreError

BYTES = "application/octet-stream"
RUN_FIRST = "run the sweep first, or name another store with --store"


@dataclass(frozen=True)
class Entry:
    """An object as a listing tells it."""

    key: str
    size: int
    """Bytes."""
    modified: float
    """When it was written, in seconds since 1970."""


@dataclass(frozen=True)
class Unfinished:
    """What a write that never ended left behind; no reader sees it."""

    name: str
    size: int
    """Bytes, as far as the store tells."""
    begun: float
    """Seconds since 1970."""
    remove: Callable[[], None]


@runtime_checkable
class Store(Protocol):
    """Objects by key (`demo/manifest.json`). Every method raises StoreError, one sentence, when the store cannot do it."""

    uri: str
    """The store as a URI: `file:///folder` or `s3://bucket/prefix`."""

    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        """Puts an object in one step: a reader sees the old one or the new one."""
        ...

    def write_file(self, key: str, path: Path, content_type: str = BYTES) -> None:
        """The same from a file, in parts where it is large; memory does not grow with it."""
        ...

    def version(self, key: str) -> str | None:
        """What tells the object as it is now from what it was and will be; None where there is none."""
        ...

    def replace(self, key: str, data: bytes, version: str | None, content_type: str = BYTES) -> bool:
        """Puts the object in one step, only where it still is in this version (None: not there yet), and says whether it did.

        Of several who replace the same version one succeeds, in a folder and on servers with conditional writes (AWS since 2024, most
        others); where a server has none, the last one does.
        """
        ...

    def read(self, key: str) -> bytes:
        """The object; a missing one raises StoreError."""
        ...

    def read_file(self, key: str, path: Path) -> None:
        """The object into a file; memory does not grow with it."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts so, sorted."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The same, with sizes and times."""
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

    def link(self, key: str, seconds: int) -> str:
        """An address that a browser opens for so long without credentials; in a folder, the file's."""
        ...

    def unfinished(self) -> Iterator[Unfinished]:
        """What writes left behind that were cut off, or are going on."""
        ...

    def check(self) -> None:
        """Writes and removes a small object, so that a mistake shows before a night's work."""
        ...


def open_store(uri: str) -> Store:
    """The store at a path, `file:///folder` or `s3://bucket/prefix`; nothing is read or made yet. Raises StoreError for anything else."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", uri)
    match scheme and scheme[1].lower():
        case None if uri.strip():
            return _local(Path(uri))
        case None:
            raise StoreError("store '' names nothing; use a folder, file:///folder or s3://bucket/prefix.")
        case "file":
            found = urlsplit(uri)
            if found.netloc not in ("", "localhost") or found.query or found.fragment:
                raise StoreError(f"store {without_login(uri)!r} is no local folder; write file:///folder, or just the folder.")
            return _local(Path(unquote(found.path)))
        case "s3":
            return _s3(uri)
        case other:
            raise StoreError(
                f"store {without_login(uri)!r}: no store speaks {other!r}; use a folder, file:///folder or s3://bucket/prefix."
            )


def read_uri(uri: str) -> bytes:
    """An object by the address that its store's `uri_of` gave. Raises StoreError as `read` does."""
    folder, _, name = uri.rpartition("/")
    return open_store(folder).read(unquote(name))


def without_login(uri: str) -> str:
    """The same address, with a name and password in it left out, as an error may tell it."""
    return re.sub(r"//[^/@\s]*@", "//", uri)


def is_key(key: str) -> bool:
    """Whether it can be one: no part is empty, or leads elsewhere."""
    return not any(part in ("", ".", "..") for part in key.split("/")) and "\0" not in key


def checked_key(key: str) -> str:
    """The key itself; ValueError for one that would lead out of the store or mean another in some stores."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no key: its parts are neither empty nor '.' nor '..'")
    return key


def _local(folder: Path) -> Store:
    from dreamsweep.store.local import LocalStore

    return LocalStore(folder)


def _s3(uri: str) -> Store:
    """Raises StoreError where the URI names no bucket, or more than one thing."""
    bucket, _, prefix = re.sub("^[^:]*:/+", "", uri).partition("/")
    if "@" in bucket:
        raise StoreError(f"store {without_login(uri)!r} holds a login; leave it out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    if not bucket or not uri[3:].startswith("//") or uri[5:6] == "/":
        raise StoreError(f"store {uri!r} names no bucket; write s3://bucket/prefix.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise StoreError(
            f"store {uri!r}: {bucket!r} cannot be a bucket's name; buckets have 3 to 63 lower-case letters, digits, dots and hyphens."
        )
    prefix = prefix.strip("/")
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise StoreError(f"store {uri!r}: its prefix has an empty part, '.' or '..'; write s3://bucket/prefix.")
    from dreamsweep.store.s3 import S3Store  # boto3 is slow to import

    return S3Store(bucket, prefix)
