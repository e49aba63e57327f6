"""The labels judge: which names of a list a picture shows, zero-shot, as CLIP classifies (Radford et al., 2021, section 3.1)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.guidance.targets import shrink
from dreamsweep.guidance.wording import labels_in
from dreamsweep.judges.label_lists import LabelList
from dreamsweep.judges.protocol import Judgement
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Trial

TOP = 5
"""Labels that a judgement names, the likeliest first."""


class LabelsJudge:
    """Scores a picture by the share of the labels that its prompt names, among all labels of a list (see `Judge`, `Explains`).

    A prompt that names no label of the list has no score: its picture is not taken for the nearest label, such as a cat for a tiger.
    """

    def __init__(self, perceptor: Perceptor, labels: LabelList, trials: Sequence[Trial]) -> None:
        self.perceptor, self.labels, self.trials = perceptor, labels, trials
        self.embedded = _embedded_once(perceptor, labels)
        self.named = [labels_in(trial.prompt.text, labels.names) for trial in trials]

    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Shares of the labels that each prompt names, not a number where it names none; and the pictures' embeddings."""
        shares, embedded = self._shares(pictures)
        scores = [float(row[[*named]].sum()) if named else float("nan") for row, named in zip(shares, self.named, strict=True)]
        return torch.tensor(scores), embedded

    def judgements(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> list[Judgement]:
        """Returns the same scores, with the likeliest labels and their shares."""
        shares, _ = self._shares(pictures)
        return [self._judgement(row, named) for row, named in zip(shares, self.named, strict=True)]

    def _judgement(self, shares: Float[Tensor, "n"], named: Sequence[int]) -> Judgement:
        best = shares.topk(min(TOP, len(shares)))
        details = {self.labels.names[at]: share for share, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)}
        seen = ", ".join(f"{label} {share:.0%}" for label, share in details.items())
        if named:
            return Judgement(float(shares[[*named]].sum()), seen, details)
        return Judgement(None, f"the prompt names none of the {len(self.labels.names)} labels of {self.labels.name}; {seen}", details)

    @torch.no_grad()
    def _shares(self, pictures: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b d"]]:
        embedded = self.perceptor.embed_pictures(shrink(pictures, self.perceptor.resolution))
        return (self.perceptor.scale * embedded @ self.embedded.to(embedded.device).T).softmax(1).cpu(), embedded


_EMBEDDED: dict[tuple[str, str], Tensor] = {}
"""Vectors of labels by the hashes of the perceptor's weights and of the list: embedded once a process, not once a batch."""


def _embedded_once(perceptor: Perceptor, labels: LabelList) -> Float[Tensor, "n d"]:
    key = (perceptor.sha256, labels.sha256)
    if key not in _EMBEDDED:
        _EMBEDDED[key] = _embedded_labels(perceptor, labels)
    return _EMBEDDED[key]


@torch.no_grad()
def _embedded_labels(perceptor: Perceptor, labels: LabelList) -> Float[Tensor, "n d"]:
    """Returns a unit vector for each label: the mean of its embeddings in every template, as the published classifiers have it."""
    means = []
    for label in labels.names:
        texts = [template.format(label) for template in labels.templates]
        means.append(F.normalize(perceptor.embed_texts(texts).mean(0), dim=0))
    return torch.stack(means)
