"""How a number moves over a trial: temperatures, and the learning rates of engines that descend."""

import math
from collections.abc import Callable
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.devices import constant
from dreamsweep.compute.graphs import Count
from dreamsweep.spec import RATE_END, RATE_UNTIL, Curve, DescentSpec


def moved(curve: Curve, start: float, end: float, share: float) -> float:
    """Returns where a positive number is that goes from `start` to `end`, a `share` of the way, 0 to 1."""
    match curve:
        case "linear":
            return start + (end - start) * share
        case "cosine":
            return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
        case "exponential":
            return float(start * (end / start) ** share)
        case _:
            assert_never(curve)


def at_iteration(values: Callable[[int], float], iterations: int, iteration: Count) -> float | Float[Tensor, "1"]:
    """Returns the value of an iteration, counted from 1; for one that is a tensor, looked up in a table on its device."""
    if isinstance(iteration, int):
        return values(iteration)
    table = constant(tuple(values(number) for number in range(1, iterations + 1)), iteration.device)
    return table.index_select(0, (iteration - 1).view(1))


def rate_share(spec: DescentSpec, iteration: int, iterations: int) -> float:
    """Returns what the learning rate of an iteration, counted from 1, is multiplied by."""
    gone = iteration - 1
    match spec.rate_schedule:
        case "constant":
            return 1.0
        case "steps":
            return next((drop.times for drop in reversed(spec.rate_drops or ()) if gone >= drop.at * iterations), 1.0)
        case curve:
            end, until = spec.rate_end or RATE_END, spec.rate_until or RATE_UNTIL  # the spec has resolved them
            return moved(curve, 1.0, end, min(1.0, gone / (max(1, iterations - 1) * until)))
