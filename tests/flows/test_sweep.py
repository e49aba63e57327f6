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
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort
from prefect.states import Cancelled, Running, Scheduled

from dreamsweep.errors import SweepFileError
from dreamsweep.flows.automations import LOST, STARTS
from dreamsweep.flows.sweep import SweepRequest, sweep
from dreamsweep.generation.run_sweep import IncompleteSweepError
from dreamsweep.generation.shard import run_shard
from dreamsweep.planning.expand import Shard
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.report.query import query
from dreamsweep.results.handoff import Progress
from dreamsweep.results.manifest import read_manifest
from dreamsweep.store import Store, open_store
from dreamsweep.tasks import generate
from tests.dreamsweep.generation.sweeps import small_sweep

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server", "tiny_weights")]


def request(store: Store, **changes: Any) -> SweepRequest:
    return SweepRequest(sweep=small_sweep(**changes), store=store.uri)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_a_sweep_is_made_published_and_summed_up(store: Store) -> None:
    manifest = sweep(request(store))
    assert (manifest.trials, manifest.done, manifest.scores) == (4, 4, 16)
    assert read_manifest(store, "t") == manifest
    rows = query(store, "SELECT trial_id, count(*) AS n FROM scores GROUP BY trial_id").to_pylist()
    assert [row["n"] for row in rows] == [4] * 4
    for key in ("t/summary/contact-sheet.png", "t/summary/curves.png"):
        assert store.read(key).startswith(b"\x89PNG")
    assert parse_sweep(yaml.safe_load(store.read("t/sweep.yaml")), Path("/"), "again") == request(store).sweep


def test_the_flow_run_s_log_says_what_is_drawn(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    sweep(request(store))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("prefect.") and record.levelname == "INFO"]
    (size,) = (line for line in lines if line.startswith("sweep t: 4 trials in 2 shards, 0 of them done before; engines "))
    assert size.endswith("; 2 prompts: 'a red heart', 'a green apple'; seed 0")
    assert (
        len([line for line in lines if re.match(r"shard \w{16}: (dalle|strokes) draws 2 trials of 4 iterations: 'a red heart'", line)]) == 2
    )
    assert [line.partition("), ")[2] for line in lines if ": done (" in line] == [
        "2 of 4 trials of the sweep",
        "4 of 4 trials of the sweep",
    ]


def test_notes_on_prompts_are_in_the_flow_run_s_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    sweep(request(store, prompts=["a [red] heart", "a [blue] heart"], engines=[{"engine": "dalle", "image_size": 32, "cutouts": 2}]))
    note, *unread = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert note.startswith("prompts[0]: '[red]' in 'a [red] heart' is read as plain text, not as emphasis;")
    assert unread == [
        f"starter-{network} never learned '[{colour}]' and passes over it" for colour in ("red", "blue") for network in ("guide", "judge")
    ]


def test_a_sweep_that_is_only_planned_makes_nothing_and_says_what_it_comes_to(store: Store) -> None:
    planned = request(store, name="only-planned", prompts=["a [red] heart"], engines=[{"engine": "dalle", "image_size": 32, "cutouts": 2}])
    state = sweep(planned.model_copy(update={"only_plan": True}), return_state=True)
    assert state.message == "Only planned: trials 1 (dalle 1), to be made 1 (dalle 1)."
    assert list(store.keys("")) == []
    with get_client(sync_client=True) as client:
        (plan,) = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["only-planned-plan"])))
    page = str(plan.data)
    assert "| pictures |" in page and "| to be made | 1 \\(dalle 1\\) |" in page
    assert "starter\\-guide never learned" in page and "is read as plain text" in page


def test_progress_shows_on_prefect_s_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.tasks.progress.ARTIFACT_SECONDS", 0.0)
    sweep(request(store, name="told.often", prompts=["a red heart"], engines=[{"engine": "dalle", "image_size": 32, "cutouts": 2}]))
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(type=ArtifactFilterType(any_=["progress"]))
        artifacts = [artifact for artifact in client.read_artifacts(artifact_filter=wanted) if str(artifact.key).startswith("told-often-")]
    assert [artifact.data for artifact in artifacts] == [100.0]
    assert "dalle: 'a red heart'; 1 trial, iteration 4 of 4, the judge's best mark is" in str(artifacts[0].description)


