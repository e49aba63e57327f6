"""Stable Diffusion from one prompt to the next: the same noise in every frame, the text's embedding moved between the two.

After the walks of Karpathy ("Stable diffusion dreams", 2022) and Raw & others (stable-diffusion-videos, 2022), in text space only.
A frame is an iteration: its row tells how near the picture is to each prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.randomness import Draws, generator
from dreamsweep.engines.frames import slerp, steps_of_frames
from dreamsweep.engines.protocol import State, Step
from dreamsweep.guidance.protocol import Guide
from dreamsweep.guidance.waypoints import place
from dreamsweep.models.stable_diffusion import Condition, StableDiffusion, load_stable_diffusion
from dreamsweep.spec import InterpolationSpec, Trial, WeightsName


class InterpolationEngine:
    """Denoises each frame of each trial from that trial's own noise (see `Engine`)."""

    def __init__(self, spec: InterpolationSpec, model: StableDiffusion) -> None:
        self.spec, self.model = spec, model
        self.side = spec.image_size or model.image_size

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        keys = [[self.model.condition(text, trial.prompt) for text in (trial.prompt.text, *trial.prompt.to)] for trial in trials]
        against = [self.model.against(trial.prompt) for trial in trials]
        return steps_of_frames(self.spec, trials, guide, state, lambda frames: self._denoise(trials, keys, against, frames))

    def _denoise(
        self, trials: Sequence[Trial], keys: list[list[Condition]], against: list[Condition], frames: range
    ) -> Float[Tensor, "f b 3 h w"]:
        conditions, randomness = [], []
        noise = Draws([trial.seed for trial in trials]).normal("noise", *self.model.latent_shape(self.side))  # the same in every frame
        for frame in frames:
            for trial, passed in zip(trials, keys, strict=True):
                before, share = place(frame, self.spec.num_iter, len(passed), self.spec.easing)
                conditions.append(between(passed[before], passed[min(before + 1, len(passed) - 1)], share, self.spec.path))
                randomness.append(generator(trial.seed, "denoising"))
        drawn = self.model.denoise(
            conditions, against * len(frames), noise.repeat(len(frames), 1, 1, 1), randomness,
            steps=self.spec.steps, guidance_scale=self.spec.guidance_scale, scheduler=self.spec.scheduler,
        )  # fmt: skip
        pictures: Tensor = drawn.unflatten(0, (len(frames), len(trials)))
        return pictures


def between(start: Condition, end: Condition, share: float, path: Literal["lerp", "slerp"]) -> Condition:
    """Returns a share of the way from one condition to another."""
    move: Callable[[Tensor, Tensor, float], Tensor] = slerp if path == "slerp" else torch.lerp
    pooled = move(start.pooled, end.pooled, share) if start.pooled is not None and end.pooled is not None else None
    return Condition(move(start.tokens, end.tokens, share), pooled)


def make_interpolation(spec: InterpolationSpec, weights: WeightsName, device: str) -> InterpolationEngine:
    """Builds the engine with its pipeline. Raises WeightsError when that is missing or damaged."""
    return InterpolationEngine(spec, load_stable_diffusion(weights, spec.model, device))
