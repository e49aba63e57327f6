"""Attacks on the review page's server: names, pictures, ranges, logins, hosts, and connections that say nothing."""

import asyncio
import io
import socket
import struct
import zlib
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from dreamsweep.review import patience, protection
from dreamsweep.review.app import make_app
from dreamsweep.review.protection import is_allowed
from dreamsweep.store import Store, open_store
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart"], engines=["dalle"])
    return store


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(make_app(store))


@pytest.fixture
def picture(client: TestClient) -> str:
    (tile,) = client.get("/api/sweeps/made-up").json()["tiles"]
    return f"/pictures/made-up/{tile['id']}/best.png"


@pytest.mark.parametrize(
    "path",
    [
        "/api/sweeps/%00",
        "/api/sweeps/a%00b/marks",
        "/api/sweeps/made-up%00/state",
        "/api/sweeps/made-up/trials/%00",
        "/pictures/made%00up/0000000000000000/best.png",
        "/pictures/made-up/0000000000000000/best%00.png",
        "/page/review.js%00",
        "/page/%0a",
        "/sweeps/%00",
        "/api/sweeps/made-up/duels?by=%00",
        "/api/sweeps/made-up/export/csv?q=%00",
        "/api/sweeps/made-up%00/export/csv",
        "/api/sweeps/..%2f..%2fetc/status",
    ],
)
def test_names_that_no_file_has_are_no_failure(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (400, 404, 422)


def test_marks_with_a_nul_are_no_failure(client: TestClient, picture: str) -> None:
    mark = {"id": "20260101T000000000000-00000000", "trial": picture.split("/")[3], "kind": "note", "value": 1, "text": "\0", "by": "\0"}
    headers = {"X-Dreamsweep-Mark": "1"}
    assert client.post("/api/sweeps/made-up/marks", json=mark, headers=headers).status_code < 500
    assert client.get("/api/sweeps/made-up/marks").status_code == 200


def png(width: int, height: int) -> bytes:
    """A picture of one colour that says it is this large, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1_000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [png(20_000, 20_000), png(9_000, 9_000), png(2**31 - 1, 1), png(0, 0), png(64, 64), b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"],
)
def test_picture_bombs_and_damaged_pictures_are_no_failure(client: TestClient, store: Store, picture: str, data: bytes) -> None:
    store.write(picture.removeprefix("/pictures/").replace("made-up/", "made-up/pictures/"), data)
    answer = client.get(f"{picture}?side=64")
    assert answer.status_code == 404 and "picture" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/", "/health", "/api/sweeps", "/api/sweeps/made-up", "/page/review.js", "/ask", "PICTURE", "PICTURE?side=64"]
)
def test_head_is_get_without_a_body(client: TestClient, picture: str, path: str) -> None:
    address = path.replace("PICTURE", picture)
    head, get = client.head(address), client.get(address)
    assert (head.status_code, head.content) == (200, b"") and head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-20", 206, slice(-20, None)),
        ("bytes=-9999999", 206, slice(0, None)),
        ("bytes=5-9999999", 206, slice(5, None)),
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=9999999-", 416, slice(0, 0)),
        ("bytes=9-2", 200, slice(0, None)),
        (f"bytes={'9' * 5_000}-", 200, slice(0, None)),
        ("bytes=-0", 416, slice(0, 0)),
        ("bytes=0-1,5-6", 200, slice(0, None)),
        ("bytes=-", 200, slice(0, None)),
        ("lines=1-2", 200, slice(0, None)),
    ],
)
def test_ranges(client: TestClient, picture: str, wanted: str, status: int, part: slice) -> None:
    whole = client.get(picture)
    answer = client.get(picture, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, whole.content[part]) and whole.headers["accept-ranges"] == "bytes"
    if status == 206:
        start = range(len(whole.content))[part][0]
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(whole.content)}"
        assert "content-encoding" not in answer.headers
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(whole.content)}"


def test_every_answer_has_a_strict_policy(client: TestClient, picture: str) -> None:
    for path in ("/", "/ask", "/api/sweeps", "/page/review.js", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';") and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get(picture).headers["content-security-policy"].startswith("default-src 'none'; img-src 'self';")


def test_guesses_wait_longer_and_longer_one_after_the_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("dreamsweep.review.protection.asyncio.sleep", sleep)
    client = TestClient(make_app(store, "someone:secret"))
    for _ in range(8):
        assert client.get("/api/sweeps", auth=("someone", "guess")).status_code == 401
    assert waited == [0.25, 0.5, 1, 2, 4, 8, 8]
    assert client.get("/api/sweeps").status_code == 401, "a browser asks without a login first"
    assert client.get("/api/sweeps", auth=("someone", "secret")).status_code == 200
    waited.clear()
    assert client.get("/api/sweeps", auth=("someone", "secret")).status_code == 200 and waited == []


def test_counted_clients_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "ADDRESSES", 10)
    login = protection.Login("someone:secret")
    for number in range(50):
        login._check("Basic eDp5", f"10.0.0.{number}")
    assert len(login._clients) == 10


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:4300", True),
        ("[::1]:4300", True),
        ("10.1.2.3", True),
        ("pictures.example", True),
        ("PICTURES.example:80", True),
        ("rebound.example", False),
        ("pictures.example.evil.example", False),
        ("", False),
        ("[", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_hosts(host: str, allowed: bool) -> None:
    assert is_allowed(host, ["localhost", "pictures.example"]) is allowed
    assert is_allowed(host, ["*"])


def test_silent_connections_are_closed_and_others_are_answered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    with free_socket() as listening:
        address = listening.getsockname()
        server = uvicorn.Server(uvicorn.Config(make_app(store), http=patience.PatientProtocol, log_level="error"))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            silent = [socket.create_connection(address) for _ in range(50)]
            for number, connection in enumerate(silent):
                connection.settimeout(60)
                connection.sendall(b"" if number % 2 else b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
            with socket.create_connection(address) as quick:
                quick.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert quick.recv(1_000).startswith(b"HTTP/1.1 200 OK")
            for connection in silent:
                assert connection.recv(1_000) == b"", "it is closed without an answer"
                connection.close()
        finally:
            server.should_exit = True
            thread.join()


def test_answers_do_not_wait_to_be_sent(store: Store) -> None:
    """Nagle's algorithm would hold each of them back for 40 ms."""
    seen = list[int]()

    class Noted(patience.PatientProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    with free_socket() as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(store), http=Noted, log_level="error"))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with socket.create_connection(listening.getsockname()) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert connection.recv(1_000).startswith(b"HTTP/1.1 200 OK")
        finally:
            server.should_exit = True
            thread.join()
    assert seen == [1]


def test_a_slow_answer_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for heads: what takes long to answer, such as a large export, goes on."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.1)

    async def slow(scope: dict[str, object], receive: object, send: object) -> None:
        assert scope["type"] == "http" and callable(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4):
            await asyncio.sleep(0.1)
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with free_socket() as listening:
        config = uvicorn.Config(slow, http=patience.PatientProtocol, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with socket.create_connection(listening.getsockname()) as connection:
                connection.settimeout(60)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                received = io.BytesIO()
                while data := connection.recv(1_000):
                    received.write(data)
            assert received.getvalue().count(b"part") == 4
        finally:
            server.should_exit = True
            thread.join()


def test_a_real_picture_is_still_made_small(client: TestClient, picture: str) -> None:
    assert Image.open(io.BytesIO(client.get(f"{picture}?side=32").content)).size == (32, 32)
