"""What a text encoder tells a prior and a decoder of texts."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Caption:
    """Texts as networks take them: each whole, and token by token."""

    embedding: Float[Tensor, "n d"]
    hidden: Float[Tensor, "n t w"]
    mask: Bool[Tensor, "n t"]

    def __add__(self, other: "Caption") -> "Caption":
        parts = zip((self.embedding, self.hidden, self.mask), (other.embedding, other.hidden, other.mask), strict=True)
        return Caption(*(torch.cat(pair) for pair in parts))
