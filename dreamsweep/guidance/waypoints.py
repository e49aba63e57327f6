"""The prompts that a trial's frames pass, and where each frame stands between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Easing, Trial


def place(frame: int, frames: int, keys: int, easing: Easing) -> tuple[int, float]:
    """Returns where a frame (from 1) stands: the key before it (from 0), and its share of the way to the next, in [0, 1)."""
    at = (frame - 1) / max(1, frames - 1) * (keys - 1)
    before = min(int(at), keys - 1)
    share = at - before
    return before, share * share * (3 - 2 * share) if easing == "smooth" else share


@dataclass(frozen=True)
class Waypoints:
    """The prompts that each trial passes on its way, one or several, and where its frames stand between them."""

    embedded: Float[Tensor, "b m d"]
    """Unit vectors; zeros beyond a trial's last."""
    counts: tuple[int, ...]
    frames: int
    easing: Easing

    @classmethod
    def of(cls, perceptor: Perceptor, trials: Sequence[Trial]) -> "Waypoints":
        texts = [perceptor.embed_texts([trial.prompt.text, *trial.prompt.to]) for trial in trials]
        padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
        return cls(padded, tuple(map(len, texts)), trials[0].num_iter, trials[0].engine.walk_easing)

    def similarity(self, embedded: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
        """Returns cosine to each prompt; NaN beyond a trial's last."""
        is_prompt = torch.arange(self.embedded.shape[1]) < torch.tensor(self.counts)[:, None]
        return torch.einsum("bd,bmd->bm", embedded, self.embedded).masked_fill(~is_prompt.to(embedded.device), torch.nan)

    def score(self, embedded: Float[Tensor, "b d"], frame: int | None) -> Float[Tensor, "b"]:
        """Returns the similarity to the two prompts that a frame stands between, by how near it is to each; the last frame where
        `frame` is None.
        """
        each, scores = self.similarity(embedded), []
        for row, count in zip(each, self.counts, strict=True):
            before, share = place(frame or self.frames, self.frames, count, self.easing)
            after = min(before + 1, count - 1)
            scores.append((1 - share) * row[before] + share * row[after])
        return torch.stack(scores)
