"""The segments judge: the share of a picture that each of Pascal VOC's classes covers, and whether the prompt's noun is among them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.judges.labels import labels_in
from dreamsweep.judges.protocol import Judgement
from dreamsweep.models.segmenter import NAME, Segmenter, load_segmenter
from dreamsweep.spec import Trial

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aeroplane": ("airplane", "plane", "jet"),
        "bicycle": ("bike",),
        "boat": ("ship",),
        "cat": ("kitten", "kitty"),
        "cow": ("cattle", "bull", "calf"),
        "diningtable": ("dining table", "table"),
        "dog": ("puppy", "puppies"),
        "horse": ("pony", "ponies"),
        "motorbike": ("motorcycle",),
        "person": ("people", "man", "men", "woman", "women", "boy", "girl", "child", "children"),
        "pottedplant": ("potted plant",),
        "sofa": ("couch",),
        "tvmonitor": ("tv monitor", "tv", "television", "monitor"),
    }
)
"""Other words for VOC's classes, whose own names are not always English words."""
LEAST_SHARE = 0.001
"""Smallest share that the reason names, a tenth of a per cent."""


class SegmentsJudge:
    """Scores a picture by the share that the classes which its prompt names cover (see `Judge`, `Explains`).

    A prompt that names none of the classes has no score.
    """

    def __init__(self, segmenter: Segmenter, trials: Sequence[Trial]) -> None:
        self.segmenter = segmenter
        self.named = [classes_in(trial.prompt.text, segmenter.classes) for trial in trials]

    @classmethod
    def load(cls, trials: Sequence[Trial], device: str) -> "SegmentsJudge":
        """Builds the judge from its published weights. Raises WeightsError without them."""
        return cls(load_segmenter(device), trials)

    @staticmethod
    def weights_used() -> dict[str, str]:
        """Returns name and SHA-256 of the network's file."""
        from dreamsweep.weights.hashes import sha256_of

        return sha256_of(NAME)

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
        return Judgement(None, f"the prompt names none of the {len(classes) - 1} classes of Pascal VOC; {seen}", details)


def shares_of(classes: Int[Tensor, "b y x"], count: int) -> Float[Tensor, "b n"]:
    """Returns the share of each picture that each class covers."""
    pixels = classes.flatten(1)
    return torch.stack([row.bincount(minlength=count) for row in pixels]).double().cpu().div(pixels.shape[1])


def classes_in(text: str, classes: Sequence[str]) -> tuple[int, ...]:
    """Returns which classes a text names, by their own names or other words for them; the background is never named."""
    words = [(word, at) for at, name in enumerate(classes) if at > 0 for word in (name, *SYNONYMS.get(name, ()))]
    return tuple(sorted({words[number][1] for number in labels_in(text, [word for word, _ in words])}))
