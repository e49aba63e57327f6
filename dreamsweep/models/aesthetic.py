"""LAION's aesthetic head: how people rated pictures, from 1 to 10, out of embeddings alone (improved-aesthetic-predictor, 2022)."""

from jaxtyping import Float
from torch import Tensor, nn

from dreamsweep import weights
from dreamsweep.compute.pool import pooled
from dreamsweep.errors import WeightsError
from dreamsweep.spec import PerceptorName

NAME = "aesthetic"
PERCEPTOR: PerceptorName = "ViT-L/14"
"""The perceptor whose embeddings the head was trained on."""
EMBEDDING = 768


class AestheticHead(nn.Module):
    """Five linear layers without activations, as published; dropout, which does nothing outside training, keeps their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(EMBEDDING, 1024), nn.Dropout(0.2), nn.Linear(1024, 128), nn.Dropout(0.2), nn.Linear(128, 64), nn.Dropout(0.1),
            nn.Linear(64, 16), nn.Linear(16, 1),
        )  # fmt: skip

    def forward(self, embedded: Float[Tensor, "b d"]) -> Float[Tensor, "b"]:
        """Returns ratings of unit embeddings."""
        ratings: Tensor = self.layers(embedded)[:, 0]
        return ratings


@pooled
def load_aesthetic_head(device: str) -> AestheticHead:
    """Returns the published head, frozen, in float32. Raises WeightsError when it cannot be had or is not what was published."""
    (path,) = weights.paths(NAME).values()
    head = AestheticHead()
    try:
        head.load_state_dict(weights.load_tensors(path))
    except RuntimeError as error:
        reason = str(error).split("\n")[0].rstrip(":.")
        raise WeightsError(f"weights {path}: it holds no aesthetic head ({reason}); delete it and fetch what was published.") from None
    return head.eval().requires_grad_(False).to(device)
