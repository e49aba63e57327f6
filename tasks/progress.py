"""Progress as log records: whoever wants to show it listens to the logger `dreamsweep.progress`. And as artifacts on Prefect's pages."""

import logging
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from dreamsweep.estimate import seconds_an_iteration
from dreamsweep.expand import Plan, Shard, engines, trials
from dreamsweep.shard import Progress
from dreamsweep.spec import Sweep

PROGRESS = logging.getLogger("dreamsweep.progress")
SECONDS_BETWEEN = 0.25
ARTIFACT_SECONDS = 10.0
"""Before a shard's progress shows on its flow run's page, and between its changes there: each is a request to the server."""


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


def report(shard: Shard, steps: Iterable[Progress]) -> None:
    """Runs through a shard's progress, and tells of it a few times a second and at each change of status."""
    engine = shard.trials[0].engine.engine
    told, status = 0.0, ""
    for step in steps:
        if step.status == status and time.monotonic() - told < SECONDS_BETWEEN:
            continue
        told, status = time.monotonic(), step.status
        text = "shard %s: %s, iteration %d/%d"
        PROGRESS.info(text, step.shard_id, status, step.iteration, step.iterations, extra={"progress": step, "engine": engine})


def shown_in_prefect(shard: Shard, steps: Iterable[Progress]) -> Iterator[Progress]:
    """Passes a shard's progress on, and shows it on the page of its flow run. A server that does not answer holds nothing up."""
    key = f"{shard.sweep}-{shard.shard_id}".replace(".", "-").replace("_", "-")
    artifact: UUID | None = None
    told = time.monotonic()
    for step in steps:
        due = time.monotonic() - told > ARTIFACT_SECONDS
        if due or (artifact and step.status == "done"):
            told = time.monotonic()
            share, text = 100 * step.iteration / step.iterations, _described(step)
            with suppress(httpx.HTTPError, PrefectException):
                if artifact is None:
                    artifact = create_progress_artifact(share, key=key, description=text)  # type: ignore[assignment] # no event loop here
                else:
                    update_progress_artifact(artifact, share, description=text)
        yield step


def _described(step: Progress) -> str:
    best = "" if step.best is None else f", the judge's best mark is {step.best:.3f}"
    trials = "1 trial" if step.trials == 1 else f"{step.trials} trials"
    return f"{trials}, iteration {step.iteration} of {step.iterations}{best}; {step.iterations_per_second:.1f} trials × iterations a second"
