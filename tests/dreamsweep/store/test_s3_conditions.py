"""What servers do with conditional writes, by servers that are made up here."""

import hashlib

import pytest
from botocore.exceptions import ClientError

from dreamsweep.store.s3_conditions import ConditionalWrites, Conditions, try_conditions


class Server:
    """A server's object that exists, and what it does with conditions on it."""

    def __init__(self, keeps: bool = True, has_any: bool = True, own: tuple[str, ...] = ("quoted", "bare")) -> None:
        self.keeps, self.has_any, self.own = keeps, has_any, own
        self.etag = hashlib.md5(b"").hexdigest()

    def write(self, **condition: str) -> str:
        """Writes the object anew, where its condition holds."""
        if condition and not self.has_any:
            raise refusal("NotImplemented", 501)
        spelt = {"quoted": f'"{self.etag}"', "bare": self.etag}
        if condition and self.keeps and condition.get("IfMatch") not in [spelt[how] for how in self.own]:
            raise refusal("PreconditionFailed", 412)
        return f'"{self.etag}"'


def refusal(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("server", "writes", "quoted"),
    [
        (Server(), "kept", True),
        (Server(own=("quoted",)), "kept", True),
        (Server(own=("bare",)), "kept", False),
        (Server(own=()), "refused", True),
        (Server(keeps=False), "ignored", True),
        (Server(has_any=False), "refused", True),
    ],
)
def test_what_a_server_does_is_found_out(server: Server, writes: ConditionalWrites, quoted: bool) -> None:
    assert try_conditions(server.write) == Conditions(writes, quoted)


def test_a_write_that_is_refused_for_another_reason_says_nothing() -> None:
    def write(**condition: str) -> str:
        raise refusal("AccessDenied", 403)

    with pytest.raises(ClientError, match="AccessDenied"):
        try_conditions(write)


def test_a_version_is_written_as_the_server_wants_it() -> None:
    assert Conditions("kept").on('"0f"') == {"IfMatch": '"0f"'}
    assert Conditions("kept", quoted=False).on('"0f"') == {"IfMatch": "0f"}
    assert Conditions("kept", quoted=False).on(None) == {"IfNoneMatch": "*"}
