"""Outages of the store and of Prefect's API, through the real flow and its tasks, against a real Prefect server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamsweep.flows.shard import UNREACHABLE, ShardRequest, shard
from dreamsweep.flows.sweep import SweepRequest, sweep
from dreamsweep.generation.shard import run_shard
from dreamsweep.planning.expand import Shard, shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.handoff import Progress, write_shard
from dreamsweep.results.manifest import read_manifest, shard_is_done
from dreamsweep.spec import Sweep
from dreamsweep.store import open_store
from dreamsweep.tasks import generate
from tests.outages import Outage, make_stores_fail, shorten_retries

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server", "tiny_weights")]
ITERATIONS = 6
USED = ("check", "delete", "exists", "get", "keys", "link", "read", "read_file", "replace", "write", "write_file")
"""Operations that a sweep made here may use."""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    outage = Outage()
    make_stores_fail(outage, monkeypatch)
    return outage


def wanted() -> Sweep:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    content = {"name": "t", "prompts": ["a", "b"], "engines": [engine], "iterations": ITERATIONS, "snapshot_every": 2, "shard_size": 1}
    return parse_sweep(content, Path(), "test")


def pictures(folder: str) -> dict[str, bytes]:
    store = open_store(folder)
    return {key: store.read(key) for key in store.keys("t/pictures/")}


def test_a_store_that_fails_a_few_times_and_then_works_costs_nothing(
    folder: str, tmp_path: Path, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = sweep(SweepRequest(sweep=wanted(), store=str(tmp_path / "calm")))
    used = {operation for operation in USED if outage.calls[operation]}
    shorten_retries(monkeypatch, 0.001)
    outage.fail_first(2, *USED)
    assert sweep(SweepRequest(sweep=wanted(), store=folder)) == undisturbed
    assert used >= {"check", "delete", "exists", "get", "keys", "read", "write"}
    assert {operation for operation in USED if outage.failures[operation] == 2} >= used
    assert pictures(folder) == pictures(str(tmp_path / "calm"))


def test_an_outage_longer_than_every_retry_of_a_task_loses_no_shard_of_a_local_run(
    folder: str, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def watched(shard: Shard, *others: Any) -> Iterator[Progress]:
        for step in run_shard(shard, *others):
            if step.status == "running" and step.iteration == 3 and not outage.failures:
                outage.begin(failures=2 * generate.generate_shard.retries)
            seen.append((step.status, step.iteration))
            yield step

    monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    monkeypatch.setattr(generate, "run_shard", watched)
    shorten_retries(monkeypatch, 0.0005)
    manifest = sweep(SweepRequest(sweep=wanted(), store=folder))
    assert (manifest.trials, manifest.done) == (2, 2) and outage.failures.total() == 2 * generate.generate_shard.retries
    assert {("resumed", 2), ("resumed", 3)} & {*seen}, "from the last checkpoint, or the one before where the outage met its write"
    assert len([step for step in seen if step == ("running", 1)]) == 2, "no shard begins anew"


def test_a_shard_elsewhere_ends_as_unreachable_and_goes_on_when_the_store_is_back(
    folder: str, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = next(shards(wanted()))
    write_shard(open_store(folder), planned)
    shorten_retries(monkeypatch, 0.0005)
    outage.is_away = lambda operation: operation == "write"
    request = ShardRequest(sweep="t", shard_id=planned.shard_id, store=folder, device="cpu")
    state = shard(request, return_state=True)
    assert (state.name, state.message) == (UNREACHABLE, "store does not answer (write).")
    outage.is_away = lambda operation: False
    assert shard(request, return_state=True).is_completed()
    assert shard_is_done(open_store(folder), "t", planned.shard_id, [trial.id for trial in planned.trials])
    assert read_manifest(open_store(folder), "t") is None
