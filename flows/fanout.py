"""Shards as flow runs of a deployment: a bounded window of them, one poll for all, and what was started before is taken over.

The server owns the flow runs, so they outlive a parent that dies; the parent that comes after it finds them by their tags. What is
made is what the store says, whatever state a flow run ended in.
"""

import hashlib
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling, Crashed
from pydantic import ConfigDict, PositiveFloat, PositiveInt

from dreamsweep.errors import ApiUnavailableError, ComputeError
from dreamsweep.flows.events import emit_retried
from dreamsweep.flows.form_schema import form_schema
from dreamsweep.flows.shard import REFUSED, UNREACHABLE, ShardRequest
from dreamsweep.planning.expand import Shard
from dreamsweep.results.handoff import Elsewhere, Lost, Progress, read_progress, write_progress, write_shard
from dreamsweep.results.missing import is_complete
from dreamsweep.retry import outlast
from dreamsweep.spec import Spec
from dreamsweep.store import open_store

PAGE = 200
"""Flow runs that the API gives at once, at most."""
ENDING_MINUTES = 3.0
"""Grace period in minutes for a worker to end a cancelled flow run, before it counts as crashed."""


LOOKS = 16
"""Running shards whose progress is read at one poll, at least; of more than that, each in its turn."""
LOOK_SECONDS = 300.0
"""Seconds within which every running shard's progress is read once, however many there are."""


OUTAGES = 50
"""Flow runs of one shard that an outage may end, each after ten minutes of retries, before such an end counts as an attempt."""

T = TypeVar("T")


PATIENCE = ("attempts", "poll_seconds", "silent_minutes")
"""Words that few people turn, and the run form does not show."""


class Compute(Spec):
    """A deployment whose flow runs make the shards, and how they are looked after."""

    model_config = ConfigDict(title="A deployment", json_schema_extra=form_schema("deployment", hidden=PATIENCE))

    deployment: str
    """The flow's name and the deployment's: shard/gpu."""
    window: PositiveInt = 32
    """Flow runs alive at once, waiting or running."""
    attempts: PositiveInt = 3
    """Flow runs for one shard, before it is given up."""
    poll_seconds: PositiveFloat = 5.0
    """Seconds between two polls of the flow runs."""
    silent_minutes: PositiveFloat = 20.0
    """Timeout in minutes without progress, after which a running shard counts as abandoned, is cancelled and retried elsewhere."""


class ShardFailedError(Exception):
    """A shard that no flow run has made."""


@dataclass
class _Child:
    """Flow run that is alive, with the times of its shard's last progress and of the last poll."""

    shard: Shard
    iteration: int
    heard: float
    looked_at: float = 0.0
    cancelling: bool = False


Outcome = Shard | BaseException | Elsewhere | Lost


def fan_out(shards: Iterable[Shard], sweep: str, store: str, device: str, compute: Compute) -> Iterator[Outcome]:
    """Plans the shards into the store and has the deployment make them; gives each that is made, and why others are not, and
    meanwhile how they go on.

    Raises ComputeError where there is no such deployment, or every flow run of a first window refused the work.
    """
    with get_client(sync_client=True) as client:
        yield from _FanOut(client, sweep, store, device, compute).run(shards)


