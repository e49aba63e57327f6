"""The protocol of judges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Judge(Protocol):
    """Scores the pictures of a batch of trials, and never steers. A higher score is better.

    A judge is built once a batch, with its trials and the device. It may also have `warnings_for(text)`, which returns sentences about what
    it will not read of a prompt, and a static method `weights_used()`, which returns the name and SHA-256 of its weight files.
    """

    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Returns scores and embeddings of pictures in [0, 1]; a judge without embeddings returns zeros, `b 0`."""
        ...


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one picture."""

    score: float | None
    """None where the judge has none for this prompt, and says why."""
    reason: str | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    """Further figures by name, such as the share of each label."""


@runtime_checkable
class Explains(Protocol):
    """A judge that says more of a picture than a number; asked after the fact, when pictures are scored once."""

    def judgements(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Sequence[Judgement]:
        """Returns one judgement for each picture, in [0, 1]."""
        ...
