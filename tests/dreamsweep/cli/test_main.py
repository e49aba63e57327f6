"""The command, end to end: what it prints, where, and with which exit code."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dreamsweep import __version__
from dreamsweep.cli import main as cli
from dreamsweep.cli.outcome import print_outcome
from dreamsweep.errors import StoreUnavailableError
from dreamsweep.generation.run_sweep import IncompleteSweepError
from dreamsweep.planning.expand import shards
from dreamsweep.planning.sweep_file import load_sweep
from dreamsweep.results.appended import append
from dreamsweep.results.kept_states import state_key
from dreamsweep.store import open_store
from tests.conftest import StrictServer
from tests.dreamsweep.sample_sweep import publish_sample

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
    sentence = output.readouterr().err
    assert sentence.startswith("dreamsweep: ") and sentence.endswith((".\n", "?\n")) and sentence.count("\n") == 1
    assert "Traceback" not in sentence
    return sentence


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
    changes, sentence = BAD[case]
    assert sentence in refused(capsys, command, sweep_file(**changes))  # type: ignore[arg-type]


def test_each_mistake_of_a_sweep_file_is_a_line(capsys: Output) -> None:
    Path("sweep.yaml").write_text("Name: t\nprompts: [1984]\nengines: [dallee]\n", encoding="utf-8")
    assert cli.run_command(["plan", "sweep.yaml"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "dreamsweep: sweep.yaml:1:1: Name: no such word; did you mean 'name'?",
        'dreamsweep: sweep.yaml:2:11: prompts[0]: 1984 is read as the number 1984, where a text belongs; put it in quotes: "1984".',
        "dreamsweep: sweep.yaml:3:11: engines[0]: no engine 'dallee'; did you mean 'dalle'?",
    ]


MISUSED = {
    "no such command 'rnu'; did you mean 'run'? See dreamsweep --help": ["rnu"],
    "missing argument 'FILE'; see dreamsweep run --help": ["run"],
    "no such option: --devic (Possible options: --date, --device); see dreamsweep run --help": ["run", "sweep.yaml", "--devic"],
    "'tpu' is not one of 'auto', 'cpu', 'cuda', 'mps'; see dreamsweep run --help": ["run", "sweep.yaml", "--device", "tpu"],
    "--date: 'yesterday' is no day; write it as in 2": ["run", "sweep.yaml", "--date", "yesterday"],
    "--date: neither {date} nor daily seeds are in 'sweep.yaml'": ["run", "sweep.yaml", "--date", "2026-11-20"],
    "--add --replace: the one keeps what the other takes out": ["run", "sweep.yaml", "--add", "--replace"],
    "--no-prefect: --compute dask hands the shards over by Prefect": ["run", "sweep.yaml", "--no-prefect", "--compute", "dask"],
    "--at-once 2: --compute dask decides how many": ["run", "sweep.yaml", "--at-once", "2", "--compute", "dask"],
    "should be greater than or equal to 1; see dreamsweep run": ["run", "sweep.yaml", "--at-once", "0"],
    "got unexpected extra argument(s) (b); see dreamsweep run --help": ["run", "a", "b"],
    "should be greater than or equal to 1": ["deploy", "--pool-type", "process", "--compute-window", "0"],
}


@pytest.mark.parametrize("sentence", MISUSED)
def test_a_command_line_that_is_not_right(sentence: str, capsys: Output) -> None:
    sweep_file()
    assert sentence in refused(capsys, *MISUSED[sentence])


def test_a_server_decides_how_many_shards_are_made_at_once(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    refusal = refused(capsys, "run", sweep_file(), "--at-once", "2")
    assert refusal == "dreamsweep: --at-once 2: a Prefect server decides how many shards are made at once; add --no-prefect.\n"


def test_a_command_without_a_word_prints_its_help(capsys: Output) -> None:
    assert cli.run_command([]) == 2
    output = capsys.readouterr()
    assert "Start with: dreamsweep new" in output.out and not output.err


def test_a_sweep_file_that_is_not_there(capsys: Output) -> None:
    Path("other.yaml").write_text("name: not-a-sweep")
    assert "; `dreamsweep new` writes one" in refused(capsys, "run", "other.yml")
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
    sentence = refused(capsys, "run", sweep_file(), "--store", "s3://night/runs")
    assert "access denied" in sentence and "a-secret" not in sentence


def test_an_unexpected_error_is_a_sentence_and_a_log(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.cli.run._run", lambda *_: os.environ["MISSING"])
    assert cli.run_command(["run", sweep_file()]) == 1
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("dreamsweep: something went wrong that should not have (KeyError); the details are in ")
    assert "KeyError: 'MISSING'" in Path(sentence.split(" are in ")[1].rstrip(".")).read_text()


def test_an_outage_is_a_sentence_and_exit_code_1(capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: object) -> None:
        raise StoreUnavailableError("store 's3://night' does not answer; run the same command again later.")

    monkeypatch.setattr("dreamsweep.cli.run._run", unreachable)
    assert cli.run_command(["run", sweep_file()]) == 1
    assert capsys.readouterr().err == "dreamsweep: store 's3://night' does not answer; run the same command again later.\n"
    assert not list(tmp_path.rglob("error-*.log"))


def test_ctrl_c_says_how_to_go_on(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dreamsweep.cli.run._run", stopped)
    monkeypatch.setattr(sys, "argv", ["/somewhere/dreamsweep", "run", "sweep.yaml", "--store", "my runs"])
    assert cli.run_command(["run", sweep_file(), "--store", "my runs"]) == 130
    assert capsys.readouterr().err == "Stopped. To go on where it stopped: dreamsweep run sweep.yaml --store 'my runs'\n"


@pytest.mark.parametrize("cause", [StoreUnavailableError("the disk is full"), ZeroDivisionError("a mistake of ours")])
def test_shards_that_failed_are_told_with_what_was_made(cause: Exception, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(*_: object) -> None:
        raise IncompleteSweepError("1 shard failed.") from cause

    publish_sample(open_store("runs"), name="t")
    monkeypatch.setattr("dreamsweep.cli.run._run", failed)
    monkeypatch.setattr(sys, "argv", ["dreamsweep", "run", "sweep.yaml"])
    assert cli.run_command(["run", sweep_file()]) == 1
    output = capsys.readouterr()
    logs = [str(path) for path in Path("state").resolve().rglob("error-*.log")]
    assert len(logs) == isinstance(cause, ZeroDivisionError), "a traceback is kept of what nobody expected"
    details = f" (the details are in {logs[0]})" if logs else ""
    assert output.err == f"dreamsweep: 1 shard failed{details}. To make what is missing: dreamsweep run sweep.yaml\n"
    assert all("ZeroDivisionError: a mistake of ours" in Path(log).read_text() for log in logs)
    assert "t: 12 trials done" in output.out and "runs/t/summary/contact-sheet.png" in output.out


@pytest.mark.parametrize(
    ("store", "default", "option"),
    [("runs", "", ""), ("my 'runs'", "", """ --store 'my '"'"'runs'"'"''"""), ("runs", "elsewhere", " --store runs"), ("a;b", "a;b", "")],
)
def test_hints_can_be_pasted(store: str, default: str, option: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    if default:
        monkeypatch.setenv("DREAMSWEEP_STORE", default)
    publish_sample(open_store(store))
    print_outcome("made-up", store, 1.0)
    look, ask = (line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()[-2:])
    assert look == f"dreamsweep review made-up{option}"
    assert ask.endswith(f' GROUP BY engine"{option}')
    assert shlex.split(ask)[3:] == (["--store", store] if option else [])


def test_plan_counts(capsys: Output) -> None:
    assert cli.run_command(["plan", sweep_file(seeds=[0, 1, 2], shard_size=2)]) == 0
    printed = capsys.readouterr().out
    assert "3 (strokes 3)" in printed and "9 (strokes 9)" in printed and "on two CPU cores" in printed
    assert cli.run_command(["plan", sweep_file(guide="ViT-B/32")]) == 0
    assert "not known beforehand" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["plan", "run"])
def test_prompts_that_other_programs_read_otherwise_are_told_of(command: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.cli.run._run", lambda *_: None)
    monkeypatch.setattr("dreamsweep.cli.outcome.print_outcome", lambda *_: None)
    assert cli.run_command([command, sweep_file(prompts=["a [red] heart", "a [blue] heart"])]) == 0
    note, *others = capsys.readouterr().err.splitlines()
    assert note.startswith("note: prompts[0]: '[red]' in 'a [red] heart' is read as plain text, not as emphasis; ")
    assert all("never learned" in other for other in others)
    assert cli.run_command([command, sweep_file()]) == 0 and capsys.readouterr().err == ""


def test_plan_says_what_no_network_will_read_and_what_must_be_downloaded(capsys: Output) -> None:
    file = sweep_file(prompts=["a red heart", "a red zeppelin"], guide=["starter-guide", "ViT-B/32"], judge="RN50")
    assert cli.run_command(["plan", file]) == 0
    printed = capsys.readouterr()
    assert printed.err == "note: starter-guide never learned 'zeppelin' and passes over it\n"
    assert "downloads   ViT-B/32 354 MB, RN50 256 MB" in printed.out


def test_plan_says_who_scores_the_best_pictures(capsys: Output) -> None:
    assert cli.run_command(["plan", sweep_file(seeds=[0, 1], judges=["labels:things", "views:RN101"])]) == 0
    printed = capsys.readouterr().out
    assert "labels:things, views:RN101: 4 scores of best pictures" in printed and "downloads   RN101 " in printed
    assert cli.run_command(["plan", sweep_file(judges=[])]) == 0
    assert "best pictures" not in capsys.readouterr().out


def test_plan_says_what_the_store_holds(capsys: Output) -> None:
    publish_sample(open_store("runs"), name="t", prompts=["a red heart"], engines=["dalle"])
    file = sweep_file(prompts=["a red heart", "a rocket"], engines=["dalle", "strokes"], iterations=60)
    assert cli.run_command(["plan", file, "--store", "runs"]) == 0
    rows = {line[:14].strip(): line[14:].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert (rows["trials"], rows["done already"], rows["to be made"]) == ("4 (dalle 2, strokes 2)", "1 (dalle 1)", "3 (dalle 1, strokes 2)")
    assert "same name" not in rows
    assert cli.run_command(["plan", sweep_file(), "--store", "runs"]) == 0
    rows = {line[:14].strip(): line[14:].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert (rows["done already"], rows["to be made"]) == ("0", "1 (strokes 1)")
    assert rows["same name"] == "1 other trial is published: `run` refuses, unless with --add or --replace"


def test_plan_says_where_more_iterations_continue(capsys: Output) -> None:
    settings = {"engines": ["big-sleep", {"engine": "strokes", "rate_schedule": ["constant", "steps"]}, "dalle"], "keep_states": True}
    for shard in shards(load_sweep(sweep_file(**settings, iterations=20))):
        open_store("runs").write(state_key(shard), b"state")
    assert cli.run_command(["plan", sweep_file(**settings, iterations=30), "--store", "runs"]) == 0
    rows = {line[:14].strip(): line[14:].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["continued"] == "2 trials from iteration 20, where the kept state fits"
    assert rows["states"] == "not kept of some strokes, dalle: with more iterations they start over"
    assert cli.run_command(["plan", sweep_file(iterations=20), "--store", "runs"]) == 0
    assert not {"continued", "states"} & {line[:14].strip() for line in capsys.readouterr().out.splitlines()}


def test_a_name_that_is_taken_is_refused_with_the_choices(capsys: Output) -> None:
    publish_sample(open_store("runs"), name="t")
    sentence = refused(capsys, "run", sweep_file())
    assert "sweep 't': 12 trials of another sweep file are published under this name" in sentence
    assert "--add" in sentence and "--replace" in sentence and "another name" in sentence
    assert cli.run_command(["query", "SELECT count(*) AS n FROM trials", "--csv"]) == 0
    assert capsys.readouterr().out == "n\n12\n", "nothing is lost"


def test_query_prints_a_table_csv_or_json(capsys: Output) -> None:
    publish_sample(open_store("runs"))
    sql = "SELECT engine, count(*) AS n, max(judge_best) AS best FROM trials GROUP BY engine ORDER BY engine"
    assert cli.run_command(["query", sql]) == 0
    printed = capsys.readouterr().out
    assert "engine" in printed and "dalle" in printed and printed.endswith("2 rows\n")
    assert cli.run_command(["query", sql, "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "engine,n,best" and lines[1].startswith("dalle,6,0.")
    assert cli.run_command(["query", sql, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["n"] for row in rows] == [6, 6]


def test_every_iteration_has_its_row(capsys: Output) -> None:
    publish_sample(open_store("runs"))
    assert cli.run_command(["query", "SELECT trial_id, count(*) AS n FROM scores GROUP BY trial_id", "--json"]) == 0
    assert [row["n"] for row in json.loads(capsys.readouterr().out)] == [60] * 12


def test_query_refuses_what_it_cannot_answer(capsys: Output) -> None:
    assert "has no published sweep" in refused(capsys, "query", "SELECT 1")
    publish_sample(open_store("runs"))
    assert 'column "nothing" not found' in refused(capsys, "query", "SELECT nothing FROM trials")


def test_status_lists_every_sweep(capsys: Output) -> None:
    assert cli.run_command(["status"]) == 0
    assert capsys.readouterr().out == f"Store {open_store('runs').uri} knows of no sweep yet.\n"
    publish_sample(open_store("runs"), diverged=1)
    open_store("runs").write("made-up/sweep.yaml", b"name: made-up")
    assert cli.run_command(["status"]) == 0
    assert "made-up 10 of 12 trials 2 – – –" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["", "..", "../x", "a//b", ","])
def test_what_is_no_name_is_no_sweep(name: str, capsys: Output) -> None:
    publish_sample(open_store("runs"))
    assert "has no published sweep" in refused(capsys, "review", name)
    assert "knows nothing of it" in refused(capsys, "status", name)


def test_show_draws_and_copies(capsys: Output) -> None:
    publish_sample(open_store("runs"))
    assert cli.run_command(["show", "made-up", "--to", "out"]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [
        "runs/made-up/summary/contact-sheet.png",
        "out/made-up-contact-sheet.png",
        "runs/made-up/summary/curves.png",
        "out/made-up-curves.png",
    ]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in printed)


def test_show_names_and_copies_every_page(capsys: Output) -> None:
    publish_sample(open_store("runs"), seeds={"count": 8})  # 96 trials
    assert cli.run_command(["show", "made-up", "--to", "out"]) == 0
    pages = [Path(line) for line in capsys.readouterr().out.split() if "contact-sheet" in line]
    assert len(pages) > 4 and [page.name for page in pages[:4]] == [
        "contact-sheet.png", "made-up-contact-sheet.png", "contact-sheet-2.png", "made-up-contact-sheet-2.png",
    ]  # fmt: skip
    assert all(drawn.read_bytes() == copied.read_bytes() for drawn, copied in zip(pages[::2], pages[1::2], strict=True))


def test_show_names_the_nearest_sweep(capsys: Output) -> None:
    publish_sample(open_store("runs"))
    assert "did you mean 'made-up'?" in refused(capsys, "show", "made-pu")
    assert "none yet" in refused(capsys, "show", "made-up", "--store", "elsewhere")


def test_the_store_comes_from_the_environment(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_STORE", "elsewhere")
    publish_sample(open_store("elsewhere"))
    assert cli.run_command(["query", "SELECT 1 AS one", "--csv"]) == 0
    assert capsys.readouterr().out == "one\n1\n"


def test_doctor_finds_whole_and_damaged_weights(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert cli.run_command(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "weights starter-guide" in printed and "runs can be written" in printed and "broken" not in printed
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_weights, damaged)
    truncate(damaged / "starter-dvae.safetensors")
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(damaged))
    assert cli.run_command(["doctor"]) == 1
    assert "broken" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["HOME", "XDG_STATE_HOME", "PREFECT_HOME", "DREAMSWEEP_WEIGHTS"])
def test_doctor_names_the_variable_of_a_folder_that_cannot_be_written(
    variable: str, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    for name in ("XDG_STATE_HOME", "PREFECT_HOME", "DREAMSWEEP_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    monkeypatch.setenv("COLUMNS", "400")
    assert cli.run_command(["doctor"]) == 0, "a plain run does without them"
    lines = [line for line in capsys.readouterr().out.splitlines() if "cannot be written" in line]
    assert len(lines) == (3 if variable == "HOME" else 1)
    assert all(line.split()[0] == "no" and f"{variable}: '{tmp_path}/file" in line and "Not a directory" in line for line in lines)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def test_schema_is_json(capsys: Output) -> None:
    assert cli.run_command(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Sweep"


@pytest.mark.parametrize("command", ["run", "plan", "query", "find", "show", "doctor", "schema"])
def test_every_help_shows_an_example(command: str, capsys: Output) -> None:
    assert cli.run_command([command, "--help"]) == 0
    assert f"Example: dreamsweep {command}" in capsys.readouterr().out


def test_the_version(capsys: Output) -> None:
    assert cli.run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"dreamsweep {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_commands(shell: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setenv("_DREAMSWEEP_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "dreamsweep re")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("COMP_WORDS", "dreamsweep re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert cli.run_command([]) == 0
    assert "review" in capsys.readouterr().out


def test_it_runs_as_a_module_and_loads_nothing_heavy() -> None:
    heavy = "[m for m in ('torch', 'prefect', 'duckdb', 'boto3') if m in sys.modules]"
    code = f"import sys; from dreamsweep.cli.main import run_command; run_command(['--help']); print({heavy})"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
    assert subprocess.run([sys.executable, "-m", "dreamsweep", "--help"], capture_output=True, check=False).returncode == 0


def test_plan_loads_no_torch_and_says_what_starters_and_published_networks_will_not_read() -> None:
    Path("t.yaml").write_text("name: t\nprompts: [a red zeppelin]\nengines: [strokes]\nguide: [starter-guide, RN50]\n", encoding="utf-8")
    prompts = Path(__file__).parents[3] / "prompts"
    files = [str(prompts / "demo.yaml"), str(prompts / "published.yaml"), "t.yaml"]
    heavy = "[m for m in ('torch', 'clip', 'prefect', 'duckdb', 'boto3') if m in sys.modules]"
    code = f"import sys; from dreamsweep.cli.main import run_command; print([run_command(['plan', f]) for f in {files}], {heavy})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[0, 0, 0] []"
    assert answer.stderr.splitlines() == [
        f"note: {name} never learned 'zeppelin' and passes over it" for name in ("starter-guide", "starter-judge")
    ]


def test_gc_says_what_can_go_and_removes_it_only_when_told(capsys: Output) -> None:
    publish_sample(open_store("runs"))
    stray = Path("runs/demo/pictures/0123456789abcdef/best.png")
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"pixels")
    assert cli.run_command(["gc"]) == 0
    assert "Nothing can go (" in capsys.readouterr().out  # it is young
    assert cli.run_command(["gc", "--older-than", "0s"]) == 0
    printed = capsys.readouterr().out
    assert "pictures" in printed and "1 object, 6 Bytes can go; nothing was removed." in printed
    assert cli.run_command(["gc", "--older-than", "0s", "--keep", "de*", "--apply"]) == 0
    assert "Nothing can go (" in capsys.readouterr().out
    assert stray.exists()
    assert cli.run_command(["gc", "--older-than", "0s", "demo", "--apply"]) == 0
    assert "Removed: 1 object, 6 Bytes." in capsys.readouterr().out
    assert not stray.exists()
    assert cli.run_command(["query", "SELECT count(*) AS n FROM trials"]) == 0


def test_gc_gathers_people_s_marks(capsys: Output) -> None:
    store = open_store("runs")
    publish_sample(store)
    for stars in (3.0, 5.0):
        append(store, "made-up", "ratings", {"trial_id": "0" * 16, "kind": "stars", "value": stars, "rated_by": "anna"})
    assert cli.run_command(["gc"]) == 0
    assert "marks" not in capsys.readouterr().out and len(list(store.keys("made-up/appended/ratings/"))) == 2
    assert cli.run_command(["gc", "--apply"]) == 0
    assert "made-up: 2 marks of people in one file now." in capsys.readouterr().out
    (folded,) = store.keys("made-up/appended/ratings/")
    assert folded.endswith(".parquet")
    assert cli.run_command(["query", "SELECT sum(value) AS stars FROM ratings"]) == 0
    assert "8" in capsys.readouterr().out


def test_gc_wants_a_span_of_time(capsys: Output) -> None:
    assert "--older-than: '7 weeks' is not a duration" in refused(capsys, "gc", "--older-than", "7 weeks")
