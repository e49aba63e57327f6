"""`dreamsweep report`: where it puts the page, and what it says where it cannot."""

from pathlib import Path

import pytest
import yaml

from dreamsweep.cli.main import run_command
from dreamsweep.store import keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample


def test_a_report_and_copies_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    publish_sample(open_store("runs"), prompts=["a cat"], engines=["dalle"])
    assert run_command(["report", "made-up", "--to", "copies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["runs/made-up/summary/report.html", "copies/made-up-report.html"]
    assert all(Path(line).is_file() for line in lines) and len(lines) >= 4
    assert Path(lines[0]).read_bytes() == Path(lines[1]).read_bytes()


def test_sets_are_judged_where_the_sweep_file_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("runs")
    engines = [{"engine": "dalle", "optimizer": ["adam", "sgd"]}]
    publish_sample(store, prompts=["a cat"], engines=engines, seeds=[0, 1])
    asked_for = {"name": "made-up", "report": {"sections": ["sets"]}}
    store.write(keys.sweep_file("made-up"), yaml.safe_dump(asked_for).encode())
    assert run_command(["report", "made-up"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "diversity: 4 pictures of 4 scored"
    page, *plots = lines[1:]
    assert "vendi_score" in Path(page).read_text(encoding="utf-8")
    names = [Path(plot).name for plot in plots]
    assert names == ["report-quality-diversity.png", "report-set-1.png", "report-set-2.png"]
    assert run_command(["report", "made-up"]) == 0  # nothing is judged twice
    assert "4 of them before" in capsys.readouterr().out


def test_a_report_of_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    publish_sample(open_store("runs"), prompts=["a cat"], engines=["dalle"])
    assert run_command(["report", "made-down"]) == 2
    assert "made-down" in capsys.readouterr().err