def test_a_server_that_does_not_answer_holds_no_shard_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **more: object) -> None:
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr("dreamsweep.tasks.progress.ARTIFACT_SECONDS", 0.0)
    monkeypatch.setattr("dreamsweep.tasks.progress.create_progress_artifact", unreachable)
    assert sweep(request(store)).done == 4


def test_an_s3_server_and_a_folder_hold_the_same_manifest_and_pictures(store: Store, s3_bucket: str) -> None:
    remote = open_store(f"s3://{s3_bucket}/nightly")
    assert sweep(request(store)) == sweep(request(remote))
    assert store.read("t/manifest.json") == remote.read("t/manifest.json")
    pictures = [key for key in store.keys("t/pictures/") if key.endswith((".png", ".svg"))]
    assert pictures == [key for key in remote.keys("t/pictures/") if key.endswith((".png", ".svg"))] and len(pictures) > 8
    for key in pictures:
        assert store.read(key) == remote.read(key), key
    with get_client(sync_client=True) as client:
        (summary,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["t-summary"])), sort=ArtifactSort.CREATED_DESC, limit=1
        )
    assert f"Contact sheet: `{remote.uri}/t/summary/contact-sheet.png`" in str(summary.data)
    assert "X-Amz-Signature" not in str(summary.data) and len(str(summary.data)) < 700_000
    counted = "SELECT count(*) AS n, count(DISTINCT trial_id) AS t, max(iteration) AS i FROM scores"
    assert query(store, counted).to_pylist() == query(remote, counted).to_pylist() == [{"n": 16, "t": 4, "i": 4}]


def test_a_rerun_makes_only_what_is_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sweep(request(store, prompts=["a red heart"]))
    counts: list[int] = []

    def counted(shard: Shard, *others: Any) -> Iterator[Progress]:
        counts.append(len(shard.trials))
        return run_shard(shard, *others)

    monkeypatch.setattr(generate, "run_shard", counted)
    assert sweep(request(store, prompts=["a red heart"])) == first
    assert counts == []
    more = sweep(request(store))
    assert counts == [1, 1]
    assert (first.trials, more.trials) == (2, 4)


def test_a_failing_shard_does_not_take_the_others_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:

    def failing(shard: Shard, *others: Any) -> Iterator[Progress]:
        if shard.trials[0].engine.engine == "strokes":
            raise ZeroDivisionError("a mistake of ours")
        yield from run_shard(shard, *others)

    monkeypatch.setattr(generate, "run_shard", failing)
    with pytest.raises(IncompleteSweepError, match=r"1 shard failed, 2 of 4 trials are published; .* ZeroDivisionError: a mistake of ours"):
        sweep(request(store))
    manifest = read_manifest(store, "t")
    assert manifest is not None
    assert manifest.trials == 2
    monkeypatch.setattr(generate, "run_shard", run_shard)
    assert sweep(request(store)).trials == 4


def test_a_sweep_too_large_to_travel_names_the_cure() -> None:
    with pytest.raises(SweepFileError, match=r"put the prompts into a file beside it"):
        SweepRequest(sweep=parse_sweep({"name": "t", "prompts": [f"{i:01900d}" for i in range(300)], "engines": ["dalle"]}, Path(), "t"))


def test_a_flow_run_that_crashes_again_and_again_is_started_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__RUN_COUNT", str(STARTS + 1))
    with pytest.raises(IncompleteSweepError, match=rf"its flow run has crashed {STARTS} times; find out why"):
        sweep(request(store))
    assert not list(store.keys(""))


def test_a_flow_run_that_had_ended_before_it_was_started_again_ends_as_it_did(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before: list[State[Any]] = [Running(), Cancelled(message="by hand"), Scheduled(message=LOST), Running()]
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__RUN_COUNT", "2")
    monkeypatch.setattr("prefect.client.orchestration.SyncPrefectClient.read_flow_run_states", lambda *_: before)
    state: State[Any] = sweep(request(store), return_state=True)
    assert state.is_cancelled() and state.message == "by hand"
    assert not list(store.keys(""))
