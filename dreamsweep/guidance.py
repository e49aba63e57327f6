"""Guides and judges: perceptors put to work on a batch of trials, each with its own prompt and its own cutouts.

One letter, one meaning: b trials, k cutouts, d embedding, r what a perceptor sees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.engines import Guidance, Guide
from dreamsweep.engines.interpolation import place
from dreamsweep.perceptors import Perceptor
from dreamsweep.randomness import generator
from dreamsweep.spec import DalleSpec, GuidedEngineSpec, GuidedSpec, InterpolationSpec, Prompt, StrokesSpec, Trial

NEGATIVE_STRENGTH = 0.3
"""A negative of weight 1 pushes with this share of a prompt's pull (CLIPDraw, 2021, §3)."""
LOSS_SCALE = 10.0
"""Cosines are multiplied by this (the Aleph notebooks); it sets how the guide weighs against other losses."""

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
        assert isinstance(spec, GuidedSpec)
        self.spec = spec
        self.targets = embed_prompts(perceptor, [trial.prompt for trial in trials])
        self.spherical = isinstance(self.spec, DalleSpec) and self.spec.loss == "spherical"
        self.bank = perceptor.embed_texts(list(bank)) if bank and self.spec.contrast else None
        if self.bank is not None:
            resemblance = torch.einsum("bpd,nd,bp->bn", self.targets.towards, self.bank, self.targets.towards_weight)
            self.too_like = resemblance > 0.6
            """Names that mean about what the prompt means: no contrast."""

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Guidance:
        embedded = self._embed_views(pictures, self.seeds, iteration)
        loss, similarity = self._loss(embedded)
        return Guidance(loss, similarity.detach())

    @torch.no_grad()
    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """The loss that each of several pictures would have in each trial; all trials look through the same views."""
        losses = []
        for part in pictures.split(WEIGHED_AT_ONCE):
            embedded = self._embed_views(part, [0] * len(part), 0)
            losses += [self._loss(one.expand(len(self.seeds), *one.shape))[0] for one in embedded]
        return torch.stack(losses)

    def _embed_views(self, pictures: Tensor, seeds: Sequence[int], iteration: int) -> Float[Tensor, "b k d"]:
        views = make_cutouts(pictures, self.spec, seeds, iteration, self.perceptor.resolution)
        return self.perceptor.embed_pictures(views.flatten(0, 1)).unflatten(0, views.shape[:2])

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


def spherical_distance(cosine: Tensor) -> Tensor:
    """Half the squared great-circle distance, from the cosine (Crowson, CLIP guided diffusion notebooks, 2021)."""
    chord = (2 - 2 * cosine).clamp(min=1e-8).sqrt() / 2
    return chord.clamp(max=1 - 1e-6).asin().pow(2) * 2


