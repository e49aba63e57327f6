"""Output and exit codes of `dreamsweep weights`."""

from pathlib import Path

import pytest

from dreamsweep.cli import main as cli
from tests.dreamsweep.weights.conftest import Publish
from tests.dreamsweep.weights.fake_hub import Hub

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def line_of(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(name))


def test_list(publish: Publish, cache: Path, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a", "b.bin": b"b"}, known=False, megabytes=12.3, licence="MIT")
    assert cli.run_command(["weights", "list"]) == 0
    output = capsys.readouterr().out
    assert line_of(output, "ViT-B/32") == ["ViT-B/32", "354", "MB", "MIT", "no", "known"]
    assert line_of(output, "karlo ")[1] == "unknown"
    assert line_of(output, "stable-diffusion-1.5")[1:3] == ["4.3", "GB"]
    assert line_of(output, "toy") == ["toy", "12.3", "MB", "MIT", "no", "on", "first", "use"]
    assert output.splitlines()[-1] == f"The cache folder is {cache}"
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
    assert capsys.readouterr().out == f"ok       toy: {cache / 'toy' / 'a.bin'}\n1 file checked, 0 invalid or missing.\n"
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
    output = capsys.readouterr().out
    assert "invalid  weights 'toy'" in output and "1 file checked, 1 invalid or missing." in output


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
        == "dreamsweep: weights 'toys': the registry has no weights of that name; use 'toy', or a hub repository's owner/name.\n"
    )


def test_starter_weights_are_verified_by_drawing_alone(cache: Path, capsys: Output) -> None:
    assert cli.run_command(["weights", "verify", "starter-guide"]) == 2
    assert "weights 'starter-guide': the registry has no weights of that name" in capsys.readouterr().err


def test_an_outage_is_one_sentence_and_exit_code_1(hub: Hub, publish: Publish, capsys: Output) -> None:
    publish("toy", {"a.bin": b"a"})
    hub.refusals["/toy/a.bin"] = [503] * 4
    assert cli.run_command(["weights", "pull", "toy"]) == 1
    sentence = capsys.readouterr().err
    assert sentence.startswith("dreamsweep: weights 'toy': a.bin cannot be fetched from ") and sentence.count("\n") == 1
    assert cli.run_command(["weights", "pull", "toy"]) == 0
    hub.refusals["/toy/b.bin"] = [404]
    publish("toy", {"b.bin": b"b"})
    assert cli.run_command(["weights", "pull", "toy"]) == 2


@pytest.mark.parametrize("command", ["list", "pull", "verify"])
def test_every_help_shows_an_example(command: str, capsys: Output) -> None:
    assert cli.run_command(["weights", command, "--help"]) == 0
    assert f"Example: dreamsweep weights {command}" in capsys.readouterr().out
    assert cli.run_command(["weights", "--help"]) == 0
    assert "Example: dreamsweep weights pull" in capsys.readouterr().out
