"""Debian's Firefox for tests of pages, by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/).

Playwright drives a Firefox that it patches and downloads; one that is there needs commands that this release does not have yet.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

SECONDS = 300
"""For any one step of the pages, on a busy machine."""
KEYS = {"Enter": "\ue006", "Escape": "\ue00c", "ArrowRight": "\ue014", "Tab": "\ue004"}


def executable() -> str | None:
    """The browser on this machine; None where there is none."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A page of a browser. Errors that scripts raise or log are kept in `wrong`."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sent = connection, 0
        self.wrong: list[str] = []
        self._call("session.new", capabilities={})
        self._page = self._call("browsingContext.create", type="tab")["context"]  # in the first one the address bar has the focus
        self._call("session.subscribe", events=["log.entryAdded"])
        self._call("browsingContext.setViewport", context=self._page, viewport={"width": 1180, "height": 900})

    def open(self, address: str) -> None:
        """Loads an address."""
        self._call("browsingContext.navigate", context=self._page, url=address, wait="complete")

    def ask(self, script: str) -> Any:
        """The value of an expression, which may be a promise of one."""
        target = {"context": self._page}
        expression = f"Promise.resolve({script}).then((value) => JSON.stringify(value ?? null))"
        answer = self._call("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def until(self, script: str, expected: Any = True) -> None:
        """Waits until an expression has a value."""
        end = time.monotonic() + SECONDS
        while (value := self.ask(script)) != expected:
            assert time.monotonic() < end, f"{script} is {value!r}, not {expected!r}"
            time.sleep(0.1)

    def press(self, *keys: str) -> None:
        """Presses keys one after the other; a text of several letters is typed."""
        letters = [letter for key in keys for letter in (KEYS.get(key) or key)]
        actions = [{"type": kind, "value": letter} for letter in letters for kind in ("keyDown", "keyUp")]
        self._call("input.performActions", context=self._page, actions=[{"type": "key", "id": "keys", "actions": actions}])

    def screenshot(self, path: Path) -> None:
        """Writes what is in sight as PNG."""
        path.write_bytes(base64.b64decode(self._call("browsingContext.captureScreenshot", context=self._page)["data"]))

    def _call(self, method: str, **parameters: Any) -> Any:
        self._sent += 1
        self._connection.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=SECONDS))).get("id") != self._sent:
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.wrong.append(answer["params"]["text"])
        assert answer["type"] == "success", f"{method}: {answer.get('message')}"
        return answer["result"]


@contextmanager
def firefox(command: str) -> Iterator[Firefox]:
    """A browser of its own, with an empty profile."""
    with tempfile.TemporaryDirectory(prefix="dreamsweep-firefox-", ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", profile]
        process = subprocess.Popen([command, *options], stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr
            said = next(line for line in process.stderr if "WebDriver BiDi listening on " in line)
            with connect(f"{said.split()[-1]}/session", max_size=None) as connection:
                yield Firefox(connection)
        finally:
            process.terminate()
            process.communicate()