@dataclass(frozen=True)
class Keys:
    """The prompts that each trial of an interpolation passes, and how far it is from one to the next."""

    embedded: Float[Tensor, "b m d"]
    """Unit vectors; zeros beyond a trial's last."""
    counts: tuple[int, ...]
    spec: InterpolationSpec

    @classmethod
    def of(cls, perceptor: Perceptor, trials: Sequence[Trial], spec: InterpolationSpec) -> "Keys":
        texts = [perceptor.embed_texts([trial.prompt.text, *trial.prompt.to]) for trial in trials]
        return cls(torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), tuple(map(len, texts)), spec)

    def similarity(self, embedded: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
        """Cosine to each key; NaN beyond a trial's last."""
        there = torch.arange(self.embedded.shape[1]) < torch.tensor(self.counts)[:, None]
        return torch.einsum("bd,bmd->bm", embedded, self.embedded).masked_fill(~there.to(embedded.device), torch.nan)

    def mark(self, embedded: Float[Tensor, "b d"], frame: int | None) -> Float[Tensor, "b"]:
        """Similarity to the two prompts that a frame stands between, by how near it is to each; the last frame where none is told."""
        each, marks = self.similarity(embedded), []
        for row, count in zip(each, self.counts, strict=True):
            before, share = place(frame or self.spec.num_iter, self.spec.num_iter, count, self.spec.easing)
            after = min(before + 1, count - 1)
            marks.append((1 - share) * row[before] + share * row[after])
        return torch.stack(marks)


class Judge:
    """Marks whole pictures; never guides."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial]) -> None:
        self.perceptor = perceptor
        self.targets = embed_prompts(perceptor, [trial.prompt for trial in trials])
        spec = trials[0].engine
        self.keys = Keys.of(perceptor, trials, spec) if isinstance(spec, InterpolationSpec) else None

    @torch.no_grad()
    def embed(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Unit embeddings of whole pictures."""
        r = self.perceptor.resolution
        seen = F.interpolate(pictures, size=(r, r), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        return self.perceptor.embed_pictures(seen)

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


def make_guide(perceptor: Perceptor, trials: Sequence[Trial]) -> Guide:
    """What guides a batch of trials, or looks on, as their engine wants it."""
    spec = trials[0].engine
    if not isinstance(spec, GuidedSpec):
        return Onlooker(perceptor, trials)
    from dreamsweep.starter.files import thing_names

    return ClipGuide(perceptor, trials, thing_names() if spec.contrast else ())


def make_cutouts(pictures: Tensor, spec: GuidedEngineSpec, seeds: Sequence[int], iteration: int, side: int) -> Float[Tensor, "b k 3 r r"]:
    """Seeded views of each picture as the perceptor sees them: one sampling for the whole batch, white outside."""
    homographies, noise = zip(*(_draw_views(spec, seed, iteration, side) for seed in seeds), strict=True)
    b, _, h, w = pictures.shape
    k = spec.cutouts
    finer = max(1, min(4, round(max(h, w) / side)))  # sample finer and average: a bare bilinear sample would alias
    grid = homography_grid(torch.stack(homographies).flatten(0, 1), side * finer).to(pictures)  # b·k r r 2
    ink = (1 - pictures)[:, None].expand(b, k, *pictures.shape[1:]).flatten(0, 1)
    views = 1 - F.avg_pool2d(F.grid_sample(ink, grid, align_corners=False), finer)
    return (views.unflatten(0, (b, k)) + torch.stack(noise).to(pictures)).clamp(0, 1)  # type: ignore[no-any-return]


def _draw_views(spec: GuidedEngineSpec, seed: int, iteration: int, side: int) -> tuple[Tensor, Tensor]:
    """One trial's views in one iteration: homographies `k 3 3` from view to picture, and noise `k 3 r r` (or zeros `k 1 1 1`)."""
    rng = generator(seed, "cutouts", iteration)
    match spec:
        case DalleSpec():
            share = (torch.randn(spec.cutouts, generator=rng) * spec.cutout_std + spec.cutout_mean).clamp(spec.cutout_min, spec.cutout_max)
            angle = (torch.rand(spec.cutouts, generator=rng) * 2 - 1) * math.radians(spec.rotation)
            matrices = crops(share, angle, rng)
            return matrices, torch.randn(spec.cutouts, 3, side, side, generator=rng) * spec.noise
        case StrokesSpec():
            share = torch.rand(spec.cutouts, generator=rng).mul(0.2).add(0.7).sqrt()  # RandomResizedCrop(.7, .9) is of the area
            matrices = perspectives(spec.cutouts, 0.5, rng) @ crops(share, torch.zeros(spec.cutouts), rng)
            return matrices, torch.zeros(spec.cutouts, 1, 1, 1)


def crops(share: Tensor, angle: Tensor, rng: torch.Generator) -> Float[Tensor, "k 3 3"]:
    """Square crops of side `share` (`k`), turned by `angle` (`k`, radians), placed uniformly inside the picture."""
    k = len(share)
    offset = (torch.rand(k, 2, generator=rng) * 2 - 1) * (1 - share)[:, None]
    cos, sin = torch.cos(angle) * share, torch.sin(angle) * share
    matrix = torch.zeros(k, 3, 3)
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = cos, -sin, sin, cos
    matrix[:, :2, 2], matrix[:, 2, 2] = offset, 1.0
    return matrix


def perspectives(k: int, distortion: float, rng: torch.Generator) -> Float[Tensor, "k 3 3"]:
    """Random perspectives: each corner of the picture moves inwards by up to `distortion` of half its side."""
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    seen_at = corners * (1 - torch.rand(k, 4, 2, generator=rng) * distortion)
    return homography(seen_at, corners.expand(k, 4, 2))


def homography(source: Float[Tensor, "k 4 2"], target: Float[Tensor, "k 4 2"]) -> Float[Tensor, "k 3 3"]:
    """The projective maps that take four points to four others."""
    x, y = source.unbind(-1)
    u, v = target.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    solved = torch.linalg.solve(torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1))
    return torch.cat([solved, torch.ones(len(solved), 1)], 1).reshape(-1, 3, 3)


def homography_grid(matrices: Float[Tensor, "n 3 3"], side: int) -> Float[Tensor, "n r r 2"]:
    """Where each pixel of an `r r` view looks in the picture, in `grid_sample`'s coordinates."""
    line = (torch.arange(side) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)  # r r 3
    mapped = torch.einsum("nij,hwj->nhwi", matrices, points)
    return mapped[..., :2] / mapped[..., 2:]
