"""`dreamsweep export`: what it writes and says, and what it says of mistakes."""

from pathlib import Path

import pytest

from dreamsweep.cli import main as cli
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS, ids, store

__all__ = ["store"]
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_the_folder_of_the_store(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DREAMSWEEP_STORE", raising=False)


def test_a_file_named_after_the_sweep(capsys: Output) -> None:
    assert cli.run_command(["export", "made-up", "--marks", "picked", "--by", "anna", "--as", "csv"]) == 0
    assert capsys.readouterr().out == "made-up.csv\n"
    assert len(Path("made-up.csv").read_text(encoding="utf-8").splitlines()) == 7


def test_all_sweeps_and_pictures_that_are_missing(store: Store, capsys: Output) -> None:
    store.delete(f"made-up/pictures/{ids(store, PROMPTS[0])[0]}/best.png")
    assert cli.run_command(["export", "--search", "heart", "--to", "hearts"]) == 0
    output = capsys.readouterr()
    assert output.out == "hearts\n" and len(list(Path("hearts").glob("*.png"))) == 5
    assert output.err == "note: 1 of 6 pictures are missing or damaged in the store and were left out.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["made-up", "--stars", "5"], "sweep 'made-up': no trial is selected by stars 5; leave a condition out"),
        (["made-upp"], "did you mean 'made-up'?"),
        (["--trial", "x"], "trials 'x': it is no trial's id"),
        (["--as", "pairs", "--to", "x.zip"], "--to 'x.zip': pairs is a file that ends with .parquet; give it such a name."),
        (["--as", "jpg"], "invalid value for '--as': 'jpg' is not one of 'pictures'"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, capsys: Output) -> None:
    assert cli.run_command(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["runs"]


def test_a_sweep_file(capsys: Output) -> None:
    arguments = ["export", "made-up", "--marks", "picked", "--as-sweep", "more-seeds", "--seeds", "2", "--to", "more.yaml"]
    assert cli.run_command(arguments) == 0
    assert capsys.readouterr().out.startswith("more.yaml: 12 trials; make them with: dreamsweep run more.yaml")
    assert cli.run_command(["plan", "more.yaml"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seeds", "2"], "--seeds: it is part of a sweep; add --as-sweep more-seeds, new-prompts or from-pictures."),
        (["--as-sweep", "more-seeds", "--to", "x.zip"], "--to 'x.zip': a sweep file ends with .yaml"),
        (["--as-sweep", "more-seeds", "--name", "No Name"], "the new sweep: name: "),
    ],
)
def test_mistakes_of_a_sweep(arguments: list[str], sentence: str, capsys: Output) -> None:
    assert cli.run_command(["export", *arguments]) == 2
    assert sentence in capsys.readouterr().err
