"""The loop of every engine that descends a guide: an engine says where it begins, what it draws, and what it adds to the loss."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamsweep.compute.graphs import Count, RecordedStep, are_graphs_on
from dreamsweep.engines.optimizers import PREFIX, make_optimizer, pack_optimizer, set_rates, take_step, unpack_optimizer
from dreamsweep.engines.protocol import Artefact, Film, State, Step
from dreamsweep.engines.schedules import rate_share
from dreamsweep.guidance.protocol import Guide
from dreamsweep.spec import DescentSpec, Trial


class DescentEngine(ABC):
    """An engine that moves some tensors of a batch, `b …` each, down the loss of its guide (see `Engine`).

    A state holds these tensors by name, and any others that the engine needs to draw, all on one device.
    """

    moving: ClassVar[tuple[str, ...]]
    """Names of the tensors that the optimizer moves."""
    recordable: ClassVar[bool] = False
    """Whether an iteration may be recorded as a CUDA graph: it takes a tensor for its number, waits for nothing, and works in place."""

    def __init__(self, spec: DescentSpec, device: str) -> None:
        self.spec, self.device = spec, device

    @abstractmethod
    def begin(self, trials: Sequence[Trial], guide: Guide) -> State:
        """Returns the tensors before the first iteration, each trial's from its own seed."""

    @abstractmethod
    def pictures(self, state: State, trials: Sequence[Trial], iteration: Count) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures that the guide sees in an iteration, in [0, 1], differentiable in the moving tensors."""

    @abstractmethod
    def draw(self, state: State) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures that are kept, in [0, 1]."""

    def penalty(self, state: State, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b"] | None:
        """Returns the loss added to the guide's, `b`; None for engines without a penalty."""
        return None

    def after_step(self, state: State, iteration: Count, alive: Bool[Tensor, "b"]) -> None:
        """Follows up a step of the optimizer, in place: bounds, running averages. `alive` are the trials that moved."""
        return

    def artefacts(self, state: State, index: int) -> Iterable[Artefact | Film]:
        """Yields the files that one trial leaves beside its pictures when it ends."""
        return ()

    @property
    def guide_weight(self) -> float:
        """What the guide's loss is multiplied by."""
        return 1.0

    @property
    def relative_rates(self) -> tuple[float, ...]:
        """Learning rate of each moving tensor, relative to the optimizer's."""
        return (1.0,) * len(self.moving)

    @property
    def scheduled(self) -> int:
        """How many of the moving tensors, from the first, follow the spec's schedule of the learning rate."""
        return len(self.moving)

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        """Descends the guide, one `Step` an iteration; a step's `draw`, `state` and `artefacts` are those of the latest step taken."""
        iterations = trials[0].num_iter
        descent = _Descent(self, trials, guide, state)
        take = RecordedStep(descent.step, descent.tensors, self.device) if descent.recorded else descent.step
        for iteration in range(descent.done + 1, iterations + 1):
            loss, similarity = take(iteration)
            yield Step(
                iteration=iteration,
                loss=loss,
                similarity=similarity,
                learning_rate=descent.first_rate * rate_share(self.spec, iteration, iterations),
                draw=torch.no_grad()(lambda: self.draw(descent.state)),
                state=lambda iteration=iteration: descent.packed(iteration),  # type: ignore[misc]
                artefacts=torch.no_grad()(lambda index: self.artefacts(descent.state, index)),
            )


class _Descent:
    """A batch on its way: its tensors, all of which stay where they are in memory, and one iteration of it."""

    def __init__(self, engine: DescentEngine, trials: Sequence[Trial], guide: Guide, state: State | None) -> None:
        self.engine, self.trials, self.guide = engine, trials, guide
        record = state or {**engine.begin(trials, guide), "alive": torch.ones(len(trials), dtype=torch.bool), "iteration": torch.tensor(0)}
        tensors = {name: value.to(engine.device, copy=True) for name, value in record.items()}
        self.alive, self.done = tensors.pop("alive"), int(tensors.pop("iteration"))
        self.recorded = engine.recordable and are_graphs_on()
        self.moving = [tensors[name].requires_grad_() for name in engine.moving]
        self.optimizer = make_optimizer(engine.spec.optimizer, self.moving, engine.relative_rates, self.recorded)
        self.first_rate = float(self.optimizer.param_groups[0]["initial_lr"])
        unpack_optimizer(self.optimizer, tensors)
        self.state = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}

    def step(self, iteration: Count) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"]]:
        """Takes one step down; returns loss and similarity, NaN for trials that no longer move."""
        engine = self.engine
        set_rates(self.optimizer, engine.spec, iteration, self.trials[0].num_iter, engine.scheduled)
        pictures = engine.pictures(self.state, self.trials, iteration)
        guidance = self.guide(pictures, iteration)
        loss, penalty = engine.guide_weight * guidance.loss, engine.penalty(self.state, pictures)
        if penalty is not None:
            loss = loss + penalty
        self.alive.copy_(take_step(self.optimizer, self.moving, loss, self.alive))
        with torch.no_grad():
            engine.after_step(self.state, iteration, self.alive)
        return torch.where(self.alive, loss.detach(), torch.nan), torch.where(self.alive, guidance.similarity.detach(), torch.nan)

    def tensors(self) -> list[Tensor]:
        """Returns everything that a step changes and the next one reads."""
        optimizers = [value for entries in self.optimizer.state.values() for value in entries.values() if isinstance(value, Tensor)]
        return [*self.state.values(), self.alive, *optimizers]

    def packed(self, iteration: int) -> State:
        """Copies all that a resume needs."""
        tensors = {name: value.detach().clone() for name, value in self.state.items()}
        return {**tensors, **pack_optimizer(self.optimizer), "alive": self.alive.clone(), "iteration": torch.tensor(iteration)}
