"""Similarity of whole pictures to the prompts of a batch of trials."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.guidance.targets import embed_prompts, shrink
from dreamsweep.guidance.waypoints import Waypoints
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Trial


class PictureSimilarity:
    """Cosine of whole pictures to their prompts, and of frames of a walk to the two prompts that each stands between."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial]) -> None:
        self.perceptor = perceptor
        self.targets = embed_prompts(perceptor, [trial.prompt for trial in trials])
        self.waypoints = Waypoints.of(perceptor, trials) if trials[0].engine.draws_frames else None

    @torch.no_grad()
    def embed(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Returns unit embeddings of whole pictures."""
        return self.perceptor.embed_pictures(shrink(pictures, self.perceptor.resolution))

    @torch.no_grad()
    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int | None = None) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Returns similarity of each whole picture to its prompt (in this frame, of an interpolation), and the pictures' embeddings."""
        embedded = self.embed(pictures)
        if self.waypoints:
            return self.waypoints.score(embedded, iteration), embedded
        return self.targets.similarity(embedded[:, None])[:, 0], embedded
