"""The command, end to end: what it prints, where, and with which exit code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dreamsweep import cli
from dreamsweep.store import open_store
from tests.conftest import StrictServer
from tests.dreamsweep.made_up import make_up

GOOD = {
    "name": "t",
    "prompts": ["a red heart"],
    "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}],
    "iterations": 3,
}
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DREAMSWEEP_STORE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return tmp_path


def sweep_file(**changes: object) -> str:
    content = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    Path("sweep.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return "sweep.yaml"


def refused(output: Output, *arguments: str) -> str:
    """Runs a command that must end with code 2 and one sentence on stderr; returns the sentence."""
    assert cli.run_command(arguments) == 2
    told = output.readouterr().err
    assert told.startswith("dreamsweep: ") and told.endswith(".\n") and told.count("\n") == 1
    assert "Traceback" not in told
    return told


BAD = {
    "unknown engine": ({"engines": ["dallee"]}, "no engine 'dallee'; did you mean 'dalle'?"),
    "misspelt key": ({"prompt": ["x"]}, "prompt: no such word; did you mean 'prompts'?"),
    "misspelt and so missing": ({"prompts": None, "promts": ["x"]}, "promts: no such word; did you mean 'prompts'?"),
    "a text for a list": ({"prompts": "a red heart"}, "prompts: 'a red heart' will not do: a single word or text would be a file's name"),
    "empty prompts": ({"prompts": []}, "prompts: empty"),
    "missing prompt file": ({"prompts": "names.txt"}, "names.txt' cannot be read"),
    "negative iterations": ({"iterations": -5}, "iterations: -5 will not do"),
    "long prompt": ({"prompts": ["x" * 10_000]}, "10,000 characters"),
    "unknown optimizer": ({"engines": [{"engine": "dalle", "optimizer": "adamm"}]}, "no 'adamm'; did you mean 'adam'?"),
}


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("case", BAD)
def test_a_sweep_file_that_is_not_right(case: str, command: str, capsys: Output) -> None:
    changes, told = BAD[case]
    assert told in refused(capsys, command, sweep_file(**changes))  # type: ignore[arg-type]


MISUSED = {
    "no such command 'rnu'; did you mean 'run'? See dreamsweep --help": ["rnu"],
    "missing argument 'FILE'; see dreamsweep run --help": ["run"],
    "no such option: --devic (Possible options: --date, --device); see dreamsweep run --help": ["run", "sweep.yaml", "--devic"],
    "'tpu' is not one of 'auto', 'cpu', 'cuda', 'mps'; see dreamsweep run --help": ["run", "sweep.yaml", "--device", "tpu"],
    "--date: 'yesterday' is no day; write it as in 2": ["run", "sweep.yaml", "--date", "yesterday"],
    "--date: neither {date} nor daily seeds are in 'sweep.yaml'": ["run", "sweep.yaml", "--date", "2026-11-20"],
    "got unexpected extra argument(s) (b); see dreamsweep run --help": ["run", "a", "b"],
    "should be greater than or equal to 1": ["deploy", "--pool-type", "process", "--compute-window", "0"],
}


@pytest.mark.parametrize("told", MISUSED)
def test_a_command_line_that_is_not_right(told: str, capsys: Output) -> None:
    sweep_file()
    assert told in refused(capsys, *MISUSED[told])


def test_a_command_without_a_word_prints_its_help(capsys: Output) -> None:
    assert cli.run_command([]) == 2
    output = capsys.readouterr()
    assert "Start with: dreamsweep run prompts/demo.yaml" in output.out and not output.err


def test_a_sweep_file_that_is_not_there(capsys: Output) -> None:
    Path("other.yaml").write_text("name: not-a-sweep")
    assert "; sweep files lie in prompts/" in refused(capsys, "run", "other.yml")
    sweep_file()
    assert "did you mean 'sweep.yaml'?" in refused(capsys, "run", "swep.yaml")


def test_wrong_stores(capsys: Output) -> None:
    Path("a-file").write_text("")
    assert "no store speaks 'ftp'" in refused(capsys, "run", sweep_file(), "--store", "ftp://x")
    assert "store '/proc/runs': no folder can be made there" in refused(capsys, "run", sweep_file(), "--store", "/proc/runs")
    assert "is a file where a folder should be" in refused(capsys, "run", sweep_file(), "--store", "a-file")


def test_a_missing_bucket(s3_bucket: str, capsys: Output) -> None:
    assert f"there is no bucket '{s3_bucket}-not'" in refused(capsys, "run", sweep_file(), "--store", f"s3://{s3_bucket}-not/runs")


def test_wrong_credentials(strict_s3: StrictServer, aws_settings: pytest.MonkeyPatch, capsys: Output) -> None:
    aws_settings.setenv("AWS_ENDPOINT_URL", strict_s3.address)
    aws_settings.setenv("AWS_ACCESS_KEY_ID", "nobody")
    aws_settings.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-must-not-be-told")
    told = refused(capsys, "run", sweep_file(), "--store", "s3://night/runs")
    assert "access denied" in told and "a-secret" not in told


def test_an_unexpected_error_is_a_sentence_and_a_log(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.commands.run._run_flow", lambda *_: os.environ["MISSING"])
    assert cli.run_command(["run", sweep_file()]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("dreamsweep: something went wrong that should not have (KeyError); the details are in ")
    assert "KeyError: 'MISSING'" in Path(told.split(" are in ")[1].rstrip(".")).read_text()


def test_ctrl_c_says_how_to_go_on(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dreamsweep.commands.run._run_flow", stopped)
    monkeypatch.setattr(sys, "argv", ["/somewhere/dreamsweep", "run", "sweep.yaml", "--store", "my runs"])
    assert cli.run_command(["run", sweep_file(), "--store", "my runs"]) == 130
    assert capsys.readouterr().err == "Stopped. To go on where it stopped: dreamsweep run sweep.yaml --store 'my runs'\n"


def test_shards_that_failed_are_told_with_what_was_made(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    make_up(open_store("runs"), name="t")
    monkeypatch.setattr("dreamsweep.commands.run._run_flow", lambda *_: "1 shard failed: the disk is full.")
    monkeypatch.setattr(sys, "argv", ["dreamsweep", "run", "sweep.yaml"])
    assert cli.run_command(["run", sweep_file()]) == 1
    output = capsys.readouterr()
    assert output.err == "dreamsweep: 1 shard failed: the disk is full. To make what is missing: dreamsweep run sweep.yaml\n"
    assert "t: 12 trials done" in output.out and "runs/t/summary/contact-sheet.png" in output.out


def test_plan_counts(capsys: Output) -> None:
    assert cli.run_command(["plan", sweep_file(seeds=[0, 1, 2], shard_size=2)]) == 0
    told = capsys.readouterr().out
    assert "3 (strokes 3)" in told and "9 (strokes 9)" in told and "on two CPU cores" in told
    assert cli.run_command(["plan", sweep_file(guide="ViT-B/32")]) == 0
    assert "not known beforehand" in capsys.readouterr().out


def test_query_prints_a_table_csv_or_json(capsys: Output) -> None:
    make_up(open_store("runs"))
    sql = "SELECT engine, count(*) AS n, max(judge_best) AS best FROM trials GROUP BY engine ORDER BY engine"
    assert cli.run_command(["query", sql]) == 0
    told = capsys.readouterr().out
    assert "engine" in told and "dalle" in told and told.endswith("2 rows\n")
    assert cli.run_command(["query", sql, "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "engine,n,best" and lines[1].startswith("dalle,6,0.")
    assert cli.run_command(["query", sql, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["n"] for row in rows] == [6, 6]


def test_every_iteration_has_its_row(capsys: Output) -> None:
    make_up(open_store("runs"))
    assert cli.run_command(["query", "SELECT trial_id, count(*) AS n FROM scores GROUP BY trial_id", "--json"]) == 0
    assert [row["n"] for row in json.loads(capsys.readouterr().out)] == [60] * 12


def test_query_refuses_what_it_cannot_answer(capsys: Output) -> None:
    assert "has no published sweep" in refused(capsys, "query", "SELECT 1")
    make_up(open_store("runs"))
    assert 'column "nothing" not found' in refused(capsys, "query", "SELECT nothing FROM trials")


def test_status_lists_every_sweep(capsys: Output) -> None:
    assert cli.run_command(["status"]) == 0
    assert capsys.readouterr().out == f"Store {open_store('runs').uri} knows of no sweep yet.\n"
    make_up(open_store("runs"), diverged=1)
    open_store("runs").write("made-up/sweep.yaml", b"name: made-up")
    assert cli.run_command(["status"]) == 0
    assert "made-up 10 of 12 trials 2 – – –" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["", "..", "../x", "a//b"])
def test_what_is_no_name_is_no_sweep(name: str, capsys: Output) -> None:
    make_up(open_store("runs"))
    assert "has no published sweep" in refused(capsys, "review", name)
    assert "knows nothing of it" in refused(capsys, "status", name)


def test_show_draws_and_copies(capsys: Output) -> None:
    make_up(open_store("runs"))
    assert cli.run_command(["show", "made-up", "--to", "out"]) == 0
    told = capsys.readouterr().out.split()
    assert told == [
        "runs/made-up/summary/contact-sheet.png",
        "out/made-up-contact-sheet.png",
        "runs/made-up/summary/curves.png",
        "out/made-up-curves.png",
    ]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in told)


def test_show_names_the_nearest_sweep(capsys: Output) -> None:
    make_up(open_store("runs"))
    assert "did you mean 'made-up'?" in refused(capsys, "show", "made-pu")
    assert "none yet" in refused(capsys, "show", "made-up", "--store", "elsewhere")


def test_the_store_comes_from_the_environment(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_STORE", "elsewhere")
    make_up(open_store("elsewhere"))
    assert cli.run_command(["query", "SELECT 1 AS one", "--csv"]) == 0
    assert capsys.readouterr().out == "one\n1\n"


def test_doctor_finds_whole_and_damaged_weights(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert cli.run_command(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "weights starter-guide" in told and "runs can be written" in told and "broken" not in told
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_weights, damaged)
    truncate(damaged / "starter-dvae.safetensors")
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(damaged))
    assert cli.run_command(["doctor"]) == 1
    assert "broken" in capsys.readouterr().out


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def test_schema_is_json(capsys: Output) -> None:
    assert cli.run_command(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Sweep"


@pytest.mark.parametrize("command", ["run", "plan", "query", "show", "doctor", "schema"])
def test_every_help_shows_an_example(command: str, capsys: Output) -> None:
    assert cli.run_command([command, "--help"]) == 0
    assert f"Example: dreamsweep {command}" in capsys.readouterr().out


def test_it_runs_as_a_module_and_loads_nothing_heavy() -> None:
    heavy = "[m for m in ('torch', 'prefect', 'duckdb', 'boto3') if m in sys.modules]"
    code = f"import sys; from dreamsweep.cli import run_command; run_command(['--help']); print({heavy})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "[]"
    assert subprocess.run([sys.executable, "-m", "dreamsweep", "--help"], capture_output=True, check=False).returncode == 0


def test_gc_says_what_can_go_and_removes_it_only_when_told(capsys: Output) -> None:
    make_up(open_store("runs"))
    stray = Path("runs/demo/pictures/0123456789abcdef/best.png")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"pixels")
    assert cli.run_command(["gc"]) == 0
    assert "Nothing can go (" in capsys.readouterr().out  # it is young
    assert cli.run_command(["gc", "--older-than", "0s"]) == 0
    told = capsys.readouterr().out
    assert "pictures" in told and "1 object, 6 bytes can go; nothing was removed." in told
    assert cli.run_command(["gc", "--older-than", "0s", "--keep", "de*", "--apply"]) == 0
    assert "Nothing can go (" in capsys.readouterr().out
    assert stray.exists()
    assert cli.run_command(["gc", "--older-than", "0s", "demo", "--apply"]) == 0
    assert "Removed: 1 object, 6 bytes." in capsys.readouterr().out
    assert not stray.exists()
    assert cli.run_command(["query", "SELECT count(*) AS n FROM trials"]) == 0


def test_gc_wants_a_span_of_time(capsys: Output) -> None:
    assert "--older-than: '7 weeks' is no span of time" in refused(capsys, "gc", "--older-than", "7 weeks")
