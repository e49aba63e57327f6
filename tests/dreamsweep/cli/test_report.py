"""`dreamsweep report`: where it puts the page, and what it says where it cannot."""

from pathlib import Path

import pytest

from dreamsweep.cli.main import run_command
from dreamsweep.store import open_store
from tests.dreamsweep.sample_sweep import publish_sample


def test_a_report_and_copies_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    publish_sample(open_store("runs"), prompts=["a cat"], engines=["dalle"])
    assert run_command(["report", "made-up", "--to", "copies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["runs/made-up/summary/report.html", "copies/made-up-report.html"]
    assert all(Path(line).is_file() for line in lines) and len(lines) >= 4
    assert Path(lines[0]).read_bytes() == Path(lines[1]).read_bytes()


def test_a_report_of_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    publish_sample(open_store("runs"), prompts=["a cat"], engines=["dalle"])
    assert run_command(["report", "made-down"]) == 2
    assert "made-down" in capsys.readouterr().err
