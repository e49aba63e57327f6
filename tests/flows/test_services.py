"""What a Prefect server does by itself: it starts what is scheduled, and cancels what a cancelled sweep has started."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.deployments import run_deployment
from prefect.events import Event, RelatedResource, Resource
from prefect.states import Cancelling, Running

from dreamsweep.manifest import read_manifest
from dreamsweep.store import open_store
from dreamsweep.sweepfile import load_sweep
from flows.deploy import NIGHTLY, SHARD, place, register
from flows.lost import TAG
from tests.flows.test_deployment import ROOT, content

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("workers")
def test_cancelling_a_sweep_cancels_its_shards_which_keep_a_checkpoint(deployed_store: str) -> None:
    compute = {"deployment": SHARD, "window": 2, "poll_seconds": 1}
    request = {"sweep": yaml.safe_dump(content(iterations=100_000)), "store": deployed_store, "device": "cpu", "compute": compute}
    store, tagged = open_store(deployed_store), FlowRunFilter(tags=FlowRunFilterTags(all_=["sweep:t"]))
    with get_client(sync_client=True) as client:
        parent: Any = run_deployment(NIGHTLY, parameters={"request": request}, timeout=0)
        until(lambda: len([key for key in store.keys("t/pictures/") if key.endswith("000100.png")]) == 2)
        client.set_flow_run_state(parent.id, Cancelling(), force=True)
        until(lambda: client.read_flow_run(parent.id).state.is_cancelled())  # type: ignore[union-attr]
        until(lambda: all(run.state and run.state.is_cancelled() for run in client.read_flow_runs(flow_run_filter=tagged)))
        assert len(client.read_flow_runs(flow_run_filter=tagged)) == 2
    assert len([key for key in store.keys("t/staging/") if key.endswith("checkpoint.safetensors")]) == 2


def test_what_is_scheduled_is_planned_ahead(deployed_store: str) -> None:
    list(register(place("process", deployed_store, None, 1, None), [load_sweep(ROOT / "prompts" / "nightly.yaml")]))
    with get_client(sync_client=True) as client:
        planned = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[client.read_deployment_by_name(NIGHTLY).id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        )
        until(lambda: any(run.auto_scheduled for run in client.read_flow_runs(flow_run_filter=planned)))
        found = [run for run in client.read_flow_runs(flow_run_filter=planned) if run.auto_scheduled]
    assert all(run.parameters["request"]["store"] == deployed_store for run in found)


@pytest.mark.usefixtures("workers")
def test_a_sweep_whose_process_is_killed_goes_on_by_itself(deployed_store: str) -> None:
    compute = {"deployment": SHARD, "window": 2, "poll_seconds": 1}
    request = {"sweep": yaml.safe_dump(content(iterations=600)), "store": deployed_store, "device": "cpu", "compute": compute}
    store = open_store(deployed_store)
    with get_client(sync_client=True) as client:
        parent: Any = run_deployment(NIGHTLY, parameters={"request": request}, timeout=0)
        until(lambda: any(key.endswith("000100.png") for key in store.keys("t/pictures/")))
        process = client.read_flow_run(parent.id).infrastructure_pid
        assert process
        os.kill(int(process.rpartition(":")[2]), signal.SIGKILL)
        until(lambda: client.read_flow_run(parent.id).state.is_completed())  # type: ignore[union-attr]
        assert client.read_flow_run(parent.id).run_count == 2
    manifest = read_manifest(store, "t")
    assert manifest and manifest.done == manifest.trials


def test_a_flow_run_that_falls_silent_has_crashed(deployed_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.lost.SILENCE", timedelta(seconds=10))  # so often does the server look, too
    list(register(place("process", deployed_store, None, 2, None), []))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(SHARD)
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"request": {"sweep": "t", "shard_id": "s", "store": "s"}})
        client.set_flow_run_state(run.id, Running(), force=True)
        heartbeat = Event(
            event="prefect.flow-run.heartbeat",
            resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run.id}"}),
            related=[RelatedResource({"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"})],
        )
        client.request("POST", "/events", json=[heartbeat.model_dump(mode="json")])
        until(lambda: client.read_flow_run(run.id).state.is_crashed())  # type: ignore[union-attr]


def until(come: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.5)
