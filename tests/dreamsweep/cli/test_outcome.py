"""What a run prints at its end: places, links, the best trials and what to do next."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from dreamsweep.cli import main as cli
from dreamsweep.cli.outcome import _linked, print_outcome
from dreamsweep.report.best import best_trials
from dreamsweep.report.summary import ensure_summary
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample

Output = pytest.CaptureFixture[str]
LONG = "an oil painting of a lighthouse, very detailed"
LINK = re.compile("\x1b]8;id=\\d+;([^\x1b]*)\x1b\\\\([^\x1b]*)\x1b]8;;\x1b\\\\")
"""A link of a terminal (OSC 8): its address and its text."""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DREAMSWEEP_STORE", raising=False)


@pytest.fixture
def store() -> Store:
    """A store whose one sweep has two prompts, one of them long, and two engines."""
    store = open_store("runs")
    publish_sample(store, prompts=["赤い心臓", LONG], seeds=[0, 1])
    return store


def test_without_a_terminal_it_is_plain_lines(store: Store, capsys: Output) -> None:
    print_outcome("made-up", "runs", 95.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "made-up: 8 trials done (1 min 35 s)",
        "  contact sheet  runs/made-up/summary/contact-sheet.png",
        "  curves         runs/made-up/summary/curves.png",
        "  pictures       runs/made-up/pictures",
        "  best           of each prompt and engine, by starter-judge",
        "  rank  judge  prompt                                    engine   seed  best picture",
    ]
    prompts = {"赤い心臓": f"赤い心臓{' ' * 32}", LONG: "an oil painting of a lighthouse, very d…"}
    assert lines[6:10] == [
        f"  {trial.rank:4} {trial.judge:6.3f}  {prompts[trial.prompt]}  {trial.engine:7}     {trial.seed}  "
        f"runs/made-up/pictures/{trial.trial_id}/best.png"
        for trial in best_trials(store, "made-up")
    ]
    assert lines[10:] == [
        "  look           dreamsweep review made-up",
        '  ask            dreamsweep query "SELECT engine, avg(percentile) FROM standings JOIN trials USING (sweep, trial_id) '
        "WHERE sweep = 'made-up' GROUP BY engine\"",
    ]


def test_pictures_that_were_deleted_are_said(store: Store, capsys: Output) -> None:
    for trial in best_trials(store, "made-up")[:2]:
        store.delete(keys.picture("made-up", trial.trial_id, keys.BEST))
    print_outcome("made-up", "runs", 1.0)
    assert "  warning        2 best pictures missing: dreamsweep verify made-up says what else is\n" in capsys.readouterr().out


def test_the_copy_of_the_trials_is_named_once_it_is_there(store: Store, capsys: Output) -> None:
    ensure_summary(store, publish_sample(store))
    print_outcome("made-up", "runs", 1.0)
    assert "  trials         runs/made-up/summary/trials.parquet\n" in capsys.readouterr().out


def test_on_a_terminal_places_are_links_and_prompts_leave_room_for_them(store: Store, tmp_path: Path) -> None:
    out = io.StringIO()
    print_outcome("made-up", "runs", 1.0, Console(file=out, force_terminal=True, width=100))
    links = [(address, text) for address, text in LINK.findall(out.getvalue())]
    pictures = [f"runs/made-up/pictures/{trial.trial_id}/best.png" for trial in best_trials(store, "made-up")]
    summary = ["runs/made-up/summary/contact-sheet.png", "runs/made-up/summary/curves.png", "runs/made-up/pictures"]
    assert links == [((tmp_path / place).as_uri(), place) for place in (*summary, *pictures)]
    rows = [LINK.sub(r"\2", line) for line in out.getvalue().splitlines() if "best.png" in line]
    assert {len(row.replace("赤い心臓", "xxxxxxxx")) for row in rows} == {100}
    assert [row[15:36] for row in rows if "oil" in row] == ["an oil painting of a…"] * 2


def test_of_many_the_first_twelve_and_the_command_for_all(capsys: Output) -> None:
    publish_sample(open_store("my runs"), prompts=[{"template": "thing {n}", "n": [str(n) for n in range(50)]}], iterations=10)
    print_outcome("made-up", "my runs", 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.endswith("/best.png")]) == 12
    assert "  … and 88 more: dreamsweep query best --store 'my runs'" in lines
    assert cli.run_command(["query", "best", "--store", "my runs", "--csv"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "sweep,prompt,engine,seed,rank,judge,judges,trial_id,best_uri" and len(rows) == 100
    first = best_trials(open_store("my runs"), "made-up")[0]
    assert rows[0].startswith(
        f"made-up,{first.prompt},{first.engine},0,{first.rank},{first.judge},{first.judges},{first.trial_id},file:///"
    )


def test_where_nothing_was_judged_there_is_no_best(capsys: Output, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.setattr("dreamsweep.report.best.best_trials", lambda *_: [])
    print_outcome("made-up", "runs", 1.0)
    assert "best" not in capsys.readouterr().out.replace("judge_best", "")


def test_nothing_is_printed_of_a_sweep_that_is_not_published(capsys: Output) -> None:
    print_outcome("made-up", "runs", 1.0)
    assert capsys.readouterr().out == ""


def test_an_address_in_a_bucket_is_no_link() -> None:
    text = _linked(open_store("s3://bucket/night"), "t/summary/curves.png")
    assert (text.plain, text.style) == ("s3://bucket/night/t/summary/curves.png", "")
