"""Guides and judges: perceptors put to work on a batch of trials, each with its own prompt and its own cutouts.

One letter, one meaning: b trials, k cutouts, d embedding, r what a perceptor sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.cutouts import draw_views, make_cutouts
from dreamsweep.engines.frames import place
from dreamsweep.engines.protocol import Chooser, Guidance, Guide
from dreamsweep.perceptors import Perceptor
from dreamsweep.spec import BigSleepSpec, DalleSpec, FramesSpec, Prompt, SteeredSpec, Trial

NEGATIVE_STRENGTH = 0.3
"""A negative of weight 1 pushes with this share of a prompt's pull (CLIPDraw, 2021, §3)."""
LOSS_SCALE = 10.0
"""Cosines are multiplied by this (the Aleph notebooks); it sets how the guide weighs against other losses."""
VIEW_PIXELS = {"cpu": 16 * 224 * 224, "cuda": 256 * 224 * 224}
"""Pixels of cutouts that a perceptor sees at once, by kind of device: more are seen a part at a time, which bounds the memory."""
WEIGHED_AT_ONCE = 16
"""Pictures that a guide looks at together when it weighs many."""


@dataclass(frozen=True)
class Targets:
    """What a batch is steered towards and away from: unit embeddings and weights, padded to the longest prompt."""

    towards: Float[Tensor, "b p d"]
    towards_weight: Float[Tensor, "b p"]
    """Sums to 1 over a trial's phrases."""
    away: Float[Tensor, "b q d"]
    away_weight: Float[Tensor, "b q"]

    def similarity(self, embedded: Float[Tensor, "b k d"]) -> Float[Tensor, "b k"]:
        """Weighted mean cosine to what each trial is steered towards."""
        return torch.einsum("bkd,bpd,bp->bk", embedded, self.towards, self.towards_weight)

    def nearness_to_negatives(self, embedded: Float[Tensor, "b k d"]) -> Float[Tensor, "b k"]:
        """Weighted sum of cosines to what each trial is kept away from."""
        return torch.einsum("bkd,bqd,bq->bk", embedded, self.away, self.away_weight)


def embed_prompts(perceptor: Perceptor, prompts: Sequence[Prompt]) -> Targets:
    """Every phrase of every prompt, embedded once."""
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


class ClipGuide:
    """The guide of descent: mean similarity of seeded cutouts to the prompt, less what it should not resemble."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial], bank: Sequence[str] = ()) -> None:
        self.perceptor = perceptor
        self.seeds = [trial.seed for trial in trials]
        spec = trials[0].engine
        assert isinstance(spec, SteeredSpec)
        self.spec = spec
        self.targets = embed_prompts(perceptor, [trial.prompt for trial in trials])
        self.spherical = isinstance(self.spec, DalleSpec) and self.spec.loss == "spherical"
        self.bank = perceptor.embed_texts(list(bank)) if bank and self.spec.contrast else None
        if self.bank is not None:
            resemblance = torch.einsum("bpd,nd,bp->bn", self.targets.towards, self.bank, self.targets.towards_weight)
            self.too_like = resemblance > 0.6
            """Names that mean about what the prompt means: no contrast."""

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Guidance:
        r = self.perceptor.resolution
        views = draw_views(self.spec, self.seeds, iteration, r, pictures.shape[-1])
        budget = VIEW_PIXELS.get(pictures.device.type, VIEW_PIXELS["cpu"]) // (r * r * len(pictures))
        return by_parts(
            lambda seen, some: self._loss(self._embed(views.of(seen, some))), pictures, len(views), max(1, min(self.spec.cutouts, budget))
        )

    @torch.no_grad()
    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """The loss that each of several pictures would have in each trial; all trials look through the same views."""
        losses = []
        for part in pictures.split(WEIGHED_AT_ONCE):
            r = self.perceptor.resolution
            if isinstance(self.spec, BigSleepSpec):  # pictures of whole things: seen whole, the right one is found more often
                embedded = self._embed(shrink(part, r)[:, None])
            else:
                embedded = self._embed(make_cutouts(part, self.spec, [0] * len(part), 0, r))
            losses += [self._loss(one.expand(len(self.seeds), *one.shape))[0] for one in embedded]
        return torch.stack(losses)

    def _embed(self, views: Float[Tensor, "b k 3 r r"]) -> Float[Tensor, "b k d"]:
        embedded: Tensor = self.perceptor.embed_pictures(views.flatten(0, 1)).unflatten(0, views.shape[:2])
        return embedded

    def _loss(self, embedded: Float[Tensor, "b k d"]) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"]]:
        """Loss and similarity of each trial."""
        similarity = self.targets.similarity(embedded)
        distance = spherical_distance(similarity) if self.spherical else -similarity
        loss = LOSS_SCALE * (distance.mean(1) + NEGATIVE_STRENGTH * self.targets.nearness_to_negatives(embedded).mean(1))
        if self.bank is not None:
            loss = loss + self.spec.contrast * self._contrast(embedded, similarity)
        return loss, similarity.mean(1)

    def _contrast(self, embedded: Tensor, similarity: Tensor, temperature: float = 20.0) -> Tensor:
        """Cross-entropy of the prompt against a bank of other things' names, `b`."""
        assert self.bank is not None
        others = torch.einsum("bkd,nd->bkn", embedded, self.bank).masked_fill(self.too_like[:, None], -1.0)
        logits = temperature * torch.cat([similarity[..., None], others], 2)
        return -logits.log_softmax(2)[..., 0].mean(1)


