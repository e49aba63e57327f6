"""`dreamsweep up`: which server it uses, and its mistakes. tests/flows/test_up.py starts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dreamsweep.cli import main as cli
from dreamsweep.cli import up
from dreamsweep.cli.up import _alone, _deployed, _own_port
from dreamsweep.errors import UserError
from dreamsweep.flows import local_server
from tests.conftest import free_socket

Output = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of Prefect's, with no server configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(local_server, "configured_api", lambda: None)
    monkeypatch.setattr(local_server, "prefer_quiet", lambda: None)
    return tmp_path / "home"


def refused(output: Output, *arguments: str) -> str:
    assert cli.run_command(["up", *arguments]) == 2
    sentence = output.readouterr().err
    assert sentence.startswith("dreamsweep: ") and sentence.count("\n") == 1
    return sentence


@contextmanager
def taken_port() -> Iterator[int]:
    with free_socket() as taken:
        yield taken.getsockname()[1]


def test_a_port_that_is_taken(home: Path, capsys: Output) -> None:
    with taken_port() as port:
        for option in ("--port", "--review-port"):
            sentence = refused(capsys, "--port", "0", option, str(port))
            end = "nothing can listen there (Address already in use); name another port, or stop what has it.\n"
            assert sentence == f"dreamsweep: {option} {port}: {end}"


def test_a_second_one_says_so(home: Path, capsys: Output) -> None:
    home.mkdir()
    with _alone(home) as write_address:
        write_address("http://127.0.0.1:4210")
        sentence = refused(capsys, "--port", "0")
    assert sentence.startswith("dreamsweep: another `dreamsweep up` runs on this machine (process ")
    assert sentence.endswith(", http://127.0.0.1:4210); stop that one first.\n")
    with _alone(home):
        assert [path.name for path in home.iterdir()] == ["dreamsweep-up.lock"]


def test_mistakes_of_a_file_and_of_the_store_come_first(home: Path, capsys: Output) -> None:
    Path("bad.yaml").write_text("name: a\n")
    assert cli.run_command(["up", "bad.yaml"]) == 2
    assert "bad.yaml:1:1: prompts: missing" in capsys.readouterr().err
    Path("full").write_text("")
    assert "full" in refused(capsys, "--store", "full")
    assert not (home / "dreamsweep-up.lock").exists()


def test_the_server_that_answers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is configured on this machine and does not answer is started there."""
    with taken_port() as taken:
        free = taken
    api = f"http://127.0.0.1:{free}/api"
    assert _own_port(api, None) == free
    assert _own_port(None, free) == free
    assert _own_port("https://prefect.example/api", None) is None
    sentence = rf"^--port 4200: a Prefect server is configured \({api}\); leave --port out, or unset PREFECT_API_URL\.$"
    with pytest.raises(UserError, match=sentence):
        _own_port(api, 4200)
    monkeypatch.setattr(local_server, "answers", lambda url: url == f"{api}/health")
    assert _own_port(api, None) is None


def test_what_deploy_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    says = ["schedule a          created", "    0 2 * * * UTC", "work pool gpu unchanged", "schedule b   kept; --prune removes it"]
    says += ["Workers:  prefect worker start", "note: a word", "Next:     a, Fri 2026-11-27 02:00 UTC"]
    asks: list[tuple[str, ...]] = []

    def echo(*arguments: str) -> list[str]:
        asks.append(arguments)
        return ["/bin/sh", "-c", 'printf "%s\\n" "$@"', "sh", *says]

    monkeypatch.setattr(up, "tied", echo)
    assert _deployed([Path("a.yaml")], "runs", prune=True) == [says[0], says[-1]]
    assert asks == [("dreamsweep", "deploy", "a.yaml", "--pool-type", "process", "--store", "runs", "--prune")]
    monkeypatch.setattr(up, "tied", lambda *arguments: ["/bin/sh", "-c", "echo note; echo dreamsweep: pool is wrong.; exit 2"])
    with pytest.raises(UserError, match=r"^pool is wrong\.$"):
        _deployed([], "runs", prune=False)
