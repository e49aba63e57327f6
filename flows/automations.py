"""Flow runs that are lost: Prefect's server takes those that fall silent for crashed, and starts a sweep's again.

All are automations, which `dreamsweep deploy` registers. A shard's flow run that has crashed is its sweep's to start again (fanout.py).
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from prefect.client.schemas.objects import State, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from dreamsweep.flows.shard import REFUSED

TAG = "dreamsweep"
"""Tag of every flow run of our deployments."""
SWEEP_FLOW = "sweep"
HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60"}
"""Environment variables that make a flow run send a heartbeat every minute."""
SILENCE = timedelta(minutes=3)
"""Timeout without a heartbeat, after which a flow run counts as crashed; the server checks as often, so it takes up to twice as long."""
LOST_AFTER = 3
"""Silences without a heartbeat, an end or a new start, after which a sweep's flow run is started again: its crash was not noticed."""
HEARD = "prefect.flow-run.heartbeat"
ENDS = ("Completed", "Failed", REFUSED, "TimedOut", "Cancelled")
"""Final states of a flow run, but for Crashed, after which no heartbeat is expected."""
STARTED_AGAIN = ("AwaitingRetry", "Pending", "Running")
"""States of a flow run that is started again after a crash."""
STARTS = 4
"""Maximum number of starts of one sweep's flow run; after that a crash is not retried."""
LOST = "neither a heartbeat nor its end was heard of"
"""Message of the state that starts a flow run again whose crash was not noticed."""

_FLOW_RUN = ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"})
_OURS = ResourceSpecification.model_validate({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"})
_SWEEP = ResourceSpecification.model_validate({"prefect.resource.role": "flow", "prefect.resource.name": SWEEP_FLOW})


def automations() -> tuple[AutomationCore, ...]:
    """Returns the automations: what the server does by itself about crashed and silent flow runs."""
    silent = AutomationCore(
        name="dreamsweep: silent flow runs have crashed",
        description="A flow run whose machine is gone can say no more; without this it would run for ever.",
        trigger=_silence(SILENCE, (*ENDS, "Crashed"), _OURS),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=f"nothing was heard of it for {SILENCE.seconds // 60} minutes")],
    )
    crashed = AutomationCore(
        name="dreamsweep: crashed sweeps go on",
        description=f"The sweep's flow run is started anew, {STARTS} times in all, and makes what the store lacks.",
        trigger=EventTrigger(expect={"prefect.flow-run.Crashed"}, match=_FLOW_RUN, match_related=[_OURS, _SWEEP], posture=Posture.Reactive),
        actions=[_start_again("its flow run had crashed")],
    )
    lost = AutomationCore(
        name="dreamsweep: lost sweeps go on",
        description="A busy server may lose the event of a crash; as nothing is heard of the sweep's flow run, it is started again later.",
        trigger=_silence(LOST_AFTER * SILENCE, (*ENDS, *STARTED_AGAIN), [_OURS, _SWEEP]),
        actions=[_start_again(LOST)],
    )
    return silent, crashed, lost


def _silence(within: timedelta, states: Iterable[str], related: ResourceSpecification | list[ResourceSpecification]) -> EventTrigger:
    """Returns the trigger for flow runs of which, after a heartbeat, neither another one nor one of the states is heard in time."""
    return EventTrigger(
        after={HEARD},
        expect={HEARD, *(f"prefect.flow-run.{state}" for state in states)},
        match=_FLOW_RUN,
        match_related=related,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        within=within,
    )


def _start_again(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message=message)


def end_before(states: Iterable[State[Any]]) -> State[Any] | None:
    """Returns the state in which a flow run had ended that was started again as lost; None if it has work to do.

    An event of an end may get lost as one of a crash may: what has completed, failed or been cancelled then ends again as it did.
    """
    newest_first = sorted(states, key=lambda state: state.timestamp, reverse=True)
    started = next((place for place, state in enumerate(newest_first) if state.is_scheduled()), None)
    if started is None or newest_first[started].message != LOST:
        return None
    before = next(iter(newest_first[started + 1 :]), None)
    return before if before and before.is_final() and not before.is_crashed() else None
