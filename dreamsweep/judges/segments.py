"""The segments judge: the share of a picture that each class covers, and whether the prompt's noun is among the classes.

`segments` asks the segmenter that ships with dreamsweep, which learned drawings of things; `segments:voc` torchvision's DeepLabv3, which
learned photographs of Pascal VOC's twenty classes.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.guidance.wording import labels_in
from dreamsweep.judges.protocol import Judgement
from dreamsweep.models.segmenter import Segmenter, load_segmenter
from dreamsweep.models.starter_segmenter import load_starter_segmenter
from dreamsweep.spec import Trial
from dreamsweep.spec.judges import SEGMENTS, SEGMENTS_VOC

SEGMENTERS: Mapping[str, Callable[[str], Segmenter]] = MappingProxyType({SEGMENTS: load_starter_segmenter, SEGMENTS_VOC: load_segmenter})
"""Loaders of the networks behind the judges, by the judge's name; each takes the device."""

LEAST_SHARE = 0.001
"""Smallest share that the reason names, a tenth of a per cent."""


class SegmentsJudge:
    """Scores a picture by the share that the classes which its prompt names cover (see `Judge`, `Explains`).

    A prompt that names none of the classes has no score.
    """

    def __init__(self, segmenter: Segmenter, trials: Sequence[Trial]) -> None:
        self.segmenter = segmenter
        self.named = [classes_in(trial.prompt.text, segmenter.words) for trial in trials]

    @classmethod
    def load(cls, trials: Sequence[Trial], device: str) -> "SegmentsJudge":
        """Builds the judge of the segmenter that ships with dreamsweep. Raises WeightsError when a file is missing or damaged."""
        return cls(SEGMENTERS[SEGMENTS](device), trials)

    @classmethod
    def load_voc(cls, trials: Sequence[Trial], device: str) -> "SegmentsJudge":
        """Builds the judge of DeepLabv3 from its published weights. Raises WeightsError without them."""
        return cls(SEGMENTERS[SEGMENTS_VOC](device), trials)

    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Returns the shares of what each prompt names, not a number where it names no class; and no embeddings."""
        scores = [judgement.score for judgement in self.judgements(pictures, iteration)]
        return torch.tensor([float("nan") if score is None else score for score in scores]), torch.zeros(len(pictures), 0)

    def judgements(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> list[Judgement]:
        """Returns the same scores, with the share of each class that the picture shows."""
        shares = shares_of(self.segmenter.classes_of(pictures), len(self.segmenter.classes)).tolist()
        return [self._judgement(row, named) for row, named in zip(shares, self.named, strict=True)]

    def _judgement(self, shares: Sequence[float], named: Sequence[int]) -> Judgement:
        classes = self.segmenter.classes
        details = {classes[at]: share for at, share in enumerate(shares) if share > 0}
        things = sorted(range(1, len(classes)), key=lambda at: -shares[at])
        seen = ", ".join(f"{classes[at]} {shares[at]:.1%}" for at in things[:5] if shares[at] >= LEAST_SHARE) or "nothing but background"
        if named:
            return Judgement(sum(shares[at] for at in named), seen, details)
        return Judgement(None, f"the prompt names none of the {self.segmenter.known}; {seen}", details)


def shares_of(classes: Int[Tensor, "b y x"], count: int) -> Float[Tensor, "b n"]:
    """Returns the share of each picture that each class covers."""
    pixels = classes.flatten(1)
    return torch.stack([row.bincount(minlength=count) for row in pixels]).double().cpu().div(pixels.shape[1])


def classes_in(text: str, words: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    """Returns the places of the classes that a text names, by any of a segmenter's words; the background, 0, is never named."""
    named = {words[number][1] for number in labels_in(text, [word for word, _ in words])}
    return tuple(sorted(named - {0}))
