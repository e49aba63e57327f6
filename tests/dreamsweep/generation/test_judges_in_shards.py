"""Further judges of a sweep: scored in its shards, once, by the same path as after the fact."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamsweep.errors import StoreUnavailableError
from dreamsweep.generation import judging
from dreamsweep.generation import shard as shard_module
from dreamsweep.generation.judging import judge_sweep
from dreamsweep.generation.shard import ShardStoppedError, run_shard
from dreamsweep.judges import registry
from dreamsweep.planning.expand import shards, trials
from dreamsweep.report.query import query
from dreamsweep.results.handoff import read_shard, write_shard
from dreamsweep.results.manifest import done_shards
from dreamsweep.results.missing import is_complete, missing, work
from dreamsweep.results.publishing import publish_whole
from dreamsweep.results.remaining import remaining
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, open_store
from tests.dreamsweep.fakes import ColourPerceptor
from tests.dreamsweep.generation.sweeps import small_sweep

NAMES = ["views:starter-guide", "labels:things"]
STROKES = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}


@pytest.fixture(autouse=True, scope="module")
def colours_for_perceptors() -> Iterator[None]:
    """No network is needed here: who is asked, when and how often is what is tested."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (shard_module, registry):
            patched.setattr(module, "load_perceptor", lambda name, device: ColourPerceptor())
        yield


def in_folder(folder: Path) -> Store:
    return open_store(str(folder))


def run(store: Store, sweep: Sweep) -> None:
    """Makes what the store lacks of a sweep and publishes it, without drawing a summary."""
    for shard in work(sweep, list(done_shards(store, sweep.name))):
        list(run_shard(shard, store, "cpu"))
    publish_whole(store, sweep.name, [trial.id for trial in trials(sweep)], "0" * 64)


def rows(store: Store) -> list[dict[str, Any]]:
    """All judgements, less the time at which each was made."""
    columns = "trial_id, picture, iteration, judge, version, prompt, score, reason, details, error"
    judgements: list[dict[str, Any]] = query(store, f"SELECT {columns} FROM judgements ORDER BY trial_id, judge", "t").to_pylist()
    return judgements


def assert_same(table: list[dict[str, Any]], other: list[dict[str, Any]], count: int) -> None:
    """Two tables have the same rows; sums of other batches and threads may round otherwise."""
    assert len(table) == count
    for ours, theirs in zip(table, other, strict=True):
        assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-3)
        assert dict(ours.pop("details") or ()).keys() == dict(theirs.pop("details") or ()).keys()
        assert (ours.pop("reason") is None) == (theirs.pop("reason") is None)
        assert ours == theirs


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A published sweep of four trials, judged in its shards by two further judges."""
    store = in_folder(tmp_path_factory.mktemp("judged"))
    run(store, small_sweep(judges=NAMES))
    return store


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trials of each batch that an engine begins to draw."""
    drawn: list[int] = []
    begin = shard_module._Run.__init__

    def counting(self: Any, shard: Any, *rest: Any) -> None:
        drawn.append(len(shard.trials))
        begin(self, shard, *rest)

    monkeypatch.setattr(shard_module._Run, "__init__", counting)
    return drawn


def test_each_judge_scores_the_best_picture_of_each_trial_once(judged: Store) -> None:
    table = rows(judged)
    assert len(table) == 8 and {row["judge"] for row in table} == {*NAMES}
    assert {row["picture"] for row in table} == {"best.png"} and {row["error"] for row in table} == {None}
    best = {row["trial_id"]: row["best_iteration"] for row in query(judged, "SELECT trial_id, best_iteration FROM trials").to_pylist()}
    assert {row["trial_id"]: row["iteration"] for row in table} == best
    chosen = query(judged, "SELECT DISTINCT judge, chose_best FROM ranks ORDER BY ALL").to_pylist()
    assert {(row["judge"], row["chose_best"]) for row in chosen} == {*((name, False) for name in NAMES), ("starter-judge", True)}


