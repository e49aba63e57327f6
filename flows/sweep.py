"""A sweep, from its file's contents to a published manifest and a contact sheet."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed
from pydantic import ConfigDict, Field, GetJsonSchemaHandler, field_validator
from pydantic_core import CoreSchema

from dreamsweep.errors import ComputeError, SweepFileError
from dreamsweep.flows.automations import STARTS, SWEEP_FLOW, end_before
from dreamsweep.flows.cluster import Cluster, make_on_cluster
from dreamsweep.flows.events import emit_failed, emit_finished
from dreamsweep.flows.fanout import OUTAGES, Compute, fan_out
from dreamsweep.flows.form_schema import form_schema, mark_at_fields
from dreamsweep.flows.run_form import AskedSweep, SweepForm, dated, find_sweep, name_of, zone_of
from dreamsweep.generation.events import Published
from dreamsweep.generation.make_here import Maker
from dreamsweep.generation.run_sweep import IncompleteSweepError, run_sweep
from dreamsweep.planning.expand import Shard, day_at, of_day
from dreamsweep.planning.prompt_notes import prompt_notes
from dreamsweep.results.manifest import Manifest
from dreamsweep.results.publishing import Choice
from dreamsweep.retry import TASK_RETRIES, is_transient, outlast
from dreamsweep.spec import Spec, Sweep
from dreamsweep.store import keys, open_store
from dreamsweep.tasks.generate import generate_shard
from dreamsweep.tasks.progress import show, show_sweep
from dreamsweep.tasks.steps import as_task
from dreamsweep.tasks.summarise import show_plan, show_summary

FOR_PEOPLE = "Pictures for prompts: Run, then Custom run, opens a form; the contact sheet and a table are among the flow run's artifacts."
MAX_PARAMETER = 400_000
"""Characters of a sweep as JSON. Prefect takes 512 KiB of parameters."""


class SweepRequest(Spec):
    """What to make, where to keep it, and on what to make it."""

    model_config = ConfigDict(json_schema_extra=form_schema("sweep", none="This machine"))

    sweep: Annotated[AskedSweep, Field(json_schema_extra={"default": SweepForm().model_dump(mode="json", exclude={"more"})})] = SweepForm()
    """Fill in what to draw, name a sweep that there is, or paste a sweep file."""
    store: str = "runs"
    """Where pictures and tables are kept: a folder, or s3://bucket/prefix."""
    device: Annotated[str, Field(json_schema_extra={"enum": ["auto", "cpu", "cuda", "mps"]})] = "auto"
    """What to compute on; auto takes the best there is."""
    compute: Annotated[Compute | Cluster | None, Field(title="Made by")] = None
    """A deployment whose flow runs make the pictures, on as many machines as it has, or a Dask or Ray cluster; without either they are
    made here, one after the other."""
    choice: Annotated[Choice, Field(title="If the name is taken")] = "refuse"
    """What becomes of other trials that are published under this name: refuse stops here, add keeps them beside the new ones, replace
    takes them out."""
    only_plan: Annotated[bool, Field(title="Only plan it")] = False
    """Make nothing: say how many pictures it comes to, how long it takes, what must be downloaded, and which words will not be read."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Returns the schema of the run form."""
        schema = handler(core_schema)
        mark_at_fields(handler.resolve_ref_schema(schema), handler.resolve_ref_schema)
        return schema

    @property
    def name(self) -> str:
        """The sweep's."""
        return dated(name_of(self.sweep), _moment().astimezone(zone_of(self.sweep)))

    @field_validator("sweep")
    @classmethod
    def _small_enough(cls, sweep: AskedSweep) -> AskedSweep:
        if isinstance(sweep, Sweep) and (size := len(sweep.model_dump_json())) > MAX_PARAMETER:
            raise SweepFileError(
                f"sweep {sweep.name!r}: its text comes to {size:,} characters, at most {MAX_PARAMETER:,} travel as a parameter; "
                "put the prompts into a file beside it: 'prompts: names.txt'."
            )
        return sweep


