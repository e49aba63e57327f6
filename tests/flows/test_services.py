"""What a Prefect server does by itself: it starts what is scheduled, and cancels what a cancelled sweep has started."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.events import Event, RelatedResource, Resource
from prefect.states import Cancelling, Completed, Crashed, Running

from dreamsweep.flows.automations import HEARD, LOST, TAG, automations, end_before
from dreamsweep.flows.deploy import NIGHTLY, SHARD, place, register
from dreamsweep.planning.sweep_file import load_sweep, parse_text
from dreamsweep.results.manifest import read_manifest
from dreamsweep.store import open_store
from tests.flows.test_deployment import ROOT, content

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("workers")
def test_cancelling_a_sweep_cancels_its_shards_which_keep_a_checkpoint(deployed_store: str) -> None:
    compute = {"deployment": SHARD, "window": 2, "poll_seconds": 1}
    request = {"sweep": yaml.safe_dump(content(iterations=100_000)), "store": deployed_store, "device": "cpu", "compute": compute}
    store, tagged = open_store(deployed_store), FlowRunFilter(tags=FlowRunFilterTags(all_=["sweep:t"]))
    with get_client(sync_client=True) as client:
        parent: Any = run_deployment(NIGHTLY, parameters={"request": request}, timeout=0)
        until(lambda: len([key for key in store.keys("t/pictures/") if key.endswith("000020.png")]) == 2)
        client.set_flow_run_state(parent.id, Cancelling(), force=True)
        until(lambda: client.read_flow_run(parent.id).state.is_cancelled())  # type: ignore[union-attr]
        until(lambda: all(run.state and run.state.is_cancelled() for run in client.read_flow_runs(flow_run_filter=tagged)))
        assert len(client.read_flow_runs(flow_run_filter=tagged)) == 2
    assert len([key for key in store.keys("t/staging/") if key.endswith("checkpoint.safetensors")]) == 2


def test_what_is_scheduled_is_planned_ahead(deployed_store: str) -> None:
    nightly = load_sweep(ROOT / "prompts" / "nightly.yaml")
    list(register(place("process", deployed_store, None, 1, None), [nightly]))
    with get_client(sync_client=True) as client:
        planned = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[client.read_deployment_by_name(NIGHTLY).id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        )

        def planned_runs() -> list[FlowRun]:
            return [run for run in client.read_flow_runs(flow_run_filter=planned) if run.auto_scheduled]

        until(lambda: len(planned_runs()) >= 2)
        first, second, *_ = sorted(planned_runs(), key=expected_time)
    for run in (first, second):
        assert run.parameters["request"]["store"] == deployed_store
        assert parse_text(run.parameters["request"]["sweep"], ROOT, "test").engines == nightly.engines
        assert run.state is not None and run.state.is_scheduled()
    assert nightly.schedule is not None
    assert timedelta(hours=23) <= expected_time(second) - expected_time(first) <= timedelta(hours=25)  # every night, summer time or not
    assert expected_time(first).astimezone(ZoneInfo(nightly.schedule.timezone)).hour == int(nightly.schedule.cron.split()[1])


@pytest.mark.usefixtures("workers")
def test_a_sweep_whose_process_is_killed_goes_on_by_itself(deployed_store: str) -> None:
    compute = {"deployment": SHARD, "window": 2, "poll_seconds": 1}
    request = {"sweep": yaml.safe_dump(content(iterations=100)), "store": deployed_store, "device": "cpu", "compute": compute}
    store = open_store(deployed_store)
    with get_client(sync_client=True) as client:
        parent: Any = run_deployment(NIGHTLY, parameters={"request": request}, timeout=0)
        until(lambda: any(key.endswith("000020.png") for key in store.keys("t/pictures/")))
        process = client.read_flow_run(parent.id).infrastructure_pid
        assert process
        os.kill(int(process.rpartition(":")[2]), signal.SIGKILL)
        until(lambda: client.read_flow_run(parent.id).state.is_completed())  # type: ignore[union-attr]
        states = [(state.name, state.message) for state in client.read_flow_run_states(parent.id)]
        assert client.read_flow_run(parent.id).run_count in (2, 3), states  # three were seen once, on a busy machine
    manifest = read_manifest(store, "t")
    assert manifest and manifest.done == manifest.trials


def test_a_flow_run_that_falls_silent_has_crashed(deployed_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.flows.automations.SILENCE", timedelta(seconds=10))  # so often does the server look, too
    list(register(place("process", deployed_store, None, 2, None), []))
    with get_client(sync_client=True) as client:
        run = run_of(client, SHARD, {"sweep": "t", "shard_id": "s", "store": "s"})
        until(lambda: client.read_flow_run(run.id).state.is_crashed())  # type: ignore[union-attr]
        crashed = client.read_flow_run(run.id).state
    assert crashed is not None and (crashed.message or "").startswith("nothing was heard of it")  # so by our automation, no other


def test_a_sweep_goes_on_though_the_event_of_its_crash_is_lost(deployed_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.flows.automations.SILENCE", timedelta(seconds=10))
    list(register(place("process", deployed_store, None, 2, None), []))
    with get_client(sync_client=True) as client:
        crashed = client.read_automations_by_name(automations()[1].name)[0].id
        client.pause_automation(crashed)  # as good as an event that is lost
        run = run_of(client, NIGHTLY, {"sweep": {"stored": "demo"}, "store": deployed_store})
        client.set_flow_run_state(run.id, Crashed(), force=True)
        until(lambda: client.read_flow_run(run.id).state.is_scheduled())  # type: ignore[union-attr]
        client.resume_automation(crashed)
        state = client.read_flow_run(run.id).state
        assert state is not None and (state.name, state.message) == ("AwaitingRetry", LOST)
        assert end_before(client.read_flow_run_states(run.id)) is None
        client.set_flow_run_state(run.id, Cancelling(), force=True)


def test_flow_runs_that_ended_ninety_days_ago_are_removed(deployed_store: str) -> None:
    list(register(place("process", deployed_store, None, 2, None), []))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(SHARD).id
        parameters = {"request": {"sweep": "t", "shard_id": "s", "store": "s"}}
        old, young = (client.create_flow_run_from_deployment(deployment, parameters=parameters).id for _ in range(2))
        for run, days in ((young, 89), (old, 91)):
            client.set_flow_run_state(run, Completed(), force=True)
            end_of(run, datetime.now(UTC) - timedelta(days=days))
        of_both = FlowRunFilter(id=FlowRunFilterId(any_=[old, young]))
        until(lambda: [run.id for run in client.read_flow_runs(flow_run_filter=of_both)] == [young])


def end_of(run: UUID, moment: datetime) -> None:
    """Sets when a flow run has ended; the API takes no times of states."""
    file = os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"].removeprefix("sqlite+aiosqlite:///")
    with closing(sqlite3.connect(file, timeout=60)) as database, database:
        changed = database.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (f"{moment:%Y-%m-%d %H:%M:%S.%f}", str(run)))
        assert changed.rowcount == 1


def run_of(client: SyncPrefectClient, name: str, request: dict[str, Any]) -> FlowRun:
    """A running flow run without a process, of which one heartbeat was heard."""
    deployment = client.read_deployment_by_name(name)
    run = client.create_flow_run_from_deployment(deployment.id, parameters={"request": request})
    client.set_flow_run_state(run.id, Running(), force=True)
    flow = {"prefect.resource.id": f"prefect.flow.{run.flow_id}", "prefect.resource.role": "flow"}
    related = [
        RelatedResource({"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}),
        RelatedResource({**flow, "prefect.resource.name": name.partition("/")[0]}),
    ]
    heartbeat = Event(event=HEARD, resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run.id}"}), related=related)
    client.request("POST", "/events", json=[heartbeat.model_dump(mode="json")])
    return run


def expected_time(flow_run: FlowRun) -> datetime:
    assert flow_run.expected_start_time is not None
    return flow_run.expected_start_time


def until(come: Callable[[], bool], seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.5)
