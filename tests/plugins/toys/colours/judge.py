"""A judge in one file: how red a picture is."""

from collections.abc import Sequence

from torch import Tensor

from dreamsweep.spec import Trial


class Redness:
    """Scores the mean of red less that of the other channels."""

    def __init__(self, trials: Sequence[Trial], device: str) -> None:
        self.trials = trials

    def score(self, pictures: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        means = pictures.mean((2, 3))
        return means[:, 0] - means[:, 1:].mean(1), means

    @staticmethod
    def weights_used() -> dict[str, str]:
        return {"redness": "0" * 64}
