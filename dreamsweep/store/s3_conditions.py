"""What an S3 server does with If-Match and If-None-Match, tried with a small object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import ClientError

from dreamsweep.store.s3_failures import CHANGED, UNCONDITIONAL, error_code

NOBODY_S = '"00000000000000000000000000000000"'
"""ETag that no object has."""
ConditionalWrites = Literal["kept", "ignored", "refused"]
"""What a server does with conditions: keeps them, writes all the same, or answers that it has none."""


@dataclass(frozen=True)
class Conditions:
    """What a server does, and how it wants an object's version to be written."""

    writes: ConditionalWrites
    quoted: bool = True
    """Whether an ETag keeps its quotes in If-Match, as RFC 9110 has it. Ceph's radosgw 16 then refuses the object's own ETag."""

    def on(self, version: str | None) -> dict[str, str]:
        """Returns the condition that an object has this version, or for None that it does not exist."""
        if version is None:
            return {"IfNoneMatch": "*"}
        return {"IfMatch": version if self.quoted else version.strip('"')}


def try_conditions(write: Callable[..., str]) -> Conditions:
    """Finds out what a server does. `write` writes an object that exists, on a condition, and returns its new ETag.

    A server that refuses an object's own ETag, whichever way it is written, has no conditions that could be used. Raises ClientError
    where a write is refused for another reason than its condition.
    """
    refused = [_refusal(write, IfNoneMatch="*"), _refusal(write, IfMatch=NOBODY_S)]
    if any(code in UNCONDITIONAL for code in refused):
        return Conditions("refused")
    if not all(refused):
        return Conditions("ignored")
    etag = write()
    for conditions in (Conditions("kept"), Conditions("kept", quoted=False)):
        if not _refusal(write, **conditions.on(etag)):  # the object stays the same, and so does its ETag
            return conditions
    return Conditions("refused")


def _refusal(write: Callable[..., str], **condition: str) -> str:
    """Returns the error code of a write on a condition; empty where the server writes."""
    try:
        write(**condition)
    except ClientError as error:
        if error_code(error) not in CHANGED | UNCONDITIONAL:
            raise
        return error_code(error)
    return ""
