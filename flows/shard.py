"""Flow that a container runs: one planned shard, found by its id in the store."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from dreamsweep.errors import TransientError, UserError
from dreamsweep.results.handoff import read_shard
from dreamsweep.retry import TASK_RETRIES, outlast
from dreamsweep.spec import Name, Spec
from dreamsweep.store import open_store
from dreamsweep.tasks.check import check_shard
from dreamsweep.tasks.generate import generate_shard

REFUSED = "Refused"
"""State of a shard that no retry can make: its weights are missing, its settings do not fit."""
UNREACHABLE = "Unreachable"
"""State of a shard that an outage outlasted: its store did not answer for longer than every retry. To be started again, always."""


class ShardRequest(Spec):
    """Which shard, of which sweep, in which store, on what device."""

    sweep: Name
    shard_id: str
    store: str
    """`s3://bucket/prefix`, or a folder that every machine sees under the same path."""
    device: str = "auto"


@flow(name="shard", flow_run_name="{request.sweep}-{request.shard_id}")
def shard(request: ShardRequest) -> State[None] | None:
    """Generates and stages a shard, or what its last checkpoint lacks.

    Ends as `Refused` for what the user has to fix, and as `Unreachable` after an outage that outlasted every retry.
    """
    try:
        planned = outlast(lambda: read_shard(open_store(request.store), request.sweep, request.shard_id), TASK_RETRIES)
        check_shard(planned, request.store, request.device)
        generate_shard(planned, request.store, request.device)
    except UserError as error:
        return Failed(name=REFUSED, message=str(error))
    except TransientError as error:
        return Failed(name=UNREACHABLE, message=str(error))
    return None