def test_after_the_fact_the_rows_are_the_same(judged: Store, tmp_path: Path) -> None:
    store = in_folder(tmp_path)
    run(store, small_sweep(judges=[]))
    assert rows(store) == []
    list(judge_sweep(store, "t", NAMES, device="cpu"))
    assert_same(rows(store), rows(judged), 8)


def test_more_judges_later_score_only_what_is_new(tmp_path: Path, counted: list[int]) -> None:
    store = in_folder(tmp_path)
    run(store, small_sweep(judges=NAMES[:1]))
    before, counted[:] = {key: store.read(key) for key in store.keys("t/") if "/judged/" in key or "/pictures/" in key}, []
    assert before and {trial.id for shard in shards(small_sweep()) for trial in shard.trials} == {row["trial_id"] for row in rows(store)}
    assert [remaining(store, small_sweep(judges=names)).unscored for names in (NAMES, NAMES[:1], [])] == [4, 0, 0]
    run(store, small_sweep(judges=NAMES))
    assert counted == [] and {key: store.read(key) for key in before} == before
    assert [row["judge"] for row in rows(store)] == sorted(NAMES) * 4
    assert not list(work(small_sweep(judges=NAMES), done_shards(store, "t")))
    assert not list(work(small_sweep(judges=[]), done_shards(store, "t")))


def test_labels_of_a_file_travel_with_the_shard_and_count_by_their_content(tmp_path: Path) -> None:
    store, listed = in_folder(tmp_path / "store"), tmp_path / "shapes.txt"
    listed.write_text("heart\nstar\n")
    sweep = small_sweep(engines=[STROKES], prompts=["a red heart"], judges=[f"labels:{listed}"])
    (shard,) = shards(sweep)
    write_shard(store, shard)
    listed.unlink()
    list(run_shard(read_shard(store, "t", shard.shard_id), store, "cpu"))
    run(store, sweep)
    (row,) = rows(store)
    assert set(dict(row["details"])) == {"heart", "star"} and row["score"] == pytest.approx(dict(row["details"])["heart"])
    listed.write_text("heart\nmoon\n")
    (other,) = shards(small_sweep(engines=[STROKES], prompts=["a red heart"], judges=[f"labels:{listed}"]))
    assert not is_complete(store, other)


