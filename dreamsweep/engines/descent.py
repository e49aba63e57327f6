"""The loop of every engine that descends a guide: an engine says where it begins, what it draws, and what it adds to the loss."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamsweep.engines.optimizers import PREFIX, make_optimizer, pack_optimizer, set_rates, take_step, unpack_optimizer
from dreamsweep.engines.protocol import Artefact, Film, State, Step
from dreamsweep.guidance.protocol import Guide
from dreamsweep.spec import DescentSpec, Trial


class DescentEngine(ABC):
    """An engine that moves some tensors of a batch, `b …` each, down the loss of its guide (see `Engine`).

    A state holds these tensors by name, and any others that the engine needs to draw, all on one device.
    """

    moving: ClassVar[tuple[str, ...]]
    """Names of the tensors that the optimizer moves."""

    def __init__(self, spec: DescentSpec, device: str) -> None:
        self.spec, self.device = spec, device

    @abstractmethod
    def begin(self, trials: Sequence[Trial], guide: Guide) -> State:
        """Returns the tensors before the first iteration, each trial's from its own seed."""

    @abstractmethod
    def pictures(self, state: State, trials: Sequence[Trial], iteration: int) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures that the guide sees in an iteration, in [0, 1], differentiable in the moving tensors."""

    @abstractmethod
    def draw(self, state: State) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures that are kept, in [0, 1]."""

    def penalty(self, state: State, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b"] | None:
        """Returns the loss added to the guide's, `b`; None for engines without a penalty."""
        return None

    def after_step(self, state: State, iteration: int, alive: Bool[Tensor, "b"]) -> None:
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
        record = state or {**self.begin(trials, guide), "alive": torch.ones(len(trials), dtype=torch.bool), "iteration": torch.tensor(0)}
        tensors = {name: value.to(self.device, copy=True) for name, value in record.items()}
        alive, done = tensors.pop("alive"), int(tensors.pop("iteration"))
        moving = [tensors[name].requires_grad_() for name in self.moving]
        optimizer = make_optimizer(self.spec.optimizer, moving, self.relative_rates)
        unpack_optimizer(optimizer, tensors)
        tensors = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
        for iteration in range(done + 1, iterations + 1):
            rate = set_rates(optimizer, self.spec, iteration, iterations, self.scheduled)
            pictures = self.pictures(tensors, trials, iteration)
            guidance = guide(pictures, iteration)
            loss, penalty = self.guide_weight * guidance.loss, self.penalty(tensors, pictures)
            if penalty is not None:
                loss = loss + penalty
            alive = take_step(optimizer, moving, loss, alive)
            with torch.no_grad():
                self.after_step(tensors, iteration, alive)
            yield Step(
                iteration=iteration,
                loss=torch.where(alive, loss.detach(), torch.nan),
                similarity=torch.where(alive, guidance.similarity.detach(), torch.nan),
                learning_rate=rate,
                draw=torch.no_grad()(lambda: self.draw(tensors)),
                state=lambda iteration=iteration, alive=alive: {  # type: ignore[misc]
                    **{name: value.detach().clone() for name, value in tensors.items()},
                    **pack_optimizer(optimizer),
                    "alive": alive.clone(),
                    "iteration": torch.tensor(iteration),
                },
                artefacts=torch.no_grad()(lambda index: self.artefacts(tensors, index)),
            )
