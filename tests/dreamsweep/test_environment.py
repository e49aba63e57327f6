"""What the environment may say."""

import os
from pathlib import Path

import httpx
import pytest

from dreamsweep.environment import PROXIES, bypass_proxies_on_loopback, is_loopback, is_on, seconds, unwritable, writable_folder
from dreamsweep.errors import UserError


@pytest.mark.parametrize(("text", "on"), [("1", True), ("yes", True), ("0", False), ("false", False), (" No ", False), ("", False)])
def test_switches(text: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SWITCH", text)
    assert is_on("A_SWITCH") is on


def test_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds("SOME_SECONDS", 15) == 15
    monkeypatch.setenv("SOME_SECONDS", " 2.5 ")
    assert seconds("SOME_SECONDS", 15) == 2.5
    for text in ("soon", "-1", "inf", "nan"):
        monkeypatch.setenv("SOME_SECONDS", text)
        with pytest.raises(UserError, match=rf"^SOME_SECONDS: '{text}' is no span of seconds; write 0 or more, such as 15\.$"):
            seconds("SOME_SECONDS", 15)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies, for a test to name some."""
    for name in (*PROXIES, "no_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, "")  # what the code sets is undone as well
            monkeypatch.delenv(spelling)
    return monkeypatch


@pytest.mark.parametrize("name", [spelling for name in PROXIES for spelling in (name, name.upper())])
@pytest.mark.parametrize("proxy", ["http://10.0.0.1:3128", "10.0.0.1:3128", "socks5://10.0.0.1:1080", "socks5h://u:p@10.0.0.1:1080"])
def test_no_proxy_stands_before_this_machine(no_proxies: pytest.MonkeyPatch, name: str, proxy: str) -> None:
    no_proxies.setenv(name, proxy)
    bypass_proxies_on_loopback()
    with httpx.Client() as client:  # httpx's own client would fail here with a SOCKS proxy
        for address in ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api", "https://127.0.0.1"):
            assert client._transport_for_url(httpx.URL(address)) is client._transport
    assert (name in os.environ) is not proxy.startswith("socks")


def test_a_proxy_is_still_asked_for_other_machines(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("HTTPS_PROXY", "http://10.0.0.1:3128")
    no_proxies.setenv("NO_PROXY", "intern.example, 10.1.2.3")
    bypass_proxies_on_loopback()
    bypass_proxies_on_loopback()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intern.example,10.1.2.3,localhost,127.0.0.1,::1"
    with httpx.Client() as client:
        assert client._transport_for_url(httpx.URL("https://s3.example.com")) is not client._transport
        assert client._transport_for_url(httpx.URL("https://intern.example")) is client._transport


def test_another_loopback_address_that_a_server_is_named_by(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("http_proxy", "http://10.0.0.1:3128")
    no_proxies.setenv("AWS_ENDPOINT_URL", "http://127.0.0.2:9000")
    bypass_proxies_on_loopback()
    assert os.environ["no_proxy"].split(",")[-1] == "127.0.0.2"


@pytest.mark.parametrize("proxy", ["gopher://x", "http://[broken", "http://proxy:port", "socks4://10.0.0.1:1080", "http://"])
def test_what_is_no_proxy_is_left_out(no_proxies: pytest.MonkeyPatch, proxy: str) -> None:
    no_proxies.setenv("ALL_PROXY", proxy)
    bypass_proxies_on_loopback()
    assert not {"ALL_PROXY", "NO_PROXY", "no_proxy"} & set(os.environ)


@pytest.mark.parametrize("given", ["*", ""])
def test_nothing_is_set_where_nothing_needs_it(no_proxies: pytest.MonkeyPatch, given: str) -> None:
    if given:
        no_proxies.setenv("HTTP_PROXY", "http://10.0.0.1:3128")
        no_proxies.setenv("NO_PROXY", given)
    bypass_proxies_on_loopback()
    assert os.environ.get("NO_PROXY", "") == given and "no_proxy" not in os.environ


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.7", True),
        ("[::1]", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("x.y", False),
    ],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_a_folder_that_cannot_be_written_is_told_with_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writable_folder("HOME", tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    for folder, at in ((tmp_path / "file", ""), (tmp_path / "file" / "x", f" at '{tmp_path}/file'")):
        with pytest.raises(UserError) as caught:
            writable_folder("PREFECT_HOME", folder)
        reason = f"'{folder}' cannot be written (Not a directory{at})"
        assert str(caught.value) == f"PREFECT_HOME: {reason}; set PREFECT_HOME to a folder that can be written."
        assert unwritable(folder) == reason
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert unwritable(tmp_path / "new") == f"'{tmp_path}/new' cannot be written (Permission denied at '{tmp_path}')"
    assert not (tmp_path / "new").exists()
