"""Guides: perceptors put to work on a batch of trials, each with its own prompt and its own cutouts.

One letter, one meaning: b trials, k cutouts, d embedding, r what a perceptor sees.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.randomness import Draws
from dreamsweep.guidance.cutouts import draw_views, make_cutouts
from dreamsweep.guidance.protocol import Chooser, Guidance, Guide
from dreamsweep.guidance.targets import Targets, embed_prompts, shrink
from dreamsweep.guidance.whole_picture import PictureSimilarity
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import Trial

NEGATIVE_STRENGTH = 0.3
"""A negative of weight 1 pushes with this share of a prompt's pull (CLIPDraw, 2021, §3)."""
LOSS_SCALE = 10.0
"""Cosines are multiplied by this (the Aleph notebooks); it sets how the guide weighs against other losses."""
VIEW_PIXELS = {"cpu": 16 * 224 * 224, "cuda": 256 * 224 * 224}
"""Pixels of cutouts that a perceptor sees at once, by kind of device: more are seen a part at a time, which bounds the memory."""
WEIGHED_AT_ONCE = 16
"""Pictures that a guide looks at together when it weighs many."""


class ClipGuide:
    """The guide of descent: mean similarity of seeded cutouts to the prompt, less what it should not resemble."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial], bank: Sequence[str] = ()) -> None:
        self.perceptor = perceptor
        self.seeds = [trial.seed for trial in trials]
        steering = trials[0].engine.steering
        assert steering is not None, "an engine that no guide steers has an ObserverGuide"
        self.steering = steering
        self.targets = embed_prompts(perceptor, [trial.prompt for trial in trials])
        self.bank = perceptor.embed_texts(list(bank)) if bank and steering.contrast else None
        if self.bank is not None:
            resemblance = torch.einsum("bpd,nd,bp->bn", self.targets.towards, self.bank, self.targets.towards_weight)
            self.too_like = resemblance > 0.6
            """Names that mean about what the prompt means: no contrast."""

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: Count) -> Guidance:
        r = self.perceptor.resolution
        views = draw_views(self.steering.views, Draws(self.seeds, iteration, pictures.device), r, pictures.shape[-1])
        budget = VIEW_PIXELS.get(pictures.device.type, VIEW_PIXELS["cpu"]) // (r * r * len(pictures))
        at_once = max(1, min(self.steering.views.at_once, budget))
        return by_parts(lambda seen, some: self._loss(self._embed(views.of(seen, some))), pictures, len(views), at_once)

    @torch.no_grad()
    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """Returns the loss that each of several pictures would have in each trial; all trials look through the same views."""
        losses = []
        for part in pictures.split(WEIGHED_AT_ONCE):
            r = self.perceptor.resolution
            if self.steering.chooses_whole:
                embedded = self._embed(shrink(part, r)[:, None])
            else:
                embedded = self._embed(make_cutouts(part, self.steering.views, Draws([0] * len(part), 0, part.device), r))
            losses += [self._loss(picture.expand(len(self.seeds), *picture.shape))[0] for picture in embedded]
        return torch.stack(losses)

    def weigh_names(self, names: Sequence[str], key: int = 0) -> Float[Tensor, "n b"]:
        """Returns how far each thing's name is from each trial's prompt (see `Chooser`); it steers to one prompt alone."""
        return distances_of_names(self.perceptor, self.targets, names)

    def _embed(self, views: Float[Tensor, "b k 3 r r"]) -> Float[Tensor, "b k d"]:
        embedded: Tensor = self.perceptor.embed_pictures(views.flatten(0, 1)).unflatten(0, views.shape[:2])
        return embedded

    def _loss(self, embedded: Float[Tensor, "b k d"]) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"]]:
        """Returns loss and similarity of each trial."""
        similarity = self.targets.similarity(embedded)
        distance = spherical_distance(similarity) if self.steering.by_angle else -similarity
        loss = LOSS_SCALE * (distance.mean(1) + NEGATIVE_STRENGTH * self.targets.nearness_to_negatives(embedded).mean(1))
        if self.bank is not None:
            loss = loss + self.steering.contrast * self._contrast(embedded, similarity)
        return loss, similarity.mean(1)

    def _contrast(self, embedded: Tensor, similarity: Tensor, temperature: float = 20.0) -> Tensor:
        """Returns cross-entropy of the prompt against a bank of other things' names, `b`."""
        assert self.bank is not None
        others = torch.einsum("bkd,nd->bkn", embedded, self.bank).masked_fill(self.too_like[:, None], -1.0)
        logits = temperature * torch.cat([similarity[..., None], others], 2)
        return -logits.log_softmax(2)[..., 0].mean(1)