def test_a_picture_that_a_judge_cannot_score_is_a_row_and_the_shard_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Moody:
        def __init__(self, trials: Any) -> None:
            self.trials = trials

        def score(self, pictures: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
            if any(trial.prompt.text == "a red heart" for trial in self.trials):
                raise ZeroDivisionError("no hearts")
            return torch.ones(len(pictures)), torch.zeros(len(pictures), 0)

    monkeypatch.setattr(judging, "make_judge", lambda name, trials, device, labels, teach: Moody(trials))
    store = in_folder(tmp_path)
    run(store, small_sweep(judges=NAMES[:1]))
    said = {(row["prompt"], row["score"], row["error"]) for row in rows(store)}
    assert said == {("a red heart", None, "ZeroDivisionError: no hearts"), ("a green apple", 1.0, None)}
    assert not list(work(small_sweep(judges=NAMES[:1]), done_shards(store, "t")))


def test_a_store_that_does_not_answer_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = in_folder(tmp_path)
    shard, *_ = shards(small_sweep(judges=NAMES[:1]))

    def silent(*_: Any) -> None:
        raise StoreUnavailableError("the store does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(judging, "write_judged", silent)
        with pytest.raises(StoreUnavailableError):
            list(run_shard(shard, store, "cpu"))
    (staged,) = done_shards(store, "t")
    assert missing(shard, staged).judges == tuple(trial.id for trial in shard.trials)


def test_a_shard_that_is_told_to_stop_goes_on_with_its_judges(tmp_path: Path, counted: list[int]) -> None:
    store = in_folder(tmp_path)
    shard, *_ = shards(small_sweep(judges=NAMES))
    with pytest.raises(ShardStoppedError, match="was told to stop while films or scores were added"):
        list(run_shard(shard, store, "cpu", stop=lambda: bool(list(store.keys("t/judged/")))))
    assert not is_complete(store, shard)
    assert [step.status for step in run_shard(shard, store, "cpu")][-1] == "done"
    assert is_complete(store, shard) and counted == [2]


DIES = """
import os, signal, sys
from dreamsweep.generation import judging, shard
from dreamsweep.judges import registry
from tests.dreamsweep.fakes import ColourPerceptor
shard.load_perceptor = registry.load_perceptor = lambda name, device: ColourPerceptor()
write, calls = judging.write_judged, []
def write_twice_and_die(*arguments):
    calls.append(write(*arguments))
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
judging.TRIALS_A_CHUNK, judging.write_judged = 1, write_twice_and_die
"""
"""A process that is killed right after it has written its second chunk, of one trial."""
IN_A_SHARD = """
from dreamsweep.generation.shard import run_shard
from dreamsweep.results.handoff import read_shard
from dreamsweep.store import open_store
store = open_store(sys.argv[1])
list(run_shard(read_shard(store, "t", sys.argv[2]), store, "cpu"))
"""
BY_COMMAND = """
from dreamsweep.cli import main
main.run_command(["judge", "t", "--store", sys.argv[1], "--device", "cpu", "--with", "views:starter-guide", "--with", "labels:things"])
"""


def killed(script: str, *arguments: str) -> None:
    process = subprocess.run([sys.executable, "-c", DIES + script, *arguments], capture_output=True, text=True, timeout=300)
    assert process.returncode == -signal.SIGKILL, process.stderr


def test_a_shard_that_was_killed_while_it_judged_leaves_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "TRIALS_A_CHUNK", 1)
    sweep = small_sweep(engines=[STROKES], seeds=[0, 1], judges=NAMES)
    (shard,) = shards(sweep)
    whole, broken = in_folder(tmp_path / "whole"), in_folder(tmp_path / "broken")
    run(whole, sweep)
    write_shard(broken, shard)
    killed(IN_A_SHARD, str(tmp_path / "broken"), shard.shard_id)
    assert len(list(broken.keys("t/judged/"))) == 2 and not is_complete(broken, shard)
    run(broken, sweep)
    assert_same(rows(broken), rows(whole), 8)
    assert [*broken.keys("t/judged/")] == [*whole.keys("t/judged/")]


def test_a_judge_s_command_that_was_killed_leaves_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "TRIALS_A_CHUNK", 1)
    sweep = small_sweep(engines=[STROKES], judges=[])
    whole, broken = in_folder(tmp_path / "whole"), in_folder(tmp_path / "broken")
    for store in (whole, broken):
        run(store, sweep)
    list(judge_sweep(whole, "t", NAMES, device="cpu"))
    killed(BY_COMMAND, str(tmp_path / "broken"))
    assert len(rows(broken)) == 2
    list(judge_sweep(broken, "t", NAMES, device="cpu"))
    assert_same(rows(broken), rows(whole), 4)
    assert [*broken.keys("t/judged/")] == [*whole.keys("t/judged/")]


def test_two_workers_leave_what_one_leaves(judged: Store, tmp_path: Path) -> None:
    sweep = small_sweep(judges=NAMES)
    planned = [shard.shard_id for shard in shards(sweep)]
    store = in_folder(tmp_path)
    for shard in shards(sweep):
        write_shard(store, shard)

    def work_on(shard_id: str) -> str:
        return [step.status for step in run_shard(read_shard(store, "t", shard_id), store, "cpu")][-1]

    worker: Callable[[str], str] = work_on
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(worker, planned)) == ["done", "done"]
    run(store, sweep)
    assert [row["judge"] for row in rows(store)] == sorted(NAMES) * 4
    assert [*store.keys("t/judged/")] == [*judged.keys("t/judged/")]
