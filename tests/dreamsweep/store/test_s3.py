"""An S3 store against a real server: how it finds it, and what it says when it may not."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from dreamsweep.errors import StoreError, StoreUnavailableError
from dreamsweep.store import open_store
from dreamsweep.store.s3 import S3Store
from tests.conftest import StrictServer, free_socket

SECRET = "a-secret-that-must-not-be-told"


def s3(uri: str) -> S3Store:
    store = open_store(uri)
    assert isinstance(store, S3Store)
    return store


def with_keys(settings: pytest.MonkeyPatch, address: str, keys: tuple[str, str]) -> None:
    settings.setenv("AWS_ENDPOINT_URL", address)
    settings.setenv("AWS_ACCESS_KEY_ID", keys[0])
    settings.setenv("AWS_SECRET_ACCESS_KEY", keys[1])


def test_more_keys_than_a_page(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.store.s3.PAGE", 3)
    store, names = s3(f"s3://{s3_bucket}/p"), [f"{number:02d}" for number in range(10)]
    for name in names:
        store.write(f"{name}/k", b"")
    assert list(store.keys("")) == [f"{name}/k" for name in names]
    assert list(store.folders()) == names


def test_large_files_go_in_parts_and_types_are_kept(s3_bucket: str, tmp_path: Path) -> None:
    store = s3(f"s3://{s3_bucket}/p")
    (tmp_path / "film").write_bytes(bytes(range(256)) * (17 << 12))
    store.write_file("demo/film.webp", tmp_path / "film", "image/webp")
    store.write("demo/final.png", b"x", "image/png")
    head = store.client.head_object(Bucket=s3_bucket, Key="p/demo/film.webp")
    assert head["ContentType"] == "image/webp"
    assert "-" in head["ETag"]  # the mark of several parts
    assert store.client.head_object(Bucket=s3_bucket, Key="p/demo/final.png")["ContentType"] == "image/png"
    store.read_file("demo/film.webp", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "film").read_bytes()


def test_uploads_that_were_cut_off_are_found_and_can_be_removed(s3_bucket: str) -> None:
    store = s3(f"s3://{s3_bucket}/p")
    store.write("demo/whole", b"")
    store.client.create_multipart_upload(Bucket=s3_bucket, Key="p/demo/film.webp")
    (left,) = store.unfinished()
    assert left.name == "demo/film.webp"
    left.remove()
    assert list(store.unfinished()) == []


def test_a_link_opens_without_credentials_for_a_while(s3_bucket: str) -> None:
    store = s3(f"s3://{s3_bucket}/p")  # the strict server of these tests cannot check links
    store.write("demo/a picture.png", b"pixels", "image/png")
    link = store.link("demo/a picture.png", 60)
    answer = httpx.get(link, trust_env=False)
    assert (answer.content, answer.headers["content-type"]) == (b"pixels", "image/png")
    assert "X-Amz-Signature=" in link and "X-Amz-Expires=60" in link
    assert SECRET not in link


def test_encryption_is_asked_of_the_server(s3_bucket: str, aws_settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_settings.setenv("DREAMSWEEP_S3_ENCRYPTION", "aws:kms:the-key")
    store = s3(f"s3://{s3_bucket}/p")
    (tmp_path / "file").write_bytes(b"x" * (9 << 20))
    store.write("a", b"")
    store.write_file("b", tmp_path / "file")
    assert store.replace("c", b"", None)
    for key in "abc":
        head = store.client.head_object(Bucket=s3_bucket, Key=f"p/{key}")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "the-key")
    aws_settings.setenv("DREAMSWEEP_S3_ENCRYPTION", "rot13")
    with pytest.raises(StoreError, match="DREAMSWEEP_S3_ENCRYPTION is 'rot13'; set it to AES256, aws:kms or aws:kms:KEY"):
        s3(f"s3://{s3_bucket}/p")


def test_a_server_without_conditional_writes_is_written_to_all_the_same(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> None:
    def refuse_conditions(request: BaseHTTPRequestHandler, answer: httpx.Response) -> tuple[int, bytes]:
        if request.headers["If-Match"] or request.headers["If-None-Match"]:
            return 501, b"<Error><Code>NotImplemented</Code></Error>"
        return answer.status_code, answer.content

    with changed_answers(os.environ["AWS_ENDPOINT_URL"], refuse_conditions) as address:
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        store = s3(f"s3://{s3_bucket}/p")
        assert store.replace("m", b"one", None)
        assert store.conditional_writes() == "refused"
        assert not store.replace("m", b"two", "an old version")
        assert store.replace("m", b"two", store.version("m"))
        assert store.read("m") == b"two"


def test_what_arrives_damaged_is_refused(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> None:
    def damage(request: BaseHTTPRequestHandler, answer: httpx.Response) -> tuple[int, bytes]:
        return answer.status_code, answer.content.replace(b"whole", b"hole!") if request.command == "GET" else answer.content

    with changed_answers(os.environ["AWS_ENDPOINT_URL"], damage) as address:
        s3(f"s3://{s3_bucket}/p").write("a", b"whole")
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(StoreError, match="'a' came with another checksum than it was stored with"):
            s3(f"s3://{s3_bucket}/p").read("a")


@contextmanager
def changed_answers(server: str, change: Callable[[BaseHTTPRequestHandler, httpx.Response], tuple[int, bytes]]) -> Iterator[str]:
    """A server that passes requests on, and changes the answers: its address."""

    class Proxy(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = httpx.request(self.command, server + self.path, content=body, headers=headers, trust_env=False)
            status, content = change(self, answer)
            self.send_response(status)
            for name, value in answer.headers.items():
                of_another_body = status >= 400 and name.startswith("x-amz-checksum")
                if not of_another_body and name not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)) if self.command != "HEAD" else answer.headers.get("content-length", "0"))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_DELETE = pass_on  # noqa: N815 - http.server's names

        def log_message(self, *arguments: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_addresses_are_path_style_where_an_endpoint_is_named(aws_settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def style() -> str:
        return s3("s3://bucket").style

    assert style() == "auto"
    (tmp_path / "config").write_text("[profile night]\nendpoint_url = http://127.0.0.1:9\nregion = eu-west-1\n")
    aws_settings.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    aws_settings.setenv("AWS_PROFILE", "night")
    assert style() == "path"
    assert s3("s3://bucket").endpoint == "http://127.0.0.1:9"
    aws_settings.setenv("DREAMSWEEP_S3_ADDRESSING", "virtual")
    assert style() == "virtual"
    aws_settings.setenv("DREAMSWEEP_S3_ADDRESSING", "sideways")
    with pytest.raises(StoreError, match="DREAMSWEEP_S3_ADDRESSING is 'sideways'; set it to path, virtual or auto"):
        style()


def test_a_missing_bucket(s3_bucket: str, tmp_path: Path) -> None:
    store = s3("s3://no-such-bucket/p")
    with pytest.raises(StoreError, match=r"there is no bucket 'no-such-bucket' at http://.*; create it"):
        store.check()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="there is no bucket 'no-such-bucket'"):
        store.write_file("k", tmp_path / "file")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://someone:a-secret-that@127.0.0.1:9", "http://no-such-host.invalid"])
def test_nobody_answers_and_that_shows_within_seconds(aws_settings: pytest.MonkeyPatch, endpoint: str) -> None:
    with_keys(aws_settings, endpoint, ("k", SECRET))
    start = time.monotonic()
    with pytest.raises(StoreError, match=r"does not answer .*; check AWS_ENDPOINT_URL and the network") as caught:
        s3("s3://bucket").check()
    assert time.monotonic() - start < 15
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("AWS_PROFILE", "nobody"), ("AWS_ENDPOINT_URL", "not an address")])
def test_settings_that_boto3_refuses(aws_settings: pytest.MonkeyPatch, name: str, value: str) -> None:
    aws_settings.setenv(name, value)
    with pytest.raises(StoreError, match="the S3 settings cannot be used"):
        s3("s3://bucket")


def test_no_credentials(aws_settings: pytest.MonkeyPatch, s3_server: str) -> None:
    aws_settings.setenv("AWS_ENDPOINT_URL", s3_server)
    with pytest.raises(StoreError, match="no S3 credentials were found; set AWS_ACCESS_KEY_ID"):
        s3("s3://bucket").check()


def test_the_right_credentials(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer) -> None:
    with_keys(aws_settings, strict_s3.address, strict_s3.writer)
    store = s3(f"s3://{strict_s3.bucket}/tests")
    store.check()
    assert list(store.keys("")) == []


def test_an_unknown_access_key(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer) -> None:
    with_keys(aws_settings, strict_s3.address, ("nobody", SECRET))
    with pytest.raises(StoreError, match="access denied, as the server does not know the access key; check AWS_ACCESS_KEY_ID") as caught:
        s3(f"s3://{strict_s3.bucket}").check()
    assert SECRET not in str(caught.value)


def test_a_wrong_secret(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer) -> None:
    with_keys(aws_settings, strict_s3.address, (strict_s3.writer[0], SECRET))
    with pytest.raises(StoreError, match="access denied, as the secret does not belong to the access key") as caught:
        s3(f"s3://{strict_s3.bucket}").check()
    assert SECRET not in str(caught.value)


def test_one_who_may_only_read(aws_settings: pytest.MonkeyPatch, strict_s3: StrictServer, tmp_path: Path) -> None:
    with_keys(aws_settings, strict_s3.address, strict_s3.reader)
    store = s3(f"s3://{strict_s3.bucket}/tests")
    assert list(store.keys("")) == []
    (tmp_path / "file").write_bytes(b"")
    for refused in (store.check, lambda: store.write_file("k", tmp_path / "file")):
        with pytest.raises(StoreError, match="access denied; give these credentials the right to"):
            refused()


def test_access_does_not_print_its_secret(aws_settings: pytest.MonkeyPatch, s3_server: str) -> None:
    with_keys(aws_settings, s3_server, ("k", SECRET))
    access = s3("s3://bucket").access()
    assert access.secret == SECRET
    assert SECRET not in repr(access)


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), (502, "502")])
def test_a_busy_or_failing_server_is_unavailable_for_every_operation(
    s3_bucket: str, aws_settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, code: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr("dreamsweep.store.s3._PATIENT", {"retries": {"mode": "standard", "total_max_attempts": 1}})
    answer = f"<Error><Code>{code}</Code></Error>".encode()
    with changed_answers(os.environ["AWS_ENDPOINT_URL"], lambda request, real: (status, answer)) as address:
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        store = s3(f"s3://{s3_bucket}/p")
        for operation in every_operation(store, tmp_path / "file"):
            with pytest.raises(StoreUnavailableError, match="store 's3://"):
                operation()


def test_an_endpoint_that_answered_before_is_away_and_one_that_never_did_is_a_mistake(
    s3_bucket: str, aws_settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr("dreamsweep.store.s3._PATIENT", {"retries": {"mode": "standard", "total_max_attempts": 1}})
    with changed_answers(os.environ["AWS_ENDPOINT_URL"], lambda request, real: (real.status_code, real.content)) as address:
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        store = s3(f"s3://{s3_bucket}/p")
        store.check()
    for operation in (*every_operation(store, tmp_path / "file"), store.check):
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            operation()
    with free_socket() as closed:
        aws_settings.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    never = s3(f"s3://{s3_bucket}/p")
    with pytest.raises(StoreUnavailableError):
        never.read("k")  # in a shard's container, which begins in an outage
    with pytest.raises(StoreError, match="does not answer"):
        never.check()


def test_only_the_first_store_of_a_process_probes_its_endpoint(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> None:
    listings: list[str] = []

    def count(request: BaseHTTPRequestHandler, real: httpx.Response) -> tuple[int, bytes]:
        listings.extend([request.path] if "list-type" in request.path else [])
        return real.status_code, real.content

    with changed_answers(os.environ["AWS_ENDPOINT_URL"], count) as address:
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        for _ in range(3):
            assert not s3(f"s3://{s3_bucket}/p").exists("k")
    assert len(listings) == 1


def every_operation(store: S3Store, file: Path) -> list[Callable[[], object]]:
    """Every operation of a store that asks its server."""
    return [
        lambda: store.write("k", b""), lambda: store.write_file("k", file), lambda: store.version("k"),
        lambda: store.replace("k", b"", None), lambda: store.read("k"), lambda: store.get("k"), lambda: store.read_file("k", file),
        lambda: store.exists("k"), lambda: list(store.keys("")), lambda: list(store.entries("")), lambda: list(store.folders()),
        lambda: store.delete("k"), lambda: list(store.unfinished()),
    ]  # fmt: skip
