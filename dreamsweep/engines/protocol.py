"""What an engine is given, what it says after every iteration, and what it promises."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dreamsweep.spec import Trial

State = dict[str, Tensor]
"""All that a batch needs to go on, under flat names, so that it can be kept as safetensors."""


@dataclass(frozen=True)
class Guidance:
    """What a guide says of a batch of pictures: a differentiable loss, and the cosine similarity to each prompt."""

    loss: Float[Tensor, "b"]
    similarity: Float[Tensor, "b"]
    each: Float[Tensor, "b m"] | None = None
    """Similarity to each of several prompts that a trial passes; NaN beyond a trial's last."""


@runtime_checkable
class Guide(Protocol):
    """Pictures in [0, 1], `b 3 h w` → how far each is from what it should show."""

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Guidance: ...


@runtime_checkable
class Chooser(Guide, Protocol):
    """A guide that can also say, quickly, which of many pictures to start from."""

    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """The loss that each picture would have in each trial of the batch."""
        ...


@dataclass(frozen=True)
class Step:
    """A batch after one iteration, counted from 1."""

    iteration: int
    loss: Float[Tensor, "b"]
    """Detached; NaN marks a trial that has diverged."""
    similarity: Float[Tensor, "b"]
    learning_rate: float
    """NaN for engines without an optimizer."""
    draw: Callable[[], Float[Tensor, "b 3 h w"]]
    """The pictures after this iteration, in [0, 1], without gradient."""
    state: Callable[[], State]
    each: Float[Tensor, "b m"] | None = None
    """As in `Guidance`."""
    svg: Callable[[], list[str]] | None = None
    """The pictures as SVG, for engines that draw strokes."""
    paint: Callable[[int], Iterator[Float[Tensor, "3 h w"]]] | None = None
    """How one trial's picture is drawn stroke by stroke, for engines that draw strokes: from empty paper to what `draw` shows."""


@runtime_checkable
class Engine(Protocol):
    """Makes a batch of trials that share one engine spec, each with its own prompt and seed."""

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        """Goes from the first iteration, or from `state`, to the trials' `num_iter`, one `Step` an iteration.

        A trial whose loss is NaN keeps its place in the batch and no longer moves; its batch-mates go on.
        """
        ...
