"""Stores of sweeps: a local folder or an S3 bucket, behind one small interface.

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
    """Entry of a listing: one object's key, size and time."""

    key: str
    size: int
    """Size in bytes."""
    modified: float
    """Time of the last write, in seconds since 1970."""


@dataclass(frozen=True)
class Unfinished:
    """Remains of a write that was interrupted or is still running; no reader sees them."""

    name: str
    size: int
    """Size in bytes; 0 where the store does not report it."""
    begun: float
    """Time when the write began, in seconds since 1970."""
    remove: Callable[[], None]


@runtime_checkable
class Store(Protocol):
    """Objects by key (`demo/manifest.json`). Every method raises StoreError for what the user can fix, such as a missing object, and
    StoreUnavailableError while the store does not answer, or fails by itself."""

    uri: str
    """The store as a URI: `file:///folder` or `s3://bucket/prefix`."""

    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        """Writes an object in one atomic step: a reader sees the old one or the new one."""
        ...

    def write_file(self, key: str, path: Path, content_type: str = BYTES) -> None:
        """Writes an object from a file, in parts if it is large; memory use does not grow with its size."""
        ...

    def version(self, key: str) -> str | None:
        """Returns an identifier of the object's current content (an ETag or hash); None if the object does not exist."""
        ...

    def replace(self, key: str, data: bytes, version: str | None, content_type: str = BYTES) -> bool:
        """Writes the object only if its current version equals `version` (None: it does not exist yet); returns whether it did.

        Of several who replace the same version one succeeds. S3 servers without conditional writes are written to in turn
        (`dreamsweep.store.s3_lock`); raises StoreError where that cannot work either (`dreamsweep doctor` says what a server has).
        """
        ...

    def read(self, key: str) -> bytes:
        """Returns the object's content. Raises StoreError if it does not exist."""
        ...

    def get(self, key: str) -> bytes | None:
        """Returns the object's content; None if it does not exist."""
        ...

    def read_file(self, key: str, path: Path) -> None:
        """Downloads the object into a file; memory use does not grow with its size."""
        ...

    def exists(self, key: str) -> bool:
        """Returns whether the object exists."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Lists every key that starts with the prefix, sorted."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Lists the objects whose keys start with the prefix, with sizes and times, sorted by key."""
        ...

    def folders(self) -> Iterator[str]:
        """Lists the top-level folders, sorted: the names of the sweeps."""
        ...

    def delete(self, key: str) -> None:
        """Deletes the object; a missing object is no error."""
        ...

    def uri_of(self, key: str) -> str:
        """Returns the object's URI, as DuckDB and people read it."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """Returns a link that a browser opens without credentials for that many seconds (presigned); in a folder, the file's URI."""
        ...

    def unfinished(self) -> Iterator[Unfinished]:
        """Lists the remains of interrupted writes; writes that are still running are among them."""
        ...

    def check(self) -> None:
        """Checks that the store can be written, with a small object that is removed again.

        Raises StoreError where nobody has ever answered at the store's address: most likely it is wrong.
        """
        ...


def open_store(uri: str, patience: float | None = None) -> Store:
    """Opens the store at a path, `file:///folder` or `s3://bucket/prefix`; nothing is read yet. Raises StoreError if it is invalid.

    `patience`: seconds that each request to a server waits for an outage to end, by default DREAMSWEEP_STORE_SECONDS.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", uri)
    match scheme and scheme[1].lower():
        case None if uri.strip():
            return _local(Path(uri))
        case None:
            raise StoreError("store '' names nothing; use a folder, file:///folder or s3://bucket/prefix.")
        case "file":
            parts = urlsplit(uri)
            if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
                raise StoreError(f"store {without_login(uri)!r} is no local folder; write file:///folder, or just the folder.")
            return _local(Path(unquote(parts.path)))
        case "s3":
            return _s3(uri, patience)
        case other:
            raise StoreError(
                f"store {without_login(uri)!r}: no store speaks {other!r}; use a folder, file:///folder or s3://bucket/prefix."
            )


def read_uri(uri: str) -> bytes:
    """Reads an object by the URI that its store's `uri_of` returned. Raises StoreError as `read` does."""
    folder, _, name = uri.rpartition("/")
    return open_store(folder).read(unquote(name))


def without_login(uri: str) -> str:
    """Returns the URI without a user name and password, safe for error messages."""
    return re.sub(r"//[^/@\s]*@", "//", uri)


def without_path(url: str) -> str:
    """Returns a server's URL without a login, and with `…` for its path, safe for error messages."""
    scheme, _, rest = without_login(url).partition("://")
    server, slash, path = rest.partition("/")
    return f"{scheme}://{server}" + ("/…" if slash and path else "")


def is_key(key: str) -> bool:
    """Returns whether a text is a valid key: no part is empty, '.' or '..'."""
    return not any(part in ("", ".", "..") for part in key.split("/")) and "\0" not in key


def checked_key(key: str) -> str:
    """Returns the key. Raises ValueError if it is invalid, such as one that would lead out of the store."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no key: its parts are neither empty nor '.' nor '..'")
    return key


def _local(folder: Path) -> Store:
    from dreamsweep.store.local import LocalStore

    return LocalStore(folder)


def _s3(uri: str, patience: float | None) -> Store:
    """Opens an S3 store. Raises StoreError if the URI names no valid bucket and prefix."""
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

    return S3Store(bucket, prefix, patience)