@torch.no_grad()
def distances_of_names(perceptor: Perceptor, targets: Targets, names: Sequence[str]) -> Float[Tensor, "n b"]:
    """Returns how far each thing's name is from what each trial is steered towards, nearness to its negatives added."""
    embedded = perceptor.embed_texts([f"a {name}" for name in names]).expand(len(targets.towards), -1, -1)
    return (NEGATIVE_STRENGTH * targets.nearness_to_negatives(embedded) - targets.similarity(embedded)).T


def by_parts(
    look: Callable[[Tensor, slice], tuple[Tensor, Tensor]], pictures: Float[Tensor, "b 3 h w"], count: int, at_once: int
) -> Guidance:
    """Returns the mean of the loss and the similarity, `b` each, of `count` views, `at_once` of them seen at a time.

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


def spherical_distance(cosine: Tensor) -> Tensor:
    """Returns half the squared great-circle distance, from the cosine (Crowson, CLIP guided diffusion notebooks, 2021)."""
    chord = (2 - 2 * cosine).clamp(min=1e-8).sqrt() / 2
    return chord.clamp(max=1 - 1e-6).asin().pow(2) * 2


class ObserverGuide:
    """The guide of engines that are not steered: says how near whole pictures are to the prompts that they pass."""

    def __init__(self, perceptor: Perceptor, trials: Sequence[Trial]) -> None:
        self.similarity = PictureSimilarity(perceptor, trials)

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: Count) -> Guidance:
        similarity, embedded = self.similarity.score(pictures, int(iteration))
        waypoints = self.similarity.waypoints
        return Guidance(1 - similarity, similarity, waypoints.similarity(embedded) if waypoints else None)

    @torch.no_grad()
    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """Returns how far whole pictures are from each trial's first prompt (see `Chooser`)."""
        targets = self.similarity.targets
        return 1 - targets.similarity(self.similarity.embed(pictures).expand(len(targets.towards), -1, -1)).T

    def weigh_names(self, names: Sequence[str], key: int = 0) -> Float[Tensor, "n b"]:
        """Returns how far each thing's name is from each trial's prompt, or from another that it passes (see `Chooser`)."""
        similarity = self.similarity
        if key == 0 or similarity.waypoints is None:
            return distances_of_names(similarity.perceptor, similarity.targets, names)
        embedded = similarity.perceptor.embed_texts([f"a {name}" for name in names])
        return -(embedded[:, None] * similarity.waypoints.embedded[:, key]).sum(2)  # a product of matrices rounds otherwise in a batch


class Ensemble:
    """Several guides at once: the weighted mean of what they say."""

    def __init__(self, guides: Sequence[tuple[Guide, float]]) -> None:
        total = sum(weight for _, weight in guides)
        self.guides = [(guide, weight / total) for guide, weight in guides]

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: Count) -> Guidance:
        answers = [(guide(pictures, iteration), share) for guide, share in self.guides]
        each = [guidance.each * share for guidance, share in answers if guidance.each is not None]
        return Guidance(
            torch.stack([guidance.loss * share for guidance, share in answers]).sum(0),
            torch.stack([guidance.similarity * share for guidance, share in answers]).sum(0),
            torch.stack(each).sum(0) if each else None,
        )

    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """As each of them does (see `Chooser`); those that cannot are left out."""
        return torch.stack([guide.weigh(pictures) * share for guide, share in self.guides if isinstance(guide, Chooser)]).sum(0)

    def weigh_names(self, names: Sequence[str], key: int = 0) -> Float[Tensor, "n b"]:
        """As each of them does, likewise."""
        return torch.stack([guide.weigh_names(names, key) * share for guide, share in self.guides if isinstance(guide, Chooser)]).sum(0)


def make_guide(perceptors: Sequence[tuple[Perceptor, float]], trials: Sequence[Trial]) -> Guide:
    """Returns what guides a batch of trials, or looks on, as their engine wants it: perceptors with their weights, one or several."""
    guides = [(_guide_of(perceptor, trials), weight) for perceptor, weight in perceptors]
    return guides[0][0] if len(guides) == 1 else Ensemble(guides)


def _guide_of(perceptor: Perceptor, trials: Sequence[Trial]) -> Guide:
    steering = trials[0].engine.steering
    if steering is None:
        return ObserverGuide(perceptor, trials)
    return ClipGuide(perceptor, trials, contrast_names(perceptor.name) if steering.contrast else ())


def contrast_names(perceptor: str) -> list[str]:
    """Names of other things that a guide contrasts its prompt with: those that the starter weights know, for the starter guides alone.

    A published perceptor knows far more than these thousand things, and its similarities to them are on another scale.
    """
    from dreamsweep.weights.starter import thing_names

    return thing_names() if perceptor.startswith("starter-") else []
