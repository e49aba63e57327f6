"""Events of Prefect's about sweeps: automations turn them into mails and messages (infra/notifications).

They hold counts, marks, addresses and reasons; never a secret, nor a link that opens without one.
"""

from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event

from dreamsweep.flows.run_form import dated, name_of, zone_of
from dreamsweep.results.manifest import Manifest
from dreamsweep.store import keys, open_store, without_login

FINISHED, FAILED, RETRIED = "dreamsweep.sweep.finished", "dreamsweep.sweep.failed", "dreamsweep.shard.retried"
REASON = 2_000
"""Maximum number of characters of a reason."""


def emit_finished(manifest: Manifest, store: str, best: float | None) -> None:
    """Emits that a sweep is complete: every shard is made, and the sweep is published."""
    payload = {
        **manifest.model_dump(include={"sweep", "trials", "done", "diverged", "failed"}),
        "best": None if best is None else round(best, 3),
        "store": without_login(store),
        "contact_sheet": without_login(open_store(store).uri_of(keys.contact_sheet(manifest.sweep))),
    }
    emit_event(FINISHED, resource=_sweep(manifest.sweep, store), payload=payload)


def emit_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Emits that a sweep's flow run failed or crashed (a hook). Parts may be published; running it again makes the rest."""
    request = flow_run.parameters.get("request", {})
    name, store = _named(request.get("sweep"), flow_run), str(request.get("store", "runs"))
    payload = {"sweep": name, "store": without_login(store), "state": state.name, "reason": (state.message or "")[:REASON]}
    run = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": name, "prefect.resource.role": "flow-run"}
    emit_event(FAILED, resource=_sweep(name, store), related=[run], payload=payload)


def emit_retried(sweep: str, store: str, shard_id: str, attempt: int, reason: str) -> None:
    """Emits that a shard failed, and is retried for the `attempt`-th time."""
    resource = {"prefect.resource.id": f"dreamsweep.shard.{shard_id}", "prefect.resource.name": shard_id}
    related = [{**_sweep(sweep, store), "prefect.resource.role": "sweep"}]
    payload = {"sweep": sweep, "shard": shard_id, "attempt": attempt, "store": without_login(store), "reason": reason[:REASON]}
    emit_event(RETRIED, resource=resource, related=related, payload=payload)


def _named(request: object, flow_run: FlowRun) -> str:
    """Returns the sweep that a flow run's parameters name; the flow run's own name if they name none."""
    match request:
        case str():
            name, zone = name_of(request), zone_of(request)
        case {"name": str(named)} | {"stored": str(named)}:
            name, zone = named, zone_of("")
        case _:
            return flow_run.name
    return dated(name, (flow_run.expected_start_time or datetime.now(UTC)).astimezone(zone))


def _sweep(name: str, store: str) -> dict[str, str]:
    return {"prefect.resource.id": f"dreamsweep.sweep.{name}", "prefect.resource.name": name, "dreamsweep.store": without_login(store)}
