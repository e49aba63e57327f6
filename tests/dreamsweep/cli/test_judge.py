"""`dreamsweep judge`: what it prints, and what it says of mistakes."""

import pytest

from dreamsweep.cli import main as cli
from dreamsweep.cli.outcome import print_outcome
from dreamsweep.store import keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store `runs` with a sweep of two trials."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    publish_sample(open_store("runs"), prompts=["a red heart"])


def test_each_judge_says_how_many_it_scored(capsys: Output) -> None:
    command = ["judge", "made-up", "--with", "labels:things", "--with", "starter-guide", "--device", "cpu"]
    assert cli.run_command(command) == 0
    first, second, ask = capsys.readouterr().out.splitlines()
    assert (first, second) == ("labels:things: 2 pictures of 2 scored", "starter-guide: 2 pictures of 2 scored")
    assert cli.run_command(command) == 0
    assert capsys.readouterr().out.splitlines()[0] == "labels:things: 2 pictures of 2 scored, 2 of them before"
    statement = ask.split('"')[1]
    assert cli.run_command(["query", statement]) == 0
    assert "labels:things" in capsys.readouterr().out


def test_a_sweep_says_who_has_judged_it(capsys: Output) -> None:
    assert cli.run_command(["status", "made-up"]) == 0
    assert "judged by" not in capsys.readouterr().out
    assert cli.run_command(["judge", "made-up", "--with", "labels:things", "--device", "cpu"]) == 0
    capsys.readouterr()
    assert cli.run_command(["status", "made-up"]) == 0
    print_outcome("made-up", "runs", 1.0)
    said = [line for line in capsys.readouterr().out.splitlines() if "labels:things: 2 of 2 best pictures scored" in line]
    assert [line.strip().split(":")[0].split() for line in said] == [["judged", "by", "labels"]] * 2


def test_a_picture_that_could_not_be_scored_is_told_of(capsys: Output) -> None:
    store = open_store("runs")
    (first, *_) = (key for key in store.keys(keys.pictures("made-up")) if key.endswith("best.png"))
    store.write(first, b"no picture")
    assert cli.run_command(["judge", "made-up", "--with", "starter-guide", "--device", "cpu"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("starter-guide: 1 picture of 2 scored\n")
    assert output.err.startswith("starter-guide: 1 picture could not be scored, such as: best.png cannot be read (")


def test_judges_of_sets_beside_others(capsys: Output) -> None:
    assert cli.run_command(["judge", "made-up", "--with", "diversity", "--with", "starter-guide", "--device", "cpu"]) == 0
    *lines, ranked, of_sets = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["diversity: 2 pictures of 2 scored", "starter-guide: 2 pictures of 2 scored"]
    assert "FROM ranks" in ranked
    assert cli.run_command(["query", of_sets.split('"')[1]]) == 0
    assert "vendi_score" in capsys.readouterr().out


def test_a_picture_that_no_set_has_is_told_of(capsys: Output) -> None:
    store = open_store("runs")
    (first, *_) = (key for key in store.keys(keys.pictures("made-up")) if key.endswith("best.png"))
    store.write(first, b"no picture")
    assert cli.run_command(["judge", "made-up", "--with", "diversity", "--device", "cpu"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("diversity: 1 picture of 2 scored\n") and "FROM set_scores" in output.out
    assert output.err == "diversity: 1 picture could not be read; the same command tries again.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["made-up"], "--with: no judge is named; name one, as in dreamsweep judge made-up --with labels:cifar100."),
        (["made-up", "--with", "labels:cifar10"], "did you mean 'cifar100'?"),
        (["made-up", "--with", "starter-guide", "--overlays", "here"], "--overlays: either segments or segments:voc draws them; add"),
        (["made-up", "--with", "quality:none"], "judge 'quality:none': there is no folder 'none'"),
        (["mad-up", "--with", "starter-guide"], "did you mean 'made-up'?"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, capsys: Output) -> None:
    assert cli.run_command(["judge", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
