"""A sweep, from its file's contents to a published manifest and a contact sheet."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from pydantic import ConfigDict, Field, field_validator

from dreamsweep.errors import DreamsweepError, SweepFileError
from dreamsweep.expand import Plan, Shard, of_day, shards
from dreamsweep.manifest import Manifest, done_shards
from dreamsweep.spec import DATE, Spec, Sweep
from dreamsweep.store import open_store
from dreamsweep.words import counted
from flows.cluster import Cluster, make_on_cluster
from flows.events import tell_failed, tell_finished
from flows.fanout import Compute, ComputeError, ShardFailedError, fan_out
from flows.form import AskedSweep, SweepForm, find_sweep, form_schema, name_of
from flows.lost import STARTS, SWEEP_FLOW
from tasks.check import check
from tasks.generate import generate_shard
from tasks.plan import plan_sweep
from tasks.progress import announce, report_made
from tasks.publish import gather_rows, publish_manifest
from tasks.summarise import summarise

FOR_PEOPLE = "Pictures for prompts: Run, then Custom run, opens a form; the contact sheet and a table are among the flow run's artifacts."
MAX_PARAMETER = 400_000
"""Characters of a sweep as JSON. Prefect takes 512 KiB of parameters."""


class SweepRequest(Spec):
    """What to make, where to keep it, and on what to make it."""

    model_config = ConfigDict(json_schema_extra=form_schema("sweep"))

    sweep: AskedSweep = SweepForm()
    """Fill in what to draw, name a sweep that there is, or paste a sweep file."""
    store: str = "runs"
    """Where pictures and tables are kept: a folder, or s3://bucket/prefix."""
    device: Annotated[str, Field(json_schema_extra={"enum": ["auto", "cpu", "cuda", "mps"]})] = "auto"
    """What to compute on; auto takes the best there is."""
    compute: Annotated[Compute | Cluster | None, Field(title="Made by")] = None
    """A deployment whose flow runs make the pictures, on as many machines as it has, or a Dask or Ray cluster; without either they are
    made here, one after the other."""

    @property
    def name(self) -> str:
        """The sweep's."""
        return name_of(self.sweep).replace(DATE, _day().isoformat())

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
    """What makes the shards, as a command line says it: `shard/NAME`, `dask`, `ray`, `dask:tcp://host:8786`, `ray:ray://host:10001`.

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


class IncompleteSweepError(Exception):
    """Some shards failed, or the flow run itself too often; what others made is published."""


@flow(name=SWEEP_FLOW, description=FOR_PEOPLE, flow_run_name="{request.name}", on_failure=[tell_failed], on_crashed=[tell_failed])
def sweep(request: SweepRequest) -> Manifest:
    """Makes what the store lacks of the sweep, publishes what there is, and draws its summary.

    Raises DreamsweepError for what the user can mend, and IncompleteSweepError when some shards failed.
    """
    if flow_run.run_count > STARTS:
        raise IncompleteSweepError(f"its flow run has crashed {STARTS} times; find out why, then start it again to make what is missing")
    asked, store = of_day(find_sweep(request.sweep, request.store), _day()), request.store
    if request.compute is None:
        check(asked, store, request.device)
    else:
        open_store(store).check()  # weights and devices are checked where the shards are made
    plan = plan_sweep(asked, store)
    made = _made(asked, store)
    announce(asked, plan, made)
    failures = generate_shards(asked, request, plan, made)
    manifest = gather_rows(asked, store)
    publish_manifest(manifest, store)
    best = summarise(asked.name, store)
    if failures:
        raise IncompleteSweepError(_told(failures, manifest.trials, plan.trials))
    tell_finished(manifest, store, best)
    return manifest


def generate_shards(asked: Sweep, request: SweepRequest, plan: Plan, made: frozenset[str]) -> list[BaseException]:
    """Generates every shard that is not made yet and returns the failures; one failure does not keep the rest from being made.

    Raises the first failure when it is the user's to mend and nothing was made.
    """
    left, store, device = shards(asked, made), request.store, request.device
    match request.compute:
        case None:
            outcomes = make_here(left, store, device)
        case Compute():
            outcomes = report_made(asked, plan, made, fan_out(left, asked.name, store, device, request.compute))
        case Cluster():
            outcomes = report_made(asked, plan, made, make_on_cluster(left, store, device, request.compute))
    failures, succeeded = list[BaseException](), bool(made)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            failures.append(outcome)
        succeeded |= isinstance(outcome, Shard)
    if failures and not succeeded:
        raise IncompleteSweepError(_told(failures, 0, plan.trials)) if isinstance(failures[0], ShardFailedError) else failures[0]
    return failures


def make_here(shards: Iterable[Shard], store: str, device: str) -> Iterator[Shard | BaseException]:
    """One after the other in this very thread, because a batch uses every core and Ctrl-C must reach it."""
    for shard in shards:
        state: State[None] = generate_shard(shard, store, device, return_state=True)
        yield shard if state.is_completed() else state.result(raise_on_failure=False)  # type: ignore[misc]


def _day() -> date:
    """That the flow run is of, by UTC: the one for which it was scheduled, however late it starts or often it is retried."""
    return (flow_run.scheduled_start_time or datetime.now(UTC)).date()


def _made(asked: Sweep, store: str) -> frozenset[str]:
    """Ids of the trials that any staged shard of this sweep's name holds."""
    return frozenset(trial for shard in done_shards(open_store(store), asked.name) for trial in shard.trial_ids)


def _told(failures: list[BaseException], made: int, asked: int) -> str:
    first = failures[0]
    reason = str(first) if isinstance(first, DreamsweepError) else f"{type(first).__name__}: {first}"
    return f"{counted(len(failures), 'shard')} failed, {made} of {asked} trials are published; the first failure was: {reason}"
