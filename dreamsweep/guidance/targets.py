"""Prompts as a perceptor embeds them: what each trial is steered towards, and what away from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Prompt


@dataclass(frozen=True)
class Targets:
    """What a batch is steered towards and away from: unit embeddings and weights, padded to the longest prompt."""

    towards: Float[Tensor, "b p d"]
    towards_weight: Float[Tensor, "b p"]
    """Sums to 1 over a trial's phrases."""
    away: Float[Tensor, "b q d"]
    away_weight: Float[Tensor, "b q"]

    def similarity(self, embedded: Float[Tensor, "b k d"]) -> Float[Tensor, "b k"]:
        """Returns weighted mean cosine to what each trial is steered towards."""
        return torch.einsum("bkd,bpd,bp->bk", embedded, self.towards, self.towards_weight)

    def nearness_to_negatives(self, embedded: Float[Tensor, "b k d"]) -> Float[Tensor, "b k"]:
        """Returns weighted sum of cosines to what each trial is kept away from."""
        return torch.einsum("bkd,bqd,bq->bk", embedded, self.away, self.away_weight)


def embed_prompts(perceptor: Perceptor, prompts: Sequence[Prompt]) -> Targets:
    """Returns every phrase of every prompt, embedded once."""
    towards = [[(prompt.text, prompt.weight), *((p.text, p.weight) for p in prompt.also)] for prompt in prompts]
    away = [[(p.text, p.weight) for p in prompt.negatives] for prompt in prompts]
    texts = sorted({text for phrases in (*towards, *away) for text, _ in phrases})
    embedded = dict(zip(texts, perceptor.embed_texts(texts), strict=True))
    towards_vectors, towards_weight = _padded(towards, embedded)
    away_vectors, away_weight = _padded(away, embedded)
    return Targets(towards_vectors, towards_weight / towards_weight.sum(1, keepdim=True), away_vectors, away_weight)


def _padded(phrases: list[list[tuple[str, float]]], embedded: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    some = next(iter(embedded.values()))
    longest = max(1, *(len(p) for p in phrases))
    vectors = some.new_zeros(len(phrases), longest, some.shape[0])
    weights = some.new_zeros(len(phrases), longest)
    for i, row in enumerate(phrases):
        for j, (text, weight) in enumerate(row):
            vectors[i, j], weights[i, j] = embedded[text], weight
    return vectors, weights


def shrink(pictures: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 r r"]:
    """Resizes whole pictures to what a perceptor sees of them."""
    return F.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
