"""`dreamsweep review`: where it listens, what it says of mistakes, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from dreamsweep.cli import main as cli
from dreamsweep.cli.review import _hosts, has_screen
from dreamsweep.review.address import ADDRESS, LOGIN, review_page
from dreamsweep.store import open_store
from tests.conftest import free_socket
from tests.dreamsweep.sample_sweep import publish_sample

Output = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path) -> str:
    publish_sample(open_store(str(tmp_path / "runs")), prompts=["a red heart"], engines=["dalle"])
    return str(tmp_path / "runs")


def refused(output: Output, *arguments: str) -> str:
    assert cli.run_command(["review", *arguments]) == 2
    sentence = output.readouterr().err
    assert sentence.startswith("dreamsweep: ") and sentence.count("\n") == 1
    return sentence


def test_mistakes_are_one_sentence(runs: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no published sweep 'made-upp'; did you mean 'made-up'?" in refused(capsys, "made-upp", "--store", runs)
    with free_socket() as taken:
        port = str(taken.getsockname()[1])
        sentence = refused(capsys, "--store", runs, "--port", port)
        assert f"--host 127.0.0.1 --port {port}: nothing can listen there (Address already in use); name another port, or 0." in sentence
    monkeypatch.setenv(LOGIN, "someone:secret")
    assert "--host no.such.host.invalid --port 4300: nothing can listen there" in refused(
        capsys, "--store", runs, "--host", "no.such.host.invalid"
    )
    monkeypatch.delenv(LOGIN, raising=False)
    sentence = refused(capsys, "--store", runs, "--host", "0.0.0.0")
    assert f"--host 0.0.0.0: whoever reaches this machine would see and mark everything; set {LOGIN}=NAME:PASSWORD." in sentence
    for wrong in ("a-secret", "name:", ":a-secret"):
        monkeypatch.setenv(LOGIN, wrong)
        sentence = refused(capsys, "--store", runs)
        assert f"{LOGIN} is not of the form NAME:PASSWORD" in sentence and "secret" not in sentence


def test_it_serves_until_it_is_stopped(runs: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dreamsweep", "review", "made-up", "--store", runs, "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HOME": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hears_ctrl_c
    ) as server:
        assert server.stdout and server.stderr
        line = server.stdout.readline()
        address = line.split()[2]
        assert line.startswith("Review page: http://127.0.0.1:") and address.endswith("/sweeps/made-up")
        assert "<title>dreamsweep</title>" in httpx.get(address, trust_env=False).text
        assert httpx.get(address, headers={"Host": "rebound.example"}, trust_env=False).status_code == 400
        server.send_signal(signal.SIGINT)
        assert server.wait(300) == 0
        assert server.stdout.read() == "Stopped.\n" and server.stderr.read() == ""


def test_it_opens_a_browser_where_it_is_told_to(runs: str, tmp_path: Path) -> None:
    seen, script = tmp_path / "seen", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {seen}.new && mv {seen}.new {seen}\n')
    script.chmod(0o755)
    command = [sys.executable, "-m", "dreamsweep", "review", "made-up", "--store", runs, "--port", "0", "--open", "--read-only"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HOME": str(tmp_path), "BROWSER": str(script)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        address = server.stdout.readline().split()[2]
        while not seen.exists() and server.poll() is None:
            time.sleep(0.05)
        assert seen.read_text().strip() == address
        assert httpx.get(address.replace("/sweeps/", "/api/sweeps/") + "/marks", trust_env=False).json()["writable"] is False
        server.terminate()


def test_a_browser_is_opened_at_a_terminal_with_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SSH_CONNECTION", "CI", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert not has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_screen()
    monkeypatch.setenv("SSH_CONNECTION", "from elsewhere")
    assert not has_screen()
    monkeypatch.delenv("SSH_CONNECTION")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert not has_screen()


def _hears_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_names_by_which_it_may_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    assert set(_hosts("127.0.0.1")) == {"127.0.0.1", "localhost", "::1"}
    assert {"localhost", "192.168.1.5", socket.gethostname().lower()} <= {*_hosts("192.168.1.5")} and "*" not in _hosts("0.0.0.0")
    monkeypatch.setenv(ADDRESS, "https://pictures.example/")
    assert "pictures.example" in _hosts("0.0.0.0") and "*" not in _hosts("0.0.0.0")


def test_links_lead_to_it_where_the_environment_tells_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for nowhere in ("", " "):
        monkeypatch.setenv(ADDRESS, nowhere)
        assert review_page("nightly") is None
    monkeypatch.setenv(ADDRESS, "https://pictures.example/")
    assert review_page("nightly") == "https://pictures.example/sweeps/nightly"
