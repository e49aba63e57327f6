"""The embedded server: one starts after the other, in a home that can be written, and no proxy stands before it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from dreamsweep.errors import ApiError, UserError
from dreamsweep.flows import local_server
from dreamsweep.flows.local_server import check_api, prefect_api, prefect_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of Prefect's, and a server that is never started."""

    @contextmanager
    def server(port: int, log: Path) -> Iterator[None]:
        yield

    monkeypatch.setattr(local_server, "configured_api", lambda: None)
    monkeypatch.setattr(local_server, "_server", server)
    monkeypatch.setattr(local_server, "wait_for_api", lambda url, server, log: None)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def is_free(home: Path) -> bool:
    try:
        with FileLock(home / "dreamsweep-server.lock", timeout=0):
            return True
    except Timeout:
        return False


def test_the_next_server_starts_when_the_first_one_answers(home: Path, tmp_path: Path) -> None:
    with prefect_api(tmp_path / "log") as wait:
        assert not is_free(home)
        wait()
        assert is_free(home)
    assert is_free(home)


def test_the_next_server_starts_when_the_first_one_fails(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, server: object, log: Path) -> None:
        raise ApiError("it ended.")

    monkeypatch.setattr(local_server, "wait_for_api", fail)
    with pytest.raises(ApiError), prefect_api(tmp_path / "log") as wait:
        wait()
    assert is_free(home)


def test_a_home_that_cannot_be_written_is_named(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("")
    sentence = rf"^PREFECT_HOME: '{home}' cannot be written \(Not a directory\); set PREFECT_HOME to a folder that can be written\.$"
    with pytest.raises(UserError, match=sentence), prefect_api(tmp_path / "log"):
        pytest.fail("there is no home")
    monkeypatch.delenv("PREFECT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prefect_home() == ("HOME", tmp_path / ".prefect")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_no_proxy_is_asked_for_an_api_on_this_machine(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            check_api(f"http://127.0.0.1:{server.server_port}/api")
        finally:
            server.shutdown()
            thread.join()
