"""Sizes and SHA-256 of objects as they were written, by which a later check tells whether they are still the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dreamsweep.errors import DamagedError
from dreamsweep.spec import Spec
from dreamsweep.store import Store, keys

JSON = "application/json"


class Content(Spec):
    """Content of an object: its size in bytes and its SHA-256, 64 hexadecimal digits."""

    size: int
    sha256: str


Contents = dict[str, Content]
"""Content of each object, by its key."""
_CONTENTS = TypeAdapter(Contents)


def content_of(data: bytes) -> Content:
    """Returns the content of an object of these bytes."""
    return Content(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def content_of_file(path: Path) -> Content:
    """Returns the content of a file; memory does not grow with its size."""
    with path.open("rb") as file:
        return Content(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def check_content(store: Store, key: str, actual: Content, expected: Content | None) -> None:
    """Raises DamagedError where an object is another than was written."""
    if expected is None or actual == expected:
        return
    reason = f"{actual.size:,} bytes instead of {expected.size:,}" if actual.size != expected.size else "another SHA-256"
    sweep = key.partition("/")[0]
    raise DamagedError(
        f"store {store.uri!r}: {key!r} is not what was written ({reason}); repair it with: dreamsweep verify {sweep} --repair."
    )


def write_part_record(store: Store, sweep: str, generation: str, contents: Mapping[str, Content]) -> None:
    """Records the contents of a gathered part's files beside them."""
    store.write(keys.part_record(sweep, generation), _CONTENTS.dump_json(dict(contents), indent=1), JSON)


def read_part_record(store: Store, sweep: str, generation: str) -> Contents:
    """Reads the contents of a gathered part's files; empty where an earlier version wrote none, or the record is damaged."""
    data = store.get(keys.part_record(sweep, generation))
    try:
        return {} if data is None else _CONTENTS.validate_json(data)
    except ValidationError:
        return {}
