"""A sweep, from its file's contents to a published manifest and a contact sheet."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import ConfigDict, Field, field_validator

from dreamsweep.errors import DreamsweepError, SweepFileError
from dreamsweep.expand import shards
from dreamsweep.manifest import Manifest, done_shards
from dreamsweep.spec import Spec, Sweep
from dreamsweep.store import open_store
from flows.fanout import Compute, fan_out
from flows.form import AskedSweep, SweepForm, find_sweep, name_of
from tasks.check import check
from tasks.generate import generate_shard
from tasks.plan import plan_sweep
from tasks.progress import announce
from tasks.publish import gather_rows, publish_manifest
from tasks.summarise import summarise

MAX_PARAMETER = 400_000
"""Characters of a sweep as JSON. Prefect takes 512 KiB of parameters."""


class SweepRequest(Spec):
    """What to make, where to keep it, and on what to make it."""

    model_config = ConfigDict(json_schema_extra={"required": ["sweep"]})

    sweep: AskedSweep = SweepForm()
    """Fill in what to draw, name a sweep that there is, or paste a sweep file."""
    store: str = "runs"
    """Where pictures and tables are kept: a folder, or s3://bucket/prefix."""
    device: Annotated[str, Field(json_schema_extra={"enum": ["auto", "cpu", "cuda", "mps"]})] = "auto"
    """What to compute on; auto takes the best there is."""
    compute: Annotated[Compute | None, Field(title="Made by")] = None
    """A deployment whose flow runs make the pictures, on as many machines as it has; without it they are made one after the other."""

    @property
    def name(self) -> str:
        """The sweep's."""
        return name_of(self.sweep)

    @field_validator("sweep")
    @classmethod
    def _small_enough(cls, sweep: AskedSweep) -> AskedSweep:
        size = len(sweep.model_dump_json()) if isinstance(sweep, Sweep) else 0
        if size > MAX_PARAMETER:
            assert isinstance(sweep, Sweep)
            raise SweepFileError(
                f"sweep {sweep.name!r}: its text comes to {size:,} characters, at most {MAX_PARAMETER:,} travel as a parameter; "
                "put the prompts into a file beside it: 'prompts: names.txt'."
            )
        return sweep


class IncompleteSweepError(Exception):
    """Some shards failed; what the others made is published."""


@flow(name="sweep", flow_run_name="{request.name}")
def sweep(request: SweepRequest) -> Manifest:
    """Makes what the store lacks of the sweep, publishes what there is, and draws its summary.

    Raises DreamsweepError for what the user can mend, and IncompleteSweepError when some shards failed.
    """
    asked, store = find_sweep(request.sweep, request.store), request.store
    if request.compute is None:
        check(asked, store, request.device)
    else:
        open_store(store).check()  # weights and devices are checked where the shards are made
    plan = plan_sweep(asked, store)
    made = _made(asked, store)
    announce(asked, plan, made)
    failures = generate_shards(asked, request, made)
    manifest = gather_rows(asked, store)
    publish_manifest(manifest, store)
    summarise(asked.name, store)
    if failures:
        raise IncompleteSweepError(_told(failures, manifest.trials, plan.trials))
    return manifest


def generate_shards(asked: Sweep, request: SweepRequest, made: frozenset[str]) -> list[BaseException]:
    """Generates every shard that is not made yet and returns the failures; one failure does not keep the rest from being made.

    Here, one after the other in this very thread, because a batch uses every core and Ctrl-C must reach it; or by a deployment's
    flow runs. Raises the first failure when it is the user's to mend and nothing was made.
    """
    if request.compute is not None:
        return fan_out(shards(asked, made), asked.name, request.store, request.device, request.compute)
    failures: list[BaseException] = []
    succeeded = bool(made)
    for shard in shards(asked, made):
        state: State[None] = generate_shard(shard, request.store, request.device, return_state=True)
        if state.is_completed():
            succeeded = True
        else:
            failures.append(state.result(raise_on_failure=False))  # type: ignore[arg-type]
    if failures and not succeeded:
        raise failures[0]
    return failures


def _made(asked: Sweep, store: str) -> frozenset[str]:
    """Ids of the trials that any staged shard of this sweep's name holds."""
    return frozenset(trial for shard in done_shards(open_store(store), asked.name) for trial in shard.trial_ids)


def _told(failures: list[BaseException], made: int, asked: int) -> str:
    first = failures[0]
    reason = str(first) if isinstance(first, DreamsweepError) else f"{type(first).__name__}: {first}"
    shards_failed = "1 shard" if len(failures) == 1 else f"{len(failures)} shards"
    return f"{shards_failed} failed, {made} of {asked} trials are published; the first failure was: {reason}"
