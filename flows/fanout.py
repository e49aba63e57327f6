"""Shards as flow runs of a deployment: a bounded window of them, one poll for all, and what was started before is taken over.

The server owns the flow runs, so they outlive a parent that dies; the parent that comes after it finds them by their tags. What is
made is what the store says, whatever state a flow run ended in.
"""

import hashlib
import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed
from pydantic import PositiveFloat, PositiveInt

from dreamsweep.errors import DreamsweepError
from dreamsweep.expand import Shard
from dreamsweep.manifest import shard_is_done
from dreamsweep.planned import Elsewhere, Lost, Progress, read_progress, write_progress, write_shard
from dreamsweep.spec import Spec
from dreamsweep.store import open_store
from flows.events import tell_retried
from flows.shard import REFUSED, ShardRequest

PAGE = 200
"""Flow runs that the API gives at once, at most."""
ENDING_MINUTES = 3.0
"""That whoever runs a flow run has to end it, before it is taken for crashed."""


LOOKS = 16
"""Running shards whose progress is read at one poll, at least; of more than that, each in its turn."""
LOOK_SECONDS = 300.0
"""Within which every running shard's progress is read once, however many there are."""


class Compute(Spec):
    """A deployment whose flow runs make the shards, and how they are looked after."""

    deployment: str
    """The flow's name and the deployment's: shard/gpu."""
    window: PositiveInt = 32
    """Flow runs alive at once, waiting or running."""
    attempts: PositiveInt = 3
    """Flow runs for one shard, before it is given up."""
    poll_seconds: PositiveFloat = 5.0
    """Between two looks at them."""
    silent_minutes: PositiveFloat = 20.0
    """A running shard that has told of no progress for so long is taken for lost, cancelled and started elsewhere."""


class ComputeError(DreamsweepError):
    """There is no such deployment, or none of its flow runs can do the work."""


class ShardFailedError(Exception):
    """A shard that no flow run has made."""


