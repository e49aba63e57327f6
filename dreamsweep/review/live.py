"""Running sweeps: how far each is, how long it still takes, and what has failed.

/api/status              every sweep that is under way
/api/sweeps/NAME/status  one sweep
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from fastapi import FastAPI
from pydantic import ValidationError

from dreamsweep.errors import DreamsweepError, QueryError
from dreamsweep.planning.expand import Plan, plan
from dreamsweep.report.query import query
from dreamsweep.results.handoff import Progress
from dreamsweep.results.status import SweepStatus, every_status, sweep_status
from dreamsweep.review.takeaway import SweepName
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, keys

FRESH_SECONDS = 2.0
"""Age up to which an answer is given again: many browsers ask at once."""
SILENT_SECONDS = 180.0
"""Age of a running shard's last sign of life after which nobody may be making it any more."""
MOST_FAILURES, MOST_RUNNING = 20, 50
FAILURES = f"""
SELECT status, coalesce(error, '') AS error, count(*)::INTEGER AS trials FROM trials WHERE status <> 'done'
GROUP BY ALL ORDER BY trials DESC, error LIMIT {MOST_FAILURES}
"""
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """Reason that trials failed or diverged for."""

    status: str
    error: str
    trials: int


@dataclass(frozen=True)
class Live:
    """Status of a sweep."""

    sweep: str
    generation: str | None
    """State that is published; None where nothing is."""
    done: int
    """Trials published, whatever their status."""
    trials: int | None
    """Trials of the whole sweep; None where its file cannot be read here."""
    share: float | None
    """Share of its shards that are made, those that run by their iterations; None as above."""
    seconds_left: float | None
    """At the speed of the shards that run; None where none does, or the share is not known."""
    running: list[Progress]
    silent: int
    """Running shards without a sign of life for minutes."""
    waiting: int
    given_up: int
    """Shards that failed at every attempt."""
    failures: list[Failure]

    @property
    def is_under_way(self) -> bool:
        """Whether anything of it is still to be made by somebody."""
        return bool(self.running or self.waiting or self.given_up)


def add_live(app: FastAPI, store: Store) -> None:
    """Adds the addresses."""
    state_of, running_states = _fresh(lambda sweep: _live(store, sweep_status(store, sweep), True)), _fresh(lambda _: _every(store))

    @app.get("/api/status")
    def all_of_them() -> list[Live]:
        return running_states("")

    @app.get("/api/sweeps/{sweep}/status")
    def of_one(sweep: SweepName) -> Live:
        return state_of(sweep)


def _every(store: Store) -> list[Live]:
    return [state for state in (_live(store, status, False) for status in every_status(store)) if state.is_under_way]


def _live(store: Store, status: SweepStatus, with_failures: bool) -> Live:
    planned, manifest = _plan(store, status.sweep), status.manifest
    share = _share(status, planned) if planned else None
    speed = sum(shard.iterations_per_second for shard in status.running)
    left = (1 - share) * planned.iterations / speed if share is not None and planned and speed else None
    return Live(
        sweep=status.sweep,
        generation=manifest.generation if manifest else None,
        done=manifest.trials if manifest else 0,
        trials=planned.trials if planned else None,
        share=share,
        seconds_left=left,
        running=list(status.running[:MOST_RUNNING]),
        silent=_silent(store, status),
        waiting=status.waiting,
        given_up=status.given_up,
        failures=_failures(store, status.sweep) if with_failures and manifest and manifest.done < manifest.trials else [],
    )


def _share(status: SweepStatus, planned: Plan) -> float:
    """Returns the share of all shards that is made. More may be staged than planned, of an earlier file of the same name."""
    begun = sum(shard.iteration / max(1, shard.iterations) for shard in status.running)
    return min(1.0, (status.staged + begun) / max(1, planned.shards))


def _silent(store: Store, status: SweepStatus) -> int:
    """Returns how many running shards have not written for long."""
    if not status.running:
        return 0
    last: dict[str, float] = {}
    for entry in store.entries(keys.staging(status.sweep)):
        shard = keys.shard_of(entry.key)
        last[shard] = max(last.get(shard, 0.0), entry.modified)
    return sum(time.time() - last.get(shard.shard_id, 0.0) > SILENT_SECONDS for shard in status.running)


def _plan(store: Store, sweep: str) -> Plan | None:
    """Returns the size of the sweep as its file says it; None where that cannot be read on this machine."""
    version = store.version(keys.sweep_file(sweep))
    if version is None:
        return None
    with _PLANS_LOCK:
        if (sweep, version) in _PLANS:
            return _PLANS[sweep, version]
    try:
        planned = plan(Sweep.model_validate(yaml.safe_load(store.get(keys.sweep_file(sweep)) or b"")))
    except (DreamsweepError, ValidationError, yaml.YAMLError):
        planned = None
    with _PLANS_LOCK:
        _PLANS[sweep, version] = planned
    return planned


_PLANS: dict[tuple[str, str], Plan | None] = {}
_PLANS_LOCK = threading.Lock()


def _failures(store: Store, sweep: str) -> list[Failure]:
    try:
        return [Failure(**row) for row in query(store, FAILURES, sweep).to_pylist()]
    except QueryError:  # a table that is damaged is said elsewhere
        return []


def _fresh(ask: Callable[[str], T]) -> Callable[[str], T]:
    """Returns the same function, whose answers are given again for a moment; callers at the same time share one."""
    answers: dict[str, tuple[float, Any]] = {}
    lock = threading.Lock()

    def answered(name: str) -> T:
        with lock:
            known = answers.get(name)
            if known is None or time.monotonic() - known[0] > FRESH_SECONDS:
                answers.pop(name, None)
                if len(answers) > 100:
                    answers.clear()
                answers[name] = known = (time.monotonic(), ask(name))
            value: T = known[1]
            return value

    return answered