class _FanOut:
    def __init__(self, client: SyncPrefectClient, sweep: str, store: str, device: str, compute: Compute) -> None:
        self.client, self.compute, self.device = client, compute, device
        self.sweep, self.store = sweep, open_store(store)
        self.tag = f"dreamsweep-{hashlib.sha256(f'{self.store.uri} {sweep}'.encode()).hexdigest()[:12]}"
        """Tag of all flow runs of this sweep in this store."""
        self.live: dict[UUID, _Child] = {}
        self.started = Counter[str]()
        """Flow runs of each shard, ever."""
        self.tried = Counter[str]()
        """The same, of this parent's, less those that an outage ended."""
        self.outages = Counter[str]()
        """Flow runs of each shard that an outage ended."""
        self.left: deque[Shard] = deque()
        """Shards to be retried."""
        self.completed = self.refused = 0

    def run(self, shards: Iterable[Shard]) -> Iterator[Outcome]:
        self._check()
        before = self._taken_over()
        source: Iterator[Shard] = iter(shards)
        while True:
            while len(self.live) < self.compute.window and (shard := self.left.popleft() if self.left else next(source, None)):
                if shard.shard_id in before:
                    self._watch(before.pop(shard.shard_id), shard)
                else:
                    self._start(shard)
            if not self.live:
                return
            time.sleep(self.compute.poll_seconds)
            running = list[FlowRun]()
            for run in self._outlast(lambda: list(self._read(list(self.live)))):
                if run.state and run.state.is_final():
                    yield from self._over(run)
                elif run.state and (run.state.is_running() or run.state.is_cancelling()):
                    running.append(run)
            looks = tuple(progress for run in self._in_turn(running) if (progress := self._listen(run)))
            yield Elsewhere(len(running), len(self.live) - len(running), looks)

    def _check(self) -> None:
        try:
            self._outlast(lambda: self.client.read_deployment_by_name(self.compute.deployment))
        except (ObjectNotFound, ValueError):
            raise ComputeError(
                f"compute {self.compute.deployment!r}: the Prefect API at {self.client.api_url} knows no such deployment; "
                "name one of `prefect deployment ls` (`dreamsweep deploy` makes shard/gpu)."
            ) from None

    def _taken_over(self) -> dict[str, UUID]:
        """Returns flow runs that an earlier parent left alive, by shard."""
        alive: dict[str, UUID] = {}
        wanted, offset = FlowRunFilter(tags=FlowRunFilterTags(all_=[self.tag])), 0

        def page_at(offset: int) -> list[FlowRun]:
            return self._outlast(
                lambda: self.client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset)
            )

        while page := page_at(offset):
            offset += len(page)
            for run in page:
                shard_id = run.parameters.get("request", {}).get("shard_id")
                self.started[shard_id] += 1
                if run.state and not run.state.is_final():
                    alive[shard_id] = run.id
        return alive

    def _start(self, shard: Shard) -> None:
        self._outlast(lambda: write_shard(self.store, shard))
        self.started[shard.shard_id] += 1
        self.tried[shard.shard_id] += 1
        request = ShardRequest(sweep=self.sweep, shard_id=shard.shard_id, store=self.store.uri, device=self.device)
        run: Any = self._outlast(  # the idempotency key lets it be asked twice; no coroutine here, as there is no event loop
            lambda: run_deployment(
                self.compute.deployment,
                parameters={"request": request.model_dump()},
                timeout=0,
                tags=[self.tag, f"sweep:{self.sweep}"],
                flow_run_name=f"{self.sweep}-{shard.shard_id}-{self.started[shard.shard_id]}",
                idempotency_key=f"{self.tag}-{shard.shard_id}-{self.started[shard.shard_id]}",
            )
        )
        self._watch(run.id, shard)

    def _watch(self, run: UUID, shard: Shard) -> None:
        self.live[run] = _Child(shard, -1, time.monotonic())

    def _over(self, run: FlowRun) -> Iterator[Outcome]:
        """Yields the outcome of a flow run that ended: its shard, a retry, or the failure."""
        shard = self.live.pop(run.id).shard
        state = run.state
        if self._outlast(lambda: is_complete(self.store, shard)):
            self.completed += 1
            yield shard
            return
        reason = f"shard {shard.shard_id}, flow run {run.name!r}: {state.name if state else 'gone'}"
        reason += f": {state.message}" if state and state.message else ""
        if state and state.name == UNREACHABLE and self.outages[shard.shard_id] < OUTAGES:
            self.outages[shard.shard_id] += 1
            self.tried[shard.shard_id] -= 1
        if state and state.name == REFUSED:
            self.refused += 1
            refusal = ComputeError(state.message or reason)
            if not self.completed and self.refused >= self.compute.window:
                raise refusal
            yield self._give_up(shard, reason)
            yield refusal
        elif self.tried[shard.shard_id] < self.compute.attempts:
            attempt = self.tried[shard.shard_id] + 1
            emit_retried(self.sweep, self.store.uri, shard.shard_id, attempt, reason)
            self.left.append(shard)
            yield Lost(shard.shard_id, reason, attempt)
        else:
            yield self._give_up(shard, reason)
            yield ShardFailedError(reason)

    def _give_up(self, shard: Shard, reason: str) -> Lost:
        """Records in the store that a shard is given up."""
        progress = self._outlast(lambda: read_progress(self.store, self.sweep, shard.shard_id)) or Progress.of_planned(shard)
        self._outlast(lambda: write_progress(self.store, self.sweep, replace(progress, status="given up")))
        return Lost(shard.shard_id, reason, None)

    def _in_turn(self, running: list[FlowRun]) -> list[FlowRun]:
        """Returns the flow runs not polled for the longest time: few enough that reading their progress costs the store little."""
        share = self.compute.poll_seconds / LOOK_SECONDS
        running.sort(key=lambda run: self.live[run.id].looked_at)
        return running[: max(LOOKS, math.ceil(share * len(running)))]

    def _listen(self, run: FlowRun) -> Progress | None:
        """Reads a running shard's progress. A shard without progress past the timeout is abandoned: its machine is gone."""
        child = self.live[run.id]
        progress = self._outlast(lambda: read_progress(self.store, self.sweep, child.shard.shard_id))
        child.looked_at = time.monotonic()
        silent, patience = child.looked_at - child.heard, 60 * (ENDING_MINUTES if child.cancelling else self.compute.silent_minutes)
        iteration = progress.iteration if progress else -1
        if iteration != child.iteration:
            child.iteration, child.heard = iteration, time.monotonic()
        elif silent > patience:
            # first asks whoever runs it to end it; where nobody is left to answer, it has crashed
            reason = f"no progress for {silent / 60:.0f} minutes"
            ending: State[None] = Crashed(message="no progress, and nobody ended it") if child.cancelling else Cancelling(message=reason)
            self._outlast(lambda: self.client.set_flow_run_state(run.id, ending, force=True))
            child.cancelling, child.heard = True, time.monotonic()
        return progress

    def _outlast(self, call: Callable[[], T]) -> T:
        """Calls the store or the API, and waits while either is away; no shard counts as silent for that time."""
        return outlast(lambda: _api_away_is_transient(call), recovered=self._hear_all)

    def _hear_all(self) -> None:
        now = time.monotonic()
        for child in self.live.values():
            child.heard = now

    def _read(self, ids: list[UUID]) -> Iterator[FlowRun]:
        """Reads flow runs a page at a time, each by its own ids, so that a request does not grow with the window."""
        for start in range(0, len(ids), PAGE):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=ids[start : start + PAGE]))
            yield from self.client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE)


def _api_away_is_transient(call: Callable[[], T]) -> T:
    """Calls, and raises ApiUnavailableError where Prefect's API does not answer, or fails by itself."""
    try:
        return call()
    except httpx.TransportError as error:
        reason = type(error).__name__
    except PrefectHTTPStatusError as error:
        if error.response.status_code < 500 and error.response.status_code != 429:
            raise
        reason = f"status {error.response.status_code}"
    raise ApiUnavailableError(f"Prefect's API does not answer ({reason}); look at its server, or at PREFECT_API_URL and the network.")
