"""`dreamsweep verify`, and every other command over a store, beside sweeps that are damaged."""

import json
from pathlib import Path

import pytest
import torch

from dreamsweep.cli import main as cli
from dreamsweep.compute.images import png_bytes
from dreamsweep.results.appended import append
from dreamsweep.results.manifest import published_manifest
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.report.test_search import JUDGE, near, publish_embedded
from tests.dreamsweep.sample_rows import sample_trial
from tests.dreamsweep.tables.test_parquet import with_flipped_footer

Output = pytest.CaptureFixture[str]
BAD = {
    "garbage/manifest.json": b"\x00garbage",
    "outside/manifest.json": b"",
    "tableless/manifest.json": b'{"format": 2, "tables": {}}',
    "deep/manifest.json": b"[" * 100_000,
    "torn/staging/a/manifest.json": b"{",
    "stray/states/x": b"another program's",
    "hearts/states/x": b"another program's",
    "hearts/appended/ratings/x.json": b"[]",
    "hearts/appended/ratings/y.json": b"{",
    "hearts/appended/ratings/z.json": b"[" * 100_000,
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store `runs` with one sweep of two trials, and their pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DREAMSWEEP_STORE", raising=False)
    store = open_store("runs")
    trials = {sample_trial(seed=seed): [(6, JUDGE, near("a red heart", 0.5 + 0.1 * seed))] for seed in range(2)}
    publish_embedded(store, "hearts", trials)
    return store


def with_pictures(store: Store) -> None:
    from dreamsweep.results.verification import verify

    for fault in [fault for checked in verify(store, "hearts") for fault in checked.faults]:
        store.write(fault.key, png_bytes(torch.zeros(3, 8, 8, dtype=torch.uint8), "{}"))


def test_whole_damaged_and_repaired(store: Store, capsys: Output) -> None:
    with_pictures(store)
    assert cli.run_command(["verify"]) == 0
    assert capsys.readouterr().out.startswith("hearts: ") and capsys.readouterr().err == ""
    (key,) = published_manifest(store, "hearts").tables["scores"]
    store.write(key, b"cut")
    assert cli.run_command(["verify", "hearts"]) == 1
    output = capsys.readouterr()
    assert "0 are missing and 1 damaged" in output.out and f"damaged  {key}" in output.out
    assert output.err == "hearts: Tables are written again from staged rows. To do so: the same command with --repair.\n"
    assert cli.run_command(["verify", "hearts", "--repair"]) == 0
    assert "hearts: tables written again and published" in capsys.readouterr().out
    assert cli.run_command(["verify", "--json"]) == 0
    (outcome,) = json.loads(capsys.readouterr().out)
    assert (outcome["sweep"], outcome["faults"], outcome["repaired"]) == ("hearts", [], None)


def test_what_must_be_made_again_is_said_and_made_by_the_next_run(store: Store, capsys: Output) -> None:
    with_pictures(store)
    lost = keys.picture("hearts", sample_trial(seed=0).id, keys.BEST)
    store.delete(lost)
    assert cli.run_command(["verify"]) == 1
    output = capsys.readouterr()
    assert f"missing  {lost}" in output.out and "files of 1 trial must be made again" in output.err.lower()
    assert cli.run_command(["verify", "--repair"]) == 1
    assert "run the sweep again to make 1 shard anew" in capsys.readouterr().out


def test_no_such_sweep(capsys: Output) -> None:
    assert cli.run_command(["verify", "heart"]) == 2
    assert "has nothing of a sweep 'heart' to verify; did you mean 'hearts'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [["gc", "--older-than", "0s"], ["gc", "--older-than", "0s", "--apply"], ["status"], ["query", "FROM ratings"], ["query", "best"],
     ["find", "a red heart", "--sheet", "a.png"], ["show", "hearts"], ["status", "hearts"], ["doctor"]],
    ids=" ".join,
)  # fmt: skip
def test_a_command_goes_on_beside_bad_sweeps(store: Store, command: list[str], capsys: Output, caplog: pytest.LogCaptureFixture) -> None:
    text = store.read("hearts/manifest.json").decode()
    for key, content in BAD.items():
        store.write(key, content or text.replace('"hearts/', '"../hearts/').encode())
        store.write(f"{key.partition('/')[0]}/sweep.yaml", b"name: x")
    assert cli.run_command(command) == 0
    output = capsys.readouterr()
    assert "Traceback" not in output.err and "went wrong" not in output.err
    if command[0] in ("gc", "query", "find", "status") and command[-1] != "hearts":
        assert "garbage/manifest.json" in caplog.text and "outside/manifest.json" in caplog.text


def test_gc_names_damaged_tables_and_marks_and_goes_on(store: Store, capsys: Output, caplog: pytest.LogCaptureFixture) -> None:
    (trials,) = (key for key in store.keys("hearts/tables/") if key.endswith("trials.parquet"))
    store.write(trials, with_flipped_footer(store.read(trials)))
    append(store, "hearts", "ratings", {"trial_id": sample_trial().id, "kind": "stars", "value": 3.0, "rated_by": "anna"})
    marks = "hearts/appended/ratings/0123456789abcdef.parquet"
    store.write(marks, b"no table")
    store.write("more/pictures/stray/best.png", b"x")
    assert cli.run_command(["gc", "--older-than", "0s", "--apply"]) == 0
    assert "Removed: 1 object" in capsys.readouterr().out
    assert f"{trials!r} cannot be read" in caplog.text and f"{marks!r} cannot be read" in caplog.text


def test_every_bad_sweep_is_verified_and_the_rest_with_it(store: Store, capsys: Output) -> None:
    with_pictures(store)
    text = store.read("hearts/manifest.json").decode()
    for key, content in BAD.items():
        store.write(key, content or text.replace('"hearts/', '"../hearts/').encode())
    store.write("newer/manifest.json", b'{"format": 99}')
    assert cli.run_command(["verify"]) == 1
    output = capsys.readouterr()
    for name in ("garbage", "outside", "tableless"):
        assert f"{name}: of 1 object, 0 are missing and 1 damaged" in output.out
    assert "torn: of 1 object, 0 are missing and 1 damaged" in output.out and "all whole" in output.out
    assert "newer: store" in output.err and "written by a newer dreamsweep" in output.err