def by_parts(
    look: Callable[[Tensor, slice], tuple[Tensor, Tensor]], pictures: Float[Tensor, "b 3 h w"], count: int, at_once: int
) -> Guidance:
    """The mean of the loss and the similarity, `b` each, of `count` views, `at_once` of them seen at a time.

    Each part goes back to the pictures before the next one is looked at: no more than one part's activations are ever held. The
    loss's gradient is the same as if all had been seen at once.
    """
    wanted = torch.is_grad_enabled() and pictures.requires_grad
    seen = pictures.detach().requires_grad_(wanted)
    loss = similarity = pictures.new_zeros(len(pictures))
    gradient = torch.zeros_like(seen)
    for start in range(0, count, at_once):
        some = slice(start, min(start + at_once, count))
        share = (some.stop - start) / count
        part, near = look(seen, some)
        if wanted:
            gradient += share * torch.autograd.grad(part.sum(), seen)[0]  # a picture's loss looks at no other picture
        loss, similarity = loss + share * part.detach(), similarity + share * near.detach()
    if wanted:
        loss = _WithGradient.apply(pictures, loss, gradient)  # type: ignore[no-untyped-call]
    return Guidance(loss, similarity)


class _WithGradient(torch.autograd.Function):
    """A loss `b` of pictures whose gradient, `b 3 h w`, is known already."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * weight[:, None, None, None], None, None


def shrink(pictures: Float[Tensor, "n 3 h w"], side: int) -> Float[Tensor, "n 3 r r"]:
    """Whole pictures as a perceptor sees them."""
    return F.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def spherical_distance(cosine: Tensor) -> Tensor:
    """Half the squared great-circle distance, from the cosine (Crowson, CLIP guided diffusion notebooks, 2021)."""
    chord = (2 - 2 * cosine).clamp(min=1e-8).sqrt() / 2
    return chord.clamp(max=1 - 1e-6).asin().pow(2) * 2


@dataclass(frozen=True)
class Keys:
    """The prompts that each trial passes on its way, one or several, and where its frames stand between them."""

    embedded: Float[Tensor, "b m d"]
    """Unit vectors; zeros beyond a trial's last."""
    counts: tuple[int, ...]
    frames: int
    easing: Literal["linear", "smooth"]

    @classmethod
    def of(cls, perceptor: Perceptor, trials: Sequence[Trial], spec: FramesSpec) -> "Keys":
        texts = [perceptor.embed_texts([trial.prompt.text, *trial.prompt.to]) for trial in trials]
        return cls(torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), tuple(map(len, texts)), trials[0].num_iter, spec.easing)

    def similarity(self, embedded: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
        """Cosine to each key; NaN beyond a trial's last."""
        there = torch.arange(self.embedded.shape[1]) < torch.tensor(self.counts)[:, None]
        return torch.einsum("bd,bmd->bm", embedded, self.embedded).masked_fill(~there.to(embedded.device), torch.nan)

    def mark(self, embedded: Float[Tensor, "b d"], frame: int | None) -> Float[Tensor, "b"]:
        """Similarity to the two prompts that a frame stands between, by how near it is to each; the last frame where none is told."""
        each, marks = self.similarity(embedded), []
        for row, count in zip(each, self.counts, strict=True):
            before, share = place(frame or self.frames, self.frames, count, self.easing)
            after = min(before + 1, count - 1)
            marks.append((1 - share) * row[before] + share * row[after])
        return torch.stack(marks)


class Judge:
    """Marks whole pictures; never guides."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial]) -> None:
        self.perceptor = perceptor
        self.targets = embed_prompts(perceptor, [trial.prompt for trial in trials])
        spec = trials[0].engine
        self.keys = Keys.of(perceptor, trials, spec) if isinstance(spec, FramesSpec) else None

    @torch.no_grad()
    def embed(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Unit embeddings of whole pictures."""
        return self.perceptor.embed_pictures(shrink(pictures, self.perceptor.resolution))

    @torch.no_grad()
    def mark(self, pictures: Float[Tensor, "b 3 h w"], iteration: int | None = None) -> tuple[Float[Tensor, "b"], Float[Tensor, "b d"]]:
        """Similarity of each whole picture to its prompt (in this frame, of an interpolation), and the pictures' embeddings."""
        embedded = self.embed(pictures)
        if self.keys:
            return self.keys.mark(embedded, iteration), embedded
        return self.targets.similarity(embedded[:, None])[:, 0], embedded


class Onlooker:
    """The guide of engines that are not steered: says how near whole pictures are to the prompts that they pass."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial]) -> None:
        self.judge = Judge(perceptor, trials)

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Guidance:
        similarity, embedded = self.judge.mark(pictures, iteration)
        return Guidance(1 - similarity, similarity, self.judge.keys.similarity(embedded) if self.judge.keys else None)


class Ensemble:
    """Several guides at once: the weighted mean of what they say."""

    def __init__(self, guides: Sequence[tuple[Guide, float]]) -> None:
        total = sum(weight for _, weight in guides)
        self.guides = [(guide, weight / total) for guide, weight in guides]

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Guidance:
        said = [(guide(pictures, iteration), share) for guide, share in self.guides]
        each = [told.each * share for told, share in said if told.each is not None]
        return Guidance(
            torch.stack([told.loss * share for told, share in said]).sum(0),
            torch.stack([told.similarity * share for told, share in said]).sum(0),
            torch.stack(each).sum(0) if each else None,
        )

    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """As each of them does (see `Chooser`); those that cannot are left out."""
        return torch.stack([guide.weigh(pictures) * share for guide, share in self.guides if isinstance(guide, Chooser)]).sum(0)


def make_guide(perceptors: Sequence[tuple[Perceptor, float]], trials: Sequence[Trial]) -> Guide:
    """What guides a batch of trials, or looks on, as their engine wants it: perceptors with their weights, one or several."""
    guides = [(_guide_of(perceptor, trials), weight) for perceptor, weight in perceptors]
    return guides[0][0] if len(guides) == 1 else Ensemble(guides)


def _guide_of(perceptor: Perceptor, trials: Sequence[Trial]) -> Guide:
    spec = trials[0].engine
    if not isinstance(spec, SteeredSpec):
        return Onlooker(perceptor, trials)
    from dreamsweep.starter.files import thing_names

    return ClipGuide(perceptor, trials, thing_names() if spec.contrast else ())
