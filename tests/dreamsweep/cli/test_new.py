"""The sweep file that `dreamsweep new` writes is a right one, and nothing is overwritten."""

from pathlib import Path

import pytest
import yaml

from dreamsweep.cli import main as cli
from dreamsweep.planning.expand import plan
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("arguments", "file"), [([], "my-sweep.yaml"), (["hearts"], "hearts.yaml"), (["hearts.yaml"], "hearts.yaml")])
def test_what_it_writes_is_a_sweep(arguments: list[str], file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["new", *arguments]) == 0
    assert capsys.readouterr().out == f"{file} is written. Next: dreamsweep plan {file}, dreamsweep run {file}\n"
    sweep = load_sweep(file)
    assert (sweep.name, plan(sweep).trials) == (file.removesuffix(".yaml"), 12)


def test_what_stands_in_its_comments_is_right_too(tmp_path: Path) -> None:
    assert cli.run_command(["new"]) == 0
    (tmp_path / "prompts.txt").write_text("a rocket\n")
    lines = Path("my-sweep.yaml").read_text().splitlines()
    suggested = "\n".join(line.removeprefix("# ") if line.startswith(("# - ", "# schedule", "# judges")) else line for line in lines)
    assert suggested.count("\n#") == 2  # nothing but the explanations is left of the comments
    sweep = parse_sweep(yaml.safe_load(suggested), tmp_path, "test")
    assert plan(sweep).trials == 6 * (2 + 1 + 1 + 2 + 1) * 2 and sweep.schedule is not None


def test_an_existing_file_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hearts.yaml").write_text("mine")
    assert cli.run_command(["new", "hearts"]) == 2
    assert capsys.readouterr().err == "dreamsweep: hearts.yaml is there already; give another name: dreamsweep new NAME.\n"
    assert Path("hearts.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "a b", "", "a/b", ".yaml"])
def test_a_name_that_is_no_sweep_s(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["new", name]) == 2
    assert "is no name for a sweep" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert cli.run_command(["new"]) == 2
    assert capsys.readouterr().err == "dreamsweep: my-sweep.yaml cannot be written (Permission denied).\n"
