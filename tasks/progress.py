"""Progress as log records: whoever wants to show it listens to the logger `dreamsweep.progress`."""

import logging
import time
from collections import Counter
from collections.abc import Container, Iterable

from dreamsweep.estimate import seconds_an_iteration
from dreamsweep.expand import Plan, Shard, engines, trials
from dreamsweep.shard import Progress
from dreamsweep.spec import Sweep

PROGRESS = logging.getLogger("dreamsweep.progress")
SECONDS_BETWEEN = 0.25


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
