"""An engine and a judge of another package: found by their entry points, run, stored in the tables, and shown on the review page."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
TOYS = Path(__file__).with_name("toys")
ENTRY_POINTS = """
[dreamsweep.engines]
flat-colour = colours.spec:FlatSpec
dalle = colours.spec:FlatSpec
lost = colours.nowhere:LostSpec
no-spec = colours.judge:Redness
other-name = colours.spec:FlatSpec

[dreamsweep.judges]
redness = colours.judge:Redness
broken = colours.nowhere:Broken
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the metadata of the toy package, as an installer would have written it."""
    folder = tmp_path_factory.mktemp("site")
    metadata = folder / "colour_toys-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: colour-toys\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run(code: str, installed: Path, tmp_path: Path) -> Any:
    """What a process with the toy package prints last, as JSON."""
    path = os.pathsep.join(map(str, (REPOSITORY, TOYS, installed)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


LISTED = """
import json, logging
logging.basicConfig(level="WARNING", format="%(message)s", handlers=[logging.FileHandler("log.txt")])
from dreamsweep.errors import DreamsweepError
from dreamsweep.judges.registry import make_judge
from dreamsweep.planning.json_schema import sweep_schema
from dreamsweep.planning.sweep_file import parse_text
from dreamsweep.spec import ENGINES, judge_names
from pathlib import Path

def error_of(call):
    try:
        call()
    except DreamsweepError as error:
        return str(error)

def read(engine, judge):
    return error_of(lambda: parse_text(f"{{name: t, prompts: [a], engines: [{engine}], judge: {judge}}}", Path(), "t"))

schema = sweep_schema()
print(json.dumps({
    "engines": list(ENGINES), "judges": judge_names()[-2:], "errors": {k: str(v) for k, v in ENGINES.errors.items()},
    "schema": "FlatGrid" in schema["$defs"] and "redness" in schema["properties"]["judge"]["enum"],
    "fine": read("flat-colour", "redness"), "lost": read("lost", "redness"), "near": read("flat-color", "redness"),
    "near judge": read("dalle", "rednes"), "broken judge": error_of(lambda: make_judge("broken", [], "cpu")),
}))
"""


def test_what_is_usable_is_listed_and_what_is_broken_is_reported(installed: Path, tmp_path: Path) -> None:
    listed = run(LISTED, installed, tmp_path)
    assert listed["engines"] == ["dalle", "strokes", "big-sleep", "guided-diffusion", "interpolation", "unclip", "flat-colour"]
    assert listed["judges"] == ["broken", "redness"] and listed["schema"] and listed["fine"] is None
    assert listed["errors"] == {
        "dalle of colour-toys 1.2": "engine 'dalle' of colour-toys 1.2 cannot be used (dreamsweep itself has one of that name); "
        "update that package, or uninstall it.",
        "lost": "engine 'lost' of colour-toys 1.2 cannot be used (ModuleNotFoundError: No module named 'colours.nowhere'); "
        "update that package, or uninstall it.",
        "no-spec": "engine 'no-spec' of colour-toys 1.2 cannot be used (colours.judge:Redness is no subclass of dreamsweep.spec.AnySpec); "
        "update that package, or uninstall it.",
        "other-name": "engine 'other-name' of colour-toys 1.2 cannot be used (its spec has no field "
        "'engine: Literal['other-name'] = 'other-name''); update that package, or uninstall it.",
    }
    assert (tmp_path / "log.txt").read_text().splitlines() == list(listed["errors"].values())
    assert listed["lost"] == f"t:1:35: engines[0]: {listed['errors']['lost']}"
    assert listed["near"].startswith("t:1:35: engines[0]: no engine 'flat-color'; did you mean 'flat-colour'?")
    assert listed["near judge"].startswith("t:1:43: judge: no 'rednes'; did you mean 'redness'?")
    assert listed["broken judge"].startswith("judge 'broken' of colour-toys 1.2 cannot be used (ModuleNotFoundError")


SWEPT = """
import json
from pathlib import Path
from dreamsweep.generation.shard import run_shard
from dreamsweep.planning.expand import plan, shards, trials
from dreamsweep.planning.estimate import estimate_seconds
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.report.query import query
from dreamsweep.results.publishing import publish_whole
from dreamsweep.review.app import make_app
from dreamsweep.store import open_store
from fastapi.testclient import TestClient

engine = {"engine": "flat-colour", "side": [16, 24], "cutouts": 2}
sweep = parse_sweep({"name": "toy", "prompts": ["red"], "engines": [engine], "iterations": 12, "judge": "redness"}, Path(), "toy")
store = open_store("runs")
for shard in shards(sweep):
    list(run_shard(shard, store, "cpu"))
publish_whole(store, "toy", [trial.id for trial in trials(sweep)], "0" * 64)
client = TestClient(make_app(store))
wall = client.get("/api/sweeps/toy").json()
trial = client.get(f"/api/sweeps/toy/trials/{wall['tiles'][0]['id']}").json()
columns = "engine, flat_colour.side AS side, judge_name, judge_best, artefacts, weights_sha256, optimizer"
print(json.dumps({
    "estimate": estimate_seconds(sweep, plan(sweep)), "wall": wall, "trial": trial,
    "rows": query(store, f"SELECT {columns} FROM trials ORDER BY side", "toy").to_pylist(),
    "texts": [store.read(key).decode() for key in store.keys("toy/") if key.endswith("colour.txt")],
}))
"""


def test_a_sweep_of_a_toy_engine_with_a_toy_judge(installed: Path, tmp_path: Path) -> None:
    swept = run(SWEPT, installed, tmp_path)
    assert swept["estimate"] is None
    assert [(row["engine"], row["side"], row["judge_name"], row["optimizer"]) for row in swept["rows"]] == [
        ("flat-colour", 16, "redness", "adam"), ("flat-colour", 24, "redness", "adam"),
    ]  # fmt: skip
    assert all("redness" in dict(row["weights_sha256"]) and "colour.txt" in dict(row["artefacts"]) for row in swept["rows"])
    assert len(swept["texts"]) == 2 and all(text.startswith("[") for text in swept["texts"])
    assert {tile["engine"] for tile in swept["wall"]["tiles"]} == {"flat-colour"} and swept["wall"]["trials"] == 2
    assert {tile["label"] for tile in swept["wall"]["tiles"]} == {"flat-colour · side 16", "flat-colour · side 24"}
    assert swept["trial"]["settings"]["cutouts"] == "2" and swept["trial"]["files"]["best"] == "best.png"


CONFORMS = """
import colours.spec  # before anything of dreamsweep: the package that is being listed may be the one that imports dreamsweep
import json, torch
from colours.judge import Redness
from dreamsweep.testing import ENGINE_CHECKS, check_judge, trials_of
spec = colours.spec.FlatSpec(num_iter=12, side=16)
for check in ENGINE_CHECKS:
    check(spec)
check_judge(Redness(trials_of(spec, [0, 1]), "cpu"), torch.rand(2, 3, 16, 16))
print(json.dumps([check.__name__ for check in ENGINE_CHECKS]))
"""


def test_the_checks_for_other_packages_pass(installed: Path, tmp_path: Path) -> None:
    assert len(run(CONFORMS, installed, tmp_path)) == 9
