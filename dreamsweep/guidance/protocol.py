"""What a guide is given, and what it says of a batch of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.graphs import Count


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

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: Count) -> Guidance: ...


@runtime_checkable
class Chooser(Guide, Protocol):
    """A guide that can also say, quickly, which of many pictures or named things to start from."""

    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """Returns the loss that each picture would have in each trial of the batch."""
        ...

    def weigh_names(self, names: Sequence[str], key: int = 0) -> Float[Tensor, "n b"]:
        """Returns how far each thing's name is from what each trial should show: the negative cosine, nearness to negatives added.

        `key` counts the prompts that a walk passes, from 0; beyond a trial's last, the answer means nothing.
        """
        ...
