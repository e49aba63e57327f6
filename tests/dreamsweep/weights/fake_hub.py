"""A fake hub on this machine: files over HTTP with ranges, which can cut connections, answer with errors, be slow, and change files."""

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
    """State of the fake hub: what it serves, and how; `log` has every request as `GET /path bytes=…`."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by path, with the leading slash."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every answer."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Number of bytes after which the connection is cut, for the first requests in turn."""
    refusals: dict[str, list[int]] = field(default_factory=dict)
    """Statuses to answer with, for the first requests in turn."""
    etags: bool = True
    ranges: bool = True
    pause: float = 0.0
    """Seconds before each answer."""
    log: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """Authorization headers of all requests that had one."""
    address: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves the hub on a free port; its address is in `hub.address`."""

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
            hub.tokens += self.headers.get_all("Authorization", [])
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
            headers = {"Content-Length": str(len(body) - first)} | ({"ETag": etag} if hub.etags else {})
            headers |= {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if first else {}
            self._head(206 if first else 200, headers)
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
