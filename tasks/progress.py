"""Progress as log records: whoever wants to show it listens to the logger `dreamsweep.progress`. And as artifacts on Prefect's pages."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from dreamsweep.estimate import seconds_an_iteration
from dreamsweep.expand import Plan, Shard, engines, trials
from dreamsweep.planned import Elsewhere, Lost, Progress
from dreamsweep.spec import Sweep
from dreamsweep.words import counted

T = TypeVar("T")
PROGRESS = logging.getLogger("dreamsweep.progress")
SECONDS_BETWEEN = 0.25
ARTIFACT_SECONDS = 10.0
"""Before a shard's progress shows on its flow run's page, and between its changes there: each is a request to the server."""


def artifact_key(name: str) -> str:
    """A sweep's or shard's name as an artifact's key may be: small letters, digits and dashes."""
    return name.replace(".", "-").replace("_", "-")


def announce(sweep: Sweep, plan: Plan, made: Container[str]) -> None:
    """Tells what the sweep comes to, what of it is `made` already, and what an iteration may cost."""
    left, count = Counter[str](), 0
    for trial in trials(sweep):
        if trial.id in made:
            count += 1
        else:
            left[trial.engine.engine] += trial.num_iter
    costs = {engine.engine: seconds_an_iteration(engine) for engine in engines(sweep)}
    told = {"plan": plan, "made": count, "left": dict(left), "costs": costs}
    PROGRESS.info("sweep %s: %d trials, %d of them made", sweep.name, plan.trials, count, extra=told)


def report(steps: Iterable[Progress]) -> None:
    """Runs through a shard's progress, and tells of it a few times a second and at each change of status."""
    told, status = 0.0, ""
    for step in steps:
        if step.status == status and time.monotonic() - told < SECONDS_BETWEEN:
            continue
        told, status = time.monotonic(), step.status
        text = "shard %s: %s, iteration %d/%d"
        PROGRESS.info(text, step.shard_id, status, step.iteration, step.iterations, extra={"progress": step})


def report_made(sweep: Sweep, plan: Plan, made: Collection[str], outcomes: Iterable[Shard | T | Elsewhere | Lost]) -> Iterator[Shard | T]:
    """Passes on what became of shards that are made elsewhere, and tells how they go on; `made`: trials that were before."""
    bar = _Bar(sweep.name)
    count = sum(trial.id in made for trial in trials(sweep)) if made else 0
    for outcome in outcomes:
        match outcome:
            case Elsewhere():
                text = "elsewhere: %d shards running, %d waiting"
                PROGRESS.info(text, outcome.running, outcome.waiting, extra={"elsewhere": outcome})
                continue
            case Lost():
                PROGRESS.info("shard %s: %s", outcome.shard_id, outcome.reason, extra={"lost": outcome})
                continue
            case Shard():
                count += len(outcome.trials)
                done = Progress.of_made(outcome)
                PROGRESS.info("shard %s: made, %d of %d trials", outcome.shard_id, count, plan.trials, extra={"progress": done})
                bar.show(count / plan.trials, f"{count:,} of {plan.trials:,} trials", last=count == plan.trials)
        yield outcome


def shown_in_prefect(shard: Shard, steps: Iterable[Progress]) -> Iterator[Progress]:
    """Passes a shard's progress on, and shows it on the page of its flow run."""
    bar = _Bar(f"{shard.sweep}-{shard.shard_id}")
    for step in steps:
        bar.show(step.iteration / step.iterations, _described(step), last=step.status == "done")
        yield step


class _Bar:
    """A progress artifact on the page of the flow run around it. A server that does not answer holds nothing up."""

    def __init__(self, name: str) -> None:
        self.key = artifact_key(name)
        self.artifact: UUID | None = None
        self.told = time.monotonic()

    def show(self, share: float, text: str, last: bool) -> None:
        """Now and then; the last word only where there was another before it."""
        if time.monotonic() - self.told <= ARTIFACT_SECONDS and not (last and self.artifact):
            return
        self.told = time.monotonic()
        with suppress(httpx.HTTPError, PrefectException):
            if self.artifact is None:
                self.artifact = create_progress_artifact(100 * share, key=self.key, description=text)  # type: ignore[assignment] # no event loop
            else:
                update_progress_artifact(self.artifact, 100 * share, description=text)


def _described(step: Progress) -> str:
    best = "" if step.best is None else f", the judge's best mark is {step.best:.3f}"
    pace = f"{step.iterations_per_second:.1f} trials × iterations a second"
    return f"{counted(step.trials, 'trial')}, iteration {step.iteration} of {step.iterations}{best}; {pace}"
