"""A hub on this machine: files over HTTP with ranges, that can be told to cut, to refuse, to be slow and to change its mind."""

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """What it serves, and how; `log` has every request as `GET /path bytes=…`."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By path, with the leading slash."""
    headers: dict[str, str] = field(default_factory=dict)
    """On every answer."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Bytes after which the connection is cut, for each request in turn, then no more."""
    refusals: dict[str, list[int]] = field(default_factory=dict)
    """Statuses to answer with, for each request in turn, then no more."""
    etags: bool = True
    ranges: bool = True
    pause: float = 0.0
    """Seconds before each answer."""
    log: list[str] = field(default_factory=list)
    address: str = ""

    def asked(self, path: str) -> list[str]:
        """The requests for one path."""
        return [line for line in self.log if line.split()[1] == path]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves on a port of its own; its address is in `hub.address`."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            hub.log.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
            time.sleep(hub.pause)
            refusal = hub.refusals.get(path, []).pop(0) if hub.refusals.get(path) else 0 if path in hub.files else 404
            if refusal:
                self._head(refusal, {"Content-Length": "0"})
                return
            body, first = hub.files[path], 0
            etag = f'"{hashlib.md5(body).hexdigest()}"'
            ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if ranged and hub.ranges and self.headers.get("If-Range", etag) == etag:
                first = int(ranged[1])
            if first >= len(body) > 0:
                self._head(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
                return
            told = {"Content-Length": str(len(body) - first)} | ({"ETag": etag} if hub.etags else {})
            told |= {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if first else {}
            self._head(206 if first else 200, told)
            if with_body:
                cut = hub.cuts[path].pop(0) if hub.cuts.get(path) else len(body)
                self.wfile.write(body[first : first + cut])

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**hub.headers, **headers}.items():
                self.send_header(key, value)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
