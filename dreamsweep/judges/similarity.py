"""The similarity judge: cosine of whole pictures to their prompts, by a perceptor that never guides."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from dreamsweep.guidance.whole_picture import PictureSimilarity
from dreamsweep.judges.protocol import Judgement
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Trial


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
