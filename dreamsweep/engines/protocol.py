"""The protocol of engines: what an engine is given, what it yields after every iteration, and what it leaves behind."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dreamsweep.guidance.protocol import Guide
from dreamsweep.spec import Trial

State = dict[str, Tensor]
"""Tensors from which a batch resumes, under flat names, so that they can be stored as safetensors."""


@dataclass(frozen=True)
class Artefact:
    """A file that a trial leaves beside its pictures."""

    name: str
    """Its name in the trial's folder, such as `strokes.svg`."""
    content_type: str
    data: bytes


@dataclass(frozen=True)
class Film:
    """A film that a trial leaves beside that of its iterations, in the formats that the sweep asks for."""

    name: str
    """Its name in the trial's folder, without the format's ending."""
    frames: Iterable[Float[Tensor, "3 h w"]]
    """Pictures in [0, 1]."""


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
    artefacts: Callable[[int], Iterable[Artefact | Film]] | None = None
    """What one trial of the batch leaves beside its pictures, made when the trial ends; None for engines that leave nothing."""


@runtime_checkable
class Engine(Protocol):
    """Makes a batch of trials that share one engine spec, each with its own prompt and seed."""

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        """Goes from the first iteration, or from `state`, to the trials' `num_iter`, one `Step` an iteration.

        A trial whose loss is NaN keeps its place in the batch and no longer moves; its batch-mates go on.
        """
        ...


@runtime_checkable
class RemakesFilms(Protocol):
    """An engine that can make a trial's films again, for formats that are asked for later."""

    def films_of(self, artefacts: Mapping[str, bytes]) -> Iterable[Film]:
        """Yields the films that one trial left, made from its other artefacts, by name."""
        ...
