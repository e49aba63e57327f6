"""A proxy in front of an S3 server that lets requests fail as networks and servers do, for the tests of outages."""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["busy", "reset", "away", "truncated", "flipped", "delayed", "lost"]
"""503 SlowDown; the connection reset before or (`lost`) after the server has answered; no server; half of an answer; one bit of it
flipped; an answer a little late."""
DELAY = 0.2
"""Seconds of a delayed answer."""
CONDITIONS = frozenset({"if-match", "if-none-match"})
"""Headers that a server without conditional writes ignores."""
OF_THE_CONNECTION = {"connection", "transfer-encoding", "date", "server", "keep-alive"}


class FaultProxy:
    """A proxy whose `choose` says of each request (method, path) which fault it meets; None for none."""

    def __init__(self, server: str) -> None:
        self.server = urlsplit(server).netloc
        self.choose: Callable[[str, str], Fault | None] = lambda method, path: None
        self.ignored: frozenset[str] = frozenset()
        """Names of headers, in small letters, that do not reach the server, as if it ignored them."""
        self.met = Counter[str]()
        """Faults that requests have met."""
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def fail(self, faults: list[Fault], method: str = "") -> None:
        """Lets the next requests (of a method) meet these faults, one each."""
        left = list(faults)

        def next_fault(name: str, path: str) -> Fault | None:
            return left.pop(0) if left and method in ("", name) else None

        self.choose = next_fault

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.requests.append((method, path))
            fault = self.choose(method, path)
            if fault:
                self.met[fault] += 1
            return fault


@contextmanager
def fault_proxy(server: str) -> Iterator[tuple[str, FaultProxy]]:
    """Yields the address of a proxy in front of a server, and what decides its faults."""
    proxy = FaultProxy(server)

    class Handler(_Handler):
        faults = proxy

    listening = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", proxy
    finally:
        listening.shutdown()
        listening.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: FaultProxy

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        fault = self.faults.fault_of(self.command, self.path)
        if fault == "busy":
            return self._answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
        if fault in ("reset", "away"):
            return self._reset()
        upstream = http.client.HTTPConnection(self.faults.server, timeout=30)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in {"expect", "connection", *self.faults.ignored}
        }
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in OF_THE_CONNECTION}
        if fault == "lost":
            return self._reset()
        if fault == "delayed":
            time.sleep(DELAY)
        if fault == "flipped" and content and self.command == "GET" and answer.status == 200:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if fault == "truncated" and len(content) > 1 and self.command == "GET":
            return self._answer(answer.status, kept, content[: len(content) // 2], claimed=len(content))
        return self._answer(answer.status, kept, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on  # noqa: N815 - http.server's names

    def _answer(self, status: int, headers: dict[str, str], content: bytes, claimed: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content) if claimed is None else claimed))
        if claimed is not None:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.close_connection = self.close_connection or claimed is not None

    def _reset(self) -> None:
        """Ends the connection with a reset in place of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            return
