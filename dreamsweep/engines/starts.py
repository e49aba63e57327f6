"""Starts that a guide chooses: one of the three pictures that it finds nearest to the prompt. Seed 0 takes the nearest."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.randomness import Draws
from dreamsweep.guidance.protocol import Chooser
from dreamsweep.spec import Trial

CHOICE = 3


def choose(losses: Float[Tensor, "n b"], trials: Sequence[Trial], stream: str) -> Int[Tensor, "b"]:
    """Returns for each trial the index of one of the least losses; the seed says which."""
    best = losses.topk(min(CHOICE, len(losses)), dim=0, largest=False).indices  # 3 b
    picked = Draws([trial.seed for trial in trials]).integers(stream, len(best)).tolist()
    ranks = [rank if trial.seed else 0 for rank, trial in zip(picked, trials, strict=True)]
    return best[torch.tensor(ranks), torch.arange(len(trials))]


def likeliest_shapes(shapes: Float[Tensor, "n 3 y x"], side: int, trials: Sequence[Trial], guide: Chooser) -> Float[Tensor, "b 3 h w"]:
    """Returns for each trial one of several average shapes, `side` pixels on a side, that its guide finds near the prompt."""
    pictures = F.interpolate(shapes, size=(side, side), mode="bilinear", align_corners=False).clamp(0, 1)
    return pictures[choose(guide.weigh(pictures), trials, "shape")]