@dataclass
class _Child:
    """A flow run that is alive, and when its shard last got further or was last looked at."""

    shard: Shard
    told: int
    heard: float
    looked_at: float = 0.0
    asked_to_end: bool = False


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
        """Of all flow runs of this sweep in this store."""
        self.live: dict[UUID, _Child] = {}
        self.started = Counter[str]()
        """Flow runs of each shard, ever."""
        self.tried = Counter[str]()
        """The same, of this parent's."""
        self.left: deque[Shard] = deque()
        """Shards to be tried again."""
        self.made = self.refused = 0

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
            for run in self._read(list(self.live)):
                if run.state and run.state.is_final():
                    yield from self._over(run)
                elif run.state and (run.state.is_running() or run.state.is_cancelling()):
                    running.append(run)
            told = tuple(progress for run in self._in_turn(running) if (progress := self._listen(run)))
            yield Elsewhere(len(running), len(self.live) - len(running), told)

    def _check(self) -> None:
        try:
            self.client.read_deployment_by_name(self.compute.deployment)
        except (ObjectNotFound, ValueError):
            raise ComputeError(
                f"compute {self.compute.deployment!r}: the Prefect API at {self.client.api_url} knows no such deployment; "
                "name one of `prefect deployment ls` (`dreamsweep deploy` makes shard/gpu)."
            ) from None

    def _taken_over(self) -> dict[str, UUID]:
        """Flow runs that an earlier parent left alive, by shard."""
        alive: dict[str, UUID] = {}
        wanted, offset = FlowRunFilter(tags=FlowRunFilterTags(all_=[self.tag])), 0
        while page := self.client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=offset):
            offset += len(page)
            for run in page:
                shard_id = run.parameters.get("request", {}).get("shard_id")
                self.started[shard_id] += 1
                if run.state and not run.state.is_final():
                    alive[shard_id] = run.id
        return alive

    def _start(self, shard: Shard) -> None:
        write_shard(self.store, shard)
        self.started[shard.shard_id] += 1
        self.tried[shard.shard_id] += 1
        request = ShardRequest(sweep=self.sweep, shard_id=shard.shard_id, store=self.store.uri, device=self.device)
        run: Any = run_deployment(  # no coroutine here: there is no event loop
            self.compute.deployment,
            parameters={"request": request.model_dump()},
            timeout=0,
            tags=[self.tag, f"sweep:{self.sweep}"],
            flow_run_name=f"{self.sweep}-{shard.shard_id}-{self.started[shard.shard_id]}",
            idempotency_key=f"{self.tag}-{shard.shard_id}-{self.started[shard.shard_id]}",
        )
        self._watch(run.id, shard)

    def _watch(self, run: UUID, shard: Shard) -> None:
        self.live[run] = _Child(shard, -1, time.monotonic())

    def _over(self, run: FlowRun) -> Iterator[Outcome]:
        """Gives the shard of a flow run that ended, or why it is not made, or that it is to be tried again."""
        shard = self.live.pop(run.id).shard
        state = run.state
        if shard_is_done(self.store, self.sweep, shard.shard_id, (trial.id for trial in shard.trials)):
            self.made += 1
            yield shard
            return
        told = f"shard {shard.shard_id}, flow run {run.name!r}: {state.name if state else 'gone'}"
        told += f": {state.message}" if state and state.message else ""
        if state and state.name == REFUSED:
            self.refused += 1
            refusal = ComputeError(state.message or told)
            if not self.made and self.refused >= self.compute.window:
                raise refusal
            yield self._give_up(shard, told)
            yield refusal
        elif self.tried[shard.shard_id] < self.compute.attempts:
            attempt = self.tried[shard.shard_id] + 1
            tell_retried(self.sweep, self.store.uri, shard.shard_id, attempt, told)
            self.left.append(shard)
            yield Lost(shard.shard_id, told, attempt)
        else:
            yield self._give_up(shard, told)
            yield ShardFailedError(told)

    def _give_up(self, shard: Shard, reason: str) -> Lost:
        """Says so in the store as well."""
        told = read_progress(self.store, self.sweep, shard.shard_id) or Progress.of_planned(shard)
        write_progress(self.store, self.sweep, replace(told, status="given up"))
        return Lost(shard.shard_id, reason, None)

    def _in_turn(self, running: list[FlowRun]) -> list[FlowRun]:
        """Those not looked at for the longest time: few enough that looking costs the store little."""
        share = self.compute.poll_seconds / LOOK_SECONDS
        running.sort(key=lambda run: self.live[run.id].looked_at)
        return running[: max(LOOKS, math.ceil(share * len(running)))]

    def _listen(self, run: FlowRun) -> Progress | None:
        """How far a running shard is. One that got no further for long is lost: its machine is gone, and nobody said so."""
        child = self.live[run.id]
        child.looked_at = time.monotonic()
        silent, patience = child.looked_at - child.heard, 60 * (ENDING_MINUTES if child.asked_to_end else self.compute.silent_minutes)
        progress = read_progress(self.store, self.sweep, child.shard.shard_id)
        told = progress.iteration if progress else -1
        if told != child.told:
            child.told, child.heard = told, time.monotonic()
        elif silent > patience:
            # first asks whoever runs it to end it; where nobody is left to answer, it has crashed
            reason = f"no progress for {silent / 60:.0f} minutes"
            ending: State[None] = Crashed(message="no progress, and nobody ended it") if child.asked_to_end else Cancelling(message=reason)
            self.client.set_flow_run_state(run.id, ending, force=True)
            child.asked_to_end, child.heard = True, time.monotonic()
        return progress

    def _read(self, ids: list[UUID]) -> Iterator[FlowRun]:
        """A page at a time, each asked for by its own ids: what a request holds does not grow with the window."""
        for start in range(0, len(ids), PAGE):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=ids[start : start + PAGE]))
            yield from self.client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE)
