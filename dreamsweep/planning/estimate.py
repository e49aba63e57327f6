"""Estimates how long a sweep takes: measured seconds an iteration, scaled by the settings that cost the most."""

from dreamsweep.planning.concepts import learners
from dreamsweep.planning.expand import Plan, engines
from dreamsweep.spec import EngineSpec, Sweep


def estimate_seconds(sweep: Sweep, plan: Plan) -> float | None:
    """Estimates the seconds of the whole sweep on two CPU cores (a GPU takes far less); None where no engine's cost was measured."""
    if sweep.weights == "published" or not all(name.startswith("starter-") for name in sweep.perceptors):
        return None
    specs = list(engines(sweep))
    trials_each, total = plan.trials / max(1, len(specs)), 0.0
    for spec in specs:
        seconds = spec.seconds_an_iteration()
        if seconds is None:
            return None
        total += trials_each * (spec.num_iter or sweep.iterations) * seconds
    return total


LESSON_SECONDS = 3.0
"""Seconds in which a starter learns one word on one CPU core."""


def seconds_to_learn(sweep: Sweep, concepts: int) -> float | None:
    """Estimates the seconds in which a sweep's perceptors learn so many words; None where one of them was not measured."""
    names = learners(sweep)
    return LESSON_SECONDS * concepts * len(names) if all(name.startswith("starter-") for name in names) else None


UNKNOWN_SECONDS = 0.1
"""Default of seconds an iteration, for engines whose cost was not measured."""


def seconds_an_iteration(spec: EngineSpec) -> float:
    """Estimates the seconds of one iteration of one trial, to compare the costs of engines."""
    return spec.seconds_an_iteration() or UNKNOWN_SECONDS
