"""What a Prefect server does by itself: it starts what is scheduled, and cancels what a cancelled sweep has started."""

import time
from collections.abc import Callable
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
from prefect.states import Cancelling

from dreamsweep.store import open_store
from dreamsweep.sweepfile import load_sweep
from flows.deploy import NIGHTLY, SHARD, place, register
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


def until(come: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.5)
