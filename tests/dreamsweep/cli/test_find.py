"""`dreamsweep find`: what it prints, the sheet, and what it says of mistakes."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dreamsweep.cli import main as cli
from dreamsweep.store import open_store
from tests.dreamsweep.report.test_search import JUDGE, near, publish_embedded
from tests.dreamsweep.sample_rows import sample_trial

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store `runs` with two trials."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    monkeypatch.delenv("DREAMSWEEP_STORE", raising=False)
    trials = {sample_trial(seed=seed): [(6, JUDGE, near("a red heart", 0.5 + 0.1 * seed))] for seed in range(2)}
    publish_embedded(open_store("runs"), "hearts", trials)


def test_a_table_and_a_sheet(capsys: Output) -> None:
    assert cli.run_command(["find", "a red heart", "--sheet", "out/hearts.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [title.strip() for title in lines[1].strip("┃").split("┃")][:3] == ["rank", "similarity", "sweep"]
    assert [line.split("│")[2].strip() for line in lines[3:5]] == ["0.6", "0.5"]
    assert lines[-2:] == ["2 rows", "out/hearts.png"]
    with Image.open("out/hearts.png") as sheet:
        assert sheet.format == "PNG"


def test_json(capsys: Output) -> None:
    assert cli.run_command(["find", "a red heart", "--limit", "1", "--json", "--sweep", "hearts"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["rank"], row["seed"], row["iteration"]) == (1, 1, 6)
    assert row["picture_uri"].endswith("/best.png")


def test_like_a_picture(capsys: Output) -> None:
    Image.new("RGB", (32, 32), "red").save("red.png")
    assert cli.run_command(["find", "--like", "red.png", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_words_that_are_not_read_are_noted(capsys: Output) -> None:
    assert cli.run_command(["find", "zxqwv", "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) and output.err.startswith("note: ") and "zxqwv" in output.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "find: there is nothing to search for; give a text"),
        (["a", "--limit", "0"], "invalid value for '--limit': Input should be greater than or equal to 1"),
        (["a", "--sheet", "hearts.jpg"], "--sheet 'hearts.jpg': the sheet is a PNG"),
        (["--like", "none.png"], "--like 'none.png': the file cannot be read (No such file or directory)."),
        (["a", "--sweep", "heart"], "did you mean 'hearts'?"),
        (["a", "--with", "RN50"], "no picture has an embedding of 'RN50'; there are those of starter-judge (2 pictures)."),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, capsys: Output) -> None:
    assert cli.run_command(["find", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_sheet_that_cannot_be_written(capsys: Output) -> None:
    Path("file").write_text("")
    assert cli.run_command(["find", "a red heart", "--sheet", "file/hearts.png"]) == 2
    assert "--sheet 'file/hearts.png': it cannot be written there (" in capsys.readouterr().err
