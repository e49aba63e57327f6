"""A batch in parts that keep step: the memory of one part at a time, and the pixels of the whole."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.engines.protocol import Artefact, Engine, Film, State, Step
from dreamsweep.guidance.protocol import Guide
from dreamsweep.spec import Trial

_SIZE = "part_size"


def generate_in_parts(
    engine: Engine, guide_of: Callable[[Sequence[Trial]], Guide], trials: Sequence[Trial], size: int, state: State | None = None
) -> Iterator[Step]:
    """Generates as `Engine.generate`, at most `size` trials at once; a state must come from parts of the same size (see `part_size`)."""
    parts = [trials[start : start + size] for start in range(0, len(trials), size)]
    if len(parts) == 1:
        yield from engine.generate(trials, guide_of(trials), state)
        return
    runs = [engine.generate(part, guide_of(part), _state_of(state, at)) for at, part in enumerate(parts)]
    for steps in zip(*runs, strict=True):
        yield _joined(steps, size)


def part_size(state: State | None, trials: int) -> int:
    """Returns trials that were generated at once when a state was taken; all of them where there is none."""
    return int(state[_SIZE]) if state and _SIZE in state else trials


def _state_of(state: State | None, part: int) -> State | None:
    if state is None:
        return None
    prefix = f"part{part}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _joined(steps: Sequence[Step], size: int) -> Step:
    first = steps[0]

    def state() -> State:
        own = {f"part{at}.{name}": value for at, step in enumerate(steps) for name, value in step.state().items()}
        return {**own, "iteration": torch.tensor(first.iteration), _SIZE: torch.tensor(size)}

    def artefacts(index: int) -> Iterable[Artefact | Film]:
        make = steps[index // size].artefacts
        return make(index % size) if make else ()

    return Step(
        iteration=first.iteration,
        loss=torch.cat([step.loss for step in steps]),
        similarity=torch.cat([step.similarity for step in steps]),
        learning_rate=first.learning_rate,
        draw=lambda: torch.cat([step.draw() for step in steps]),
        state=state,
        each=_padded([step.each for step in steps if step.each is not None]),
        artefacts=artefacts if first.artefacts else None,
    )


def _padded(parts: Sequence[Tensor]) -> Tensor | None:
    """Similarities of parts whose longest trials pass different numbers of prompts, `b m`."""
    if not parts:
        return None
    most = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, most - part.shape[1]), value=torch.nan) for part in parts])
