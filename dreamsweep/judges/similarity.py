"""The similarity judges: cosine of whole pictures to their prompts, by a perceptor that never guides; of one view, or of several."""

import hashlib
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.guidance.whole_picture import PictureSimilarity
from dreamsweep.judges.protocol import Judgement
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Trial

CROP_SIDE = 0.8
"""Side of a view of a part, as a share of the picture's."""
CROPS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
"""Where these views lie, down and across, from one edge (0) to the other (1)."""
VIEWS_VERSION = hashlib.sha256(f"whole and {CROPS} of {CROP_SIDE}, each mirrored as well".encode()).hexdigest()
"""SHA-256 of what the views are: scores by other views are another version's."""


class SimilarityJudge:
    """Scores whole pictures (see `Judge`, `Explains`)."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial]) -> None:
        self.similarity = PictureSimilarity(perceptor, trials)

    def warnings_for(self, text: str) -> list[str]:
        """Returns what of a text the perceptor will not read."""
        return self.similarity.perceptor.warnings_for(text)

    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Returns similarity of each whole picture to its prompt (in this frame, of an interpolation), and the pictures' embeddings."""
        return self.similarity.score(pictures, iteration)

    def judgements(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> list[Judgement]:
        """Returns the same scores; of a perceptor that was trained with a sigmoid, with the probability that picture and prompt match."""
        return [self._judgement(float(score)) for score in self.score(pictures, iteration)[0]]

    def _judgement(self, score: float) -> Judgement:
        probability = getattr(self.similarity.perceptor, "probability", lambda _: None)(score)
        return Judgement(score, details={} if probability is None else {"probability": probability})


class ViewsJudge(SimilarityJudge):
    """Scores pictures by the mean similarity of twelve fixed views: the whole, its corners and its centre, each mirrored as well.

    A guide fools a network in one view more easily than in many (see `Judge`).
    """

    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Returns the mean similarity of each picture's views to its prompt, and the embeddings of the whole pictures."""
        scores, embeddings = zip(*(self.similarity.score(view, iteration) for view in fixed_views(pictures)), strict=True)
        return torch.stack(scores).mean(0), embeddings[0]


def fixed_views(pictures: Float[Tensor, "b 3 h w"]) -> Iterator[Float[Tensor, "b 3 _ _"]]:
    """Yields the whole pictures, then their corners and centres, each followed by its mirror image."""
    height, width = pictures.shape[-2:]
    tall, wide = max(1, round(CROP_SIDE * height)), max(1, round(CROP_SIDE * width))
    crops = [(round(down * (height - tall)), round(across * (width - wide))) for down, across in CROPS]
    for view in (pictures, *(pictures[..., top : top + tall, left : left + wide] for top, left in crops)):
        yield view
        yield view.flip(-1)
