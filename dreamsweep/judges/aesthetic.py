"""The aesthetic judge: how people would rate a picture, whatever its prompt."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.guidance.targets import shrink
from dreamsweep.models.aesthetic import PERCEPTOR, AestheticHead, load_aesthetic_head
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Trial


class AestheticJudge:
    """Scores pictures by LAION's aesthetic head on OpenAI's ViT-L/14, about 1 to 10 (see `Judge`). It reads no prompt."""

    def __init__(self, perceptor: Perceptor, head: AestheticHead) -> None:
        self.perceptor, self.head = perceptor, head

    @classmethod
    def load(cls, trials: Sequence[Trial], device: str) -> "AestheticJudge":
        """Builds the judge from its published weights. Raises WeightsError without them."""
        head = load_aesthetic_head(device)  # 4 MB: whether it can be had is known before the perceptor's gigabyte
        return cls(load_perceptor(PERCEPTOR, device), head)

    @torch.no_grad()
    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Returns ratings of whole pictures, and their embeddings."""
        embedded = self.perceptor.embed_pictures(shrink(pictures, self.perceptor.resolution))
        return self.head(embedded), embedded
