"""What a container runs: one planned shard, found by its id in the store."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from dreamsweep.errors import DreamsweepError
from dreamsweep.planned import read_shard
from dreamsweep.spec import Name, Spec
from dreamsweep.store import open_store
from tasks.check import check_shard
from tasks.generate import generate_shard

REFUSED = "Refused"
"""The state of a shard that no retry mends: its weights are missing, its settings do not fit."""


class ShardRequest(Spec):
    """Which shard, of which sweep, in which store, on what device."""

    sweep: Name
    shard_id: str
    store: str
    """`s3://bucket/prefix`, or a folder that every machine sees under the same path."""
    device: str = "auto"


@flow(name="shard", flow_run_name="{request.sweep}-{request.shard_id}")
def shard(request: ShardRequest) -> State[None] | None:
    """Generates and stages a shard, or what its last checkpoint lacks. Ends as `Refused` for what the user has to mend."""
    try:
        planned = read_shard(open_store(request.store), request.sweep, request.shard_id)
        check_shard(planned, request.store, request.device)
        generate_shard(planned, request.store, request.device)
    except DreamsweepError as error:
        return Failed(name=REFUSED, message=str(error))
    return None
