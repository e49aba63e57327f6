"""What others may want to hear of, as events of Prefect's: automations turn them into mails and messages (infra/notifications).

They hold counts, marks, addresses and reasons; never a secret, nor a link that opens without one.
"""

from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event

from dreamsweep.manifest import Manifest
from dreamsweep.spec import DATE
from dreamsweep.store import open_store, without_login
from flows.form import name_of

FINISHED, FAILED, RETRIED = "dreamsweep.sweep.finished", "dreamsweep.sweep.failed", "dreamsweep.shard.retried"
REASON = 2_000
"""Characters told of a reason."""


def tell_finished(manifest: Manifest, store: str, best: float | None) -> None:
    """Every shard of a sweep is made, and the sweep is published."""
    payload = {
        **manifest.model_dump(include={"sweep", "trials", "done", "diverged", "failed"}),
        "best": None if best is None else round(best, 3),
        "store": without_login(store),
        "contact_sheet": without_login(open_store(store).uri_of(f"{manifest.sweep}/summary/contact-sheet.png")),
    }
    emit_event(FINISHED, resource=_sweep(manifest.sweep, store), payload=payload)


def tell_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A hook: a sweep's flow run failed or crashed. Parts of the sweep may be published; the same again makes the rest."""
    request = flow_run.parameters.get("request", {})
    name, store = _named(request.get("sweep"), flow_run), str(request.get("store", "runs"))
    payload = {"sweep": name, "store": without_login(store), "state": state.name, "reason": (state.message or "")[:REASON]}
    run = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": name, "prefect.resource.role": "flow-run"}
    emit_event(FAILED, resource=_sweep(name, store), related=[run], payload=payload)


def tell_retried(sweep: str, store: str, shard_id: str, attempt: int, reason: str) -> None:
    """A shard was given back, and is tried for the `attempt`-th time."""
    resource = {"prefect.resource.id": f"dreamsweep.shard.{shard_id}", "prefect.resource.name": shard_id}
    related = [{**_sweep(sweep, store), "prefect.resource.role": "sweep"}]
    payload = {"sweep": sweep, "shard": shard_id, "attempt": attempt, "store": without_login(store), "reason": reason[:REASON]}
    emit_event(RETRIED, resource=resource, related=related, payload=payload)


def _named(asked: object, flow_run: FlowRun) -> str:
    """The sweep that a flow run's parameters ask for; one that crashed may still go by the name that it was made with."""
    match asked:
        case str():
            name = name_of(asked)
        case {"name": str(named)} | {"stored": str(named)}:
            name = named
        case _:
            return flow_run.name
    return name.replace(DATE, f"{flow_run.expected_start_time or datetime.now(UTC):%Y-%m-%d}")


def _sweep(name: str, store: str) -> dict[str, str]:
    return {"prefect.resource.id": f"dreamsweep.sweep.{name}", "prefect.resource.name": name, "dreamsweep.store": without_login(store)}
