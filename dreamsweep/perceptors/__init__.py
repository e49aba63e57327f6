"""Perceptors: frozen image-text models. One that steers is a guide, one that only marks is a judge."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dreamsweep.spec import PerceptorName


@runtime_checkable
class Perceptor(Protocol):
    """Texts and pictures as unit vectors in one space."""

    name: str
    resolution: int
    """Pixels on a side of what it sees (r)."""
    sha256: str
    """Of its weights."""

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit embeddings of texts; what is longer than the context is cut (`warnings_for` says so)."""
        ...

    def embed_pictures(self, pictures: Float[Tensor, "n 3 r r"]) -> Float[Tensor, "n d"]:
        """Unit embeddings of pixels in [0, 1]; differentiable in the pixels, never in the weights."""
        ...

    def warnings_for(self, text: str) -> list[str]:
        """What of this text the perceptor will not read, in plain sentences; empty when it reads all of it."""
        ...


@cache
def load_perceptor(name: PerceptorName, device: str) -> Perceptor:
    """The perceptor by name, frozen, on the device; loaded once a process.

    Raises WeightsError when its weights are missing, corrupt, or cannot be fetched.
    """
    if name in ("starter-guide", "starter-judge"):
        from dreamsweep.perceptors.starter import load_starter

        return load_starter(name, device)
    from dreamsweep.perceptors.published import load_published

    return load_published(name, device)
