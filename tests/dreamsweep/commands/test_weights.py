"""`dreamsweep weights`: what it prints, and how it exits."""

from pathlib import Path

import pytest

from dreamsweep import cli
from tests.dreamsweep.weights.conftest import Publish
from tests.dreamsweep.weights.made_hub import Hub

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def line_of(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(name))


def test_list(publish: Publish, cache: Path, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a", "b.bin": b"b"}, known=False, megabytes=12.3, licence="MIT")
    assert cli.run_command(["weights", "list"]) == 0
    told = capsys.readouterr().out
    assert line_of(told, "ViT-B/32") == ["ViT-B/32", "354", "MB", "MIT", "no", "known"]
    assert line_of(told, "karlo ")[1] == "unknown"
    assert line_of(told, "stable-diffusion-1.5")[1:3] == ["4.3", "GB"]
    assert line_of(told, "toy") == ["toy", "12", "MB", "MIT", "no", "at", "first", "use"]
    assert told.splitlines()[-1] == f"They are kept in {cache}"
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a.bin").write_bytes(b"a")
    assert cli.run_command(["weights", "list"]) == 0
    assert "1 of 2 files" in capsys.readouterr().out


def test_pull_list_verify(hub: Hub, publish: Publish, cache: Path, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a" * 100}, known=False)
    assert cli.run_command(["weights", "pull", "toy"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"toy: {cache / 'toy'}\n" and captured.err == ""
    assert cli.run_command(["weights", "list"]) == 0
    assert line_of(capsys.readouterr().out, "toy") == ["toy", "unknown", "unknown", "yes", "pinned"]
    assert cli.run_command(["weights", "verify"]) == 0
    assert capsys.readouterr().out == f"ok       toy: {cache / 'toy' / 'a.bin'}\n1 file read, 0 not as they should be.\n"
    assert hub.log == ["GET /toy/a.bin"]


def test_verify_finds_a_change_that_size_and_time_hide(publish: Publish, cache: Path, capsys: Output) -> None:
    import os

    publish("toy", {"a.bin": b"a" * 100})
    assert cli.run_command(["weights", "pull", "toy"]) == 0
    path = cache / "toy" / "a.bin"
    before = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cli.run_command(["weights", "verify", "toy"]) == 1
    told = capsys.readouterr().out
    assert "changed  weights 'toy'" in told and "1 file read, 1 not as they should be." in told


def test_verify_names_what_is_missing_when_asked_for_it(publish: Publish, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a"})
    assert cli.run_command(["weights", "verify"]) == 0
    assert cli.run_command(["weights", "verify", "toy"]) == 1
    assert "missing  toy: " in capsys.readouterr().out


def test_a_mistake_is_one_sentence(publish: Publish, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a"})
    assert cli.run_command(["weights", "pull", "toys"]) == 2
    assert (
        capsys.readouterr().err
        == "dreamsweep: weights 'toys': nothing of that name is published here; use 'toy', or a hub repository's owner/name.\n"
    )


@pytest.mark.parametrize("command", ["list", "pull", "verify"])
def test_every_help_shows_an_example(command: str, capsys: Output) -> None:
    assert cli.run_command(["weights", command, "--help"]) == 0
    assert f"Example: dreamsweep weights {command}" in capsys.readouterr().out
    assert cli.run_command(["weights", "--help"]) == 0
    assert "Example: dreamsweep weights pull" in capsys.readouterr().out
