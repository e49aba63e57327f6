"""What a perceptor is to guides and judges."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Perceptor(Protocol):
    """Texts and pictures as unit vectors in one space."""

    name: str
    resolution: int
    """Pixels on a side of what it sees (r)."""
    sha256: str
    """SHA-256 of its weights."""
    scale: float
    """Factor of the cosines in the softmax that it was trained with, the inverse of its temperature."""

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Returns unit embeddings of texts; what is longer than the context is cut (`warnings_for` says so)."""
        ...

    def embed_pictures(self, pictures: Float[Tensor, "n 3 r r"]) -> Float[Tensor, "n d"]:
        """Returns unit embeddings of pixels in [0, 1]; differentiable in the pixels, never in the weights."""
        ...

    def warnings_for(self, text: str) -> list[str]:
        """Returns what of this text the perceptor will not read, in plain sentences; empty when it reads all of it."""
        ...
