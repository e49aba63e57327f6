"""Running sweeps by the page's addresses: how far, how long, what failed."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dreamsweep.planning.expand import shards
from dreamsweep.planning.sweep_file import sweep_text
from dreamsweep.results.handoff import Progress, write_progress
from dreamsweep.results.manifest import published_manifest
from dreamsweep.results.publishing import gather, publish
from dreamsweep.review import live
from dreamsweep.review.app import make_app
from dreamsweep.store.local import LocalStore
from tests.dreamsweep.sample_sweep import publish_sample, sample_sweep, stage_sample


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setattr(live, "FRESH_SECONDS", 0.0)
    return LocalStore(tmp_path / "runs")


def test_a_running_sweep_from_its_start_to_its_end(store: LocalStore) -> None:
    client = TestClient(make_app(store))
    assert client.get("/api/status").json() == []
    sweep = sample_sweep(shard_size=3)  # two engines, six prompts: four shards of three trials, sixty iterations each
    store.write("made-up/sweep.yaml", sweep_text(sweep).encode())
    first, second, *_ = listed = list(shards(sweep))
    stage_sample(store, first, diverged=1)
    write_progress(store, "made-up", replace(Progress.of_planned(second), iteration=30, iterations_per_second=6.0))
    status = client.get("/api/sweeps/made-up/status").json()
    assert (status["generation"], status["done"], status["trials"], status["share"]) == (None, 0, 12, 1.5 / 4)
    assert status["seconds_left"] == pytest.approx(0.625 * 12 * 60 / 6) and len(status["running"]) == 1 and status["silent"] == 0
    assert client.get("/api/sweeps/made-up").status_code == 404
    publish(store, gather(store, "made-up", {trial.id for shard in listed for trial in shard.trials}, "0" * 64))
    status = client.get("/api/sweeps/made-up/status").json()
    assert status["generation"] == published_manifest(store, "made-up").generation and status["done"] == 3
    assert status["failures"] == [{"status": "diverged", "error": "loss is not a number", "trials": 1}]
    assert [state["sweep"] for state in client.get("/api/status").json()] == ["made-up"]


def test_shards_without_a_sign_of_life_and_given_up_ones(store: LocalStore) -> None:
    publish_sample(store)
    first, second = list(shards(sample_sweep(seeds=[1])))[:2]
    write_progress(store, "made-up", Progress.of_planned(first))
    write_progress(store, "made-up", replace(Progress.of_planned(second), status="given up"))
    path = store.folder / f"made-up/staging/{first.shard_id}/progress.json"
    os.utime(path, (time.time() - 600, time.time() - 600))
    status = TestClient(make_app(store)).get("/api/sweeps/made-up/status").json()
    assert (status["silent"], status["given_up"], status["share"], status["seconds_left"]) == (1, 1, None, None)


def test_a_finished_sweep_is_not_under_way_and_an_unknown_one_is_none(store: LocalStore) -> None:
    publish_sample(store)
    client = TestClient(make_app(store))
    assert client.get("/api/status").json() == []
    assert client.get("/api/sweeps/other/status").status_code == 404


def test_a_sweep_file_that_cannot_be_read_here_costs_only_the_share(store: LocalStore) -> None:
    publish_sample(store)
    for text in ("prompts: [", "name: made-up\nprompts: /nowhere/names.txt\nengines: [dalle]\n"):
        store.write("made-up/sweep.yaml", text.encode())
        status = TestClient(make_app(store)).get("/api/sweeps/made-up/status")
        assert status.status_code == 200 and status.json()["share"] is None and status.json()["done"] == 12
