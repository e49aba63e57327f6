"""The flow against a real Prefect server: what it makes, what it makes again, and what one failing shard costs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, ArtifactFilterType
from prefect.client.schemas.sorting import ArtifactSort

from dreamsweep.errors import StoreError, SweepFileError, WeightsError
from dreamsweep.expand import Shard
from dreamsweep.manifest import read_manifest
from dreamsweep.planned import Progress
from dreamsweep.query import query
from dreamsweep.shard import run_shard
from dreamsweep.store import Store, open_store
from dreamsweep.sweepfile import parse_sweep
from flows.lost import STARTS
from flows.sweep import IncompleteSweepError, SweepRequest, sweep
from tasks import generate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server", "tiny_weights")]


def asked(store: Store, **changes: Any) -> SweepRequest:
    content = {
        "name": "t",
        "prompts": ["a red heart", "a green apple"],
        "engines": [
            {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2},
            {"engine": "dalle", "image_size": 32, "cutouts": 2},
        ],
        "iterations": 4,
        "snapshot_every": 2,
        "judge_every": 2,
        **changes,
    }
    return SweepRequest(sweep=parse_sweep(content, Path(), "test"), store=store.uri)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_a_sweep_is_made_published_and_summed_up(store: Store) -> None:
    manifest = sweep(asked(store))
    assert (manifest.trials, manifest.done, manifest.scores) == (4, 4, 16)
    assert read_manifest(store, "t") == manifest
    rows = query(store, "SELECT trial_id, count(*) AS n FROM scores GROUP BY trial_id").to_pylist()
    assert [row["n"] for row in rows] == [4] * 4
    for key in ("t/summary/contact-sheet.png", "t/summary/curves.png"):
        assert store.read(key).startswith(b"\x89PNG")
    assert parse_sweep(yaml.safe_load(store.read("t/sweep.yaml")), Path("/"), "again") == asked(store).sweep


def test_progress_shows_on_prefect_s_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.progress.ARTIFACT_SECONDS", 0.0)
    sweep(asked(store, name="told.often", prompts=["a red heart"], engines=[{"engine": "dalle", "image_size": 32, "cutouts": 2}]))
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(type=ArtifactFilterType(any_=["progress"]))
        found = [one for one in client.read_artifacts(artifact_filter=wanted) if str(one.key).startswith("told-often-")]
    assert [one.data for one in found] == [100.0]
    assert "1 trial, iteration 4 of 4, the judge's best mark is" in str(found[0].description)


def test_a_server_that_does_not_answer_holds_no_shard_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*told: object, **more: object) -> None:
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr("tasks.progress.ARTIFACT_SECONDS", 0.0)
    monkeypatch.setattr("tasks.progress.create_progress_artifact", unreachable)
    assert sweep(asked(store)).done == 4


def test_an_s3_server_and_a_folder_hold_the_same_manifest_and_pictures(store: Store, s3_bucket: str) -> None:
    remote = open_store(f"s3://{s3_bucket}/nightly")
    assert sweep(asked(store)) == sweep(asked(remote))
    assert store.read("t/manifest.json") == remote.read("t/manifest.json")
    pictures = [key for key in store.keys("t/pictures/") if key.endswith((".png", ".svg"))]
    assert pictures == [key for key in remote.keys("t/pictures/") if key.endswith((".png", ".svg"))] and len(pictures) > 8
    for key in pictures:
        assert store.read(key) == remote.read(key), key
    with get_client(sync_client=True) as client:
        (summary,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["t-summary"])), sort=ArtifactSort.CREATED_DESC, limit=1
        )
    link = re.search(r"contact sheet: \[.*\]\((http\S+)\)", str(summary.data))
    assert link and httpx.get(link[1]).content == remote.read("t/summary/contact-sheet.png"), "opens without credentials"
    counted = "SELECT count(*) AS n, count(DISTINCT trial_id) AS t, max(iteration) AS i FROM scores"
    assert query(store, counted).to_pylist() == query(remote, counted).to_pylist() == [{"n": 16, "t": 4, "i": 4}]


def test_a_rerun_makes_only_what_is_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sweep(asked(store, prompts=["a red heart"]))
    made: list[int] = []

    def counted(shard: Shard, *others: Any) -> Iterator[Progress]:
        made.append(len(shard.trials))
        return run_shard(shard, *others)

    monkeypatch.setattr(generate, "run_shard", counted)
    assert sweep(asked(store, prompts=["a red heart"])) == first
    assert made == []
    more = sweep(asked(store))
    assert made == [1, 1]
    assert (first.trials, more.trials) == (2, 4)


def test_a_failing_shard_does_not_take_the_others_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:

    def failing(shard: Shard, *others: Any) -> Iterator[Progress]:
        if shard.trials[0].engine.engine == "strokes":
            raise ZeroDivisionError("a mistake of ours")
        yield from run_shard(shard, *others)

    monkeypatch.setattr(generate, "run_shard", failing)
    with pytest.raises(IncompleteSweepError, match=r"1 shard failed, 2 of 4 trials are published; .* ZeroDivisionError: a mistake of ours"):
        sweep(asked(store))
    manifest = read_manifest(store, "t")
    assert manifest is not None
    assert manifest.trials == 2
    monkeypatch.setattr(generate, "run_shard", run_shard)
    assert sweep(asked(store)).trials == 4


def test_what_the_user_can_mend_is_said_at_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(StoreError):
        sweep(SweepRequest(sweep=asked(store).sweep, store=str(tmp_path / "a-file")))
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="starter-guide"):
        sweep(asked(store))
    assert read_manifest(store, "t") is None


def test_a_sweep_too_large_to_travel_names_the_cure() -> None:
    with pytest.raises(SweepFileError, match=r"put the prompts into a file beside it"):
        SweepRequest(sweep=parse_sweep({"name": "t", "prompts": [f"{i:01900d}" for i in range(300)], "engines": ["dalle"]}, Path(), "t"))


def test_a_flow_run_that_crashes_again_and_again_is_started_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__RUN_COUNT", str(STARTS + 1))
    with pytest.raises(IncompleteSweepError, match=rf"its flow run has crashed {STARTS} times; find out why"):
        sweep(asked(store))
    assert not list(store.keys(""))
