"""Flow runs that are lost: Prefect's server takes those that fall silent for crashed, and starts a sweep's anew.

Both are automations, which `dreamsweep deploy` registers. A shard's flow run that has crashed is its sweep's to start again (fanout.py).
"""

from datetime import timedelta

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.shard import REFUSED

TAG = "dreamsweep"
"""Of every flow run of our deployments."""
SWEEP_FLOW = "sweep"
HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60"}
"""The environment in which a flow run says every minute that it lives."""
SILENCE = timedelta(minutes=3)
"""After which a flow run is lost; the server looks as often, so that it finds out within twice as long."""
HEARD = "prefect.flow-run.heartbeat"
ENDS = ("Completed", "Failed", REFUSED, "TimedOut", "Crashed", "Cancelled")
"""States after which a flow run has no more to say."""
STARTS = 4
"""Of one sweep's flow run; after that it is no accident any more that it crashes."""

_FLOW_RUN = ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"})
_OURS = ResourceSpecification.model_validate({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"})
_SWEEP = ResourceSpecification.model_validate({"prefect.resource.role": "flow", "prefect.resource.name": SWEEP_FLOW})


def automations() -> tuple[AutomationCore, AutomationCore]:
    """What the server is to do by itself."""
    silent = AutomationCore(
        name="dreamsweep: silent flow runs have crashed",
        description="A flow run whose machine is gone can say no more; without this it would run for ever.",
        trigger=EventTrigger(
            after={HEARD},
            expect={HEARD, *(f"prefect.flow-run.{state}" for state in ENDS)},
            match=_FLOW_RUN,
            match_related=_OURS,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=f"nothing was heard of it for {SILENCE.seconds // 60} minutes")],
    )
    crashed = AutomationCore(
        name="dreamsweep: crashed sweeps go on",
        description=f"The sweep's flow run is started anew, {STARTS} times in all, and makes what the store lacks.",
        trigger=EventTrigger(expect={"prefect.flow-run.Crashed"}, match=_FLOW_RUN, match_related=[_OURS, _SWEEP], posture=Posture.Reactive),
        actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message="its flow run had crashed")],
    )
    return silent, crashed