def compute_of(text: str) -> Compute | Cluster:
    """Reads what makes the shards, as a command line says it: `shard/NAME`, `dask`, `ray`, `dask:tcp://host:8786`, `ray:ray://host:10001`.

    Raises ComputeError for what is neither, and for a deployment where no Prefect server is configured.
    """
    kind, _, address = text.partition(":")
    if kind in ("dask", "ray"):
        return Cluster.model_validate({"cluster": kind, "address": address or None})
    if "/" not in text:
        raise ComputeError(f"compute {text!r}: name a deployment (shard/NAME), dask or ray.")
    if not PREFECT_API_URL.value():
        raise ComputeError(
            f"compute {text!r} is known to a Prefect server alone, and none is configured; set PREFECT_API_URL to its address."
        )
    return Compute(deployment=text)


@flow(name=SWEEP_FLOW, description=FOR_PEOPLE, flow_run_name="{request.name}", on_failure=[emit_failed], on_crashed=[emit_failed])
def sweep(request: SweepRequest) -> Manifest:
    """Makes what the store lacks of the sweep, publishes what there is, and draws its summary.

    With `only_plan` nothing is made, and an artifact says what the sweep comes to.

    Raises UserError for what the user can fix, and IncompleteSweepError when some shards failed.
    """
    if ended := _end_before():
        return ended  # type: ignore[return-value] # Prefect ends the flow run in this state
    if flow_run.run_count > STARTS:
        raise IncompleteSweepError(f"its flow run has crashed {STARTS} times; find out why, then start it again to make what is missing")
    read = outlast(lambda: find_sweep(request.sweep, request.store, _moment()), TASK_RETRIES)
    planned = of_day(read, day_at(read, _moment()))
    for note in prompt_notes(planned):
        get_run_logger().warning(note)
    # an outage at the start of a night is no mistake, for which `Store.check` takes it
    outlast(lambda: open_store(request.store).exists(keys.manifest(planned.name)), TASK_RETRIES)
    if request.only_plan:
        return Completed(message=f"Only planned: {show_plan(planned, request.store)}.")  # type: ignore[return-value]
    try:
        manifest = _run(planned, request)
    except IncompleteSweepError:
        show_summary(planned.name, request.store)
        raise
    emit_finished(manifest, request.store, show_summary(planned.name, request.store))
    return manifest


def _run(planned: Sweep, request: SweepRequest) -> Manifest:
    """Runs the sweep to its end, each step a task, and shows how it goes on; returns what was published last."""
    events = run_sweep(
        planned,
        open_store(request.store),
        device=request.device,
        choice=request.choice,
        make=_maker(planned.name, request),
        check_here=request.compute is None,
        step=as_task,
        on_fetch=show,
    )
    manifests = [event.manifest for event in show_sweep(planned, events) if isinstance(event, Published)]
    return manifests[-1]


def _maker(name: str, request: SweepRequest) -> Maker:
    """Returns the maker of the shards that was asked for."""
    store, device = request.store, request.device
    match request.compute:
        case None:
            return lambda shards: make_here(shards, store, device)
        case Compute() as compute:
            return lambda shards: fan_out(shards, name, store, device, compute)
        case Cluster() as cluster:
            return lambda shards: make_on_cluster(shards, store, device, cluster)


def make_here(shards: Iterable[Shard], store: str, device: str) -> Iterator[Shard | BaseException]:
    """Makes one shard after the other in this very thread, because a batch uses every core and Ctrl-C must reach it.

    A shard whose task an outage outlasted is tried again, from its checkpoint, once the store answers.
    """
    for shard in shards:
        for _ in range(OUTAGES):
            state: State[None] = generate_shard(shard, store, device, return_state=True)
            failure = None if state.is_completed() else state.result(raise_on_failure=False)
            if not is_transient(failure):
                break
            outlast(lambda: open_store(store).exists(keys.manifest(shard.sweep)))  # noqa: B023 - called at once
        yield shard if state.is_completed() else failure  # type: ignore[misc]


def _end_before() -> State[Any] | None:
    """Returns the state in which this flow run had ended before it was started again by mistake."""
    if flow_run.id is None or flow_run.run_count < 2:
        return None
    with get_client(sync_client=True) as client:
        ended = end_before(client.read_flow_run_states(UUID(flow_run.id)))
    return ended and State(type=ended.type, name=ended.name, message=ended.message)


def _moment() -> datetime:
    """Returns the moment, by UTC, for which the flow run was scheduled, however late it starts or often it is retried."""
    return flow_run.scheduled_start_time or datetime.now(UTC)
