"""Stable Diffusion from one prompt to the next: the same noise in every frame, the text's embedding moved between the two.

After the walks of Karpathy ("Stable diffusion dreams", 2022) and Raw & others (stable-diffusion-videos, 2022), in text space only; or
from a mixture of two pictures with noise on it (Wang & Golland, "Interpolating between images with diffusion models", 2023).
A frame is an iteration: its row tells how near the picture is to each prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.randomness import Draws, generator
from dreamsweep.engines.frames import passed, slerp, steps_of_frames
from dreamsweep.engines.protocol import State, Step
from dreamsweep.engines.starts import ThingStarts, make_thing_starts
from dreamsweep.guidance.protocol import Chooser, Guide
from dreamsweep.models.pipelines import Onto
from dreamsweep.models.stable_diffusion import Condition, StableDiffusion, load_stable_diffusion
from dreamsweep.spec import InterpolationSpec, Trial, WeightsName


class InterpolationEngine:
    """Denoises each frame of each trial from that trial's own noise (see `Engine`)."""

    def __init__(self, spec: InterpolationSpec, model: StableDiffusion, things: ThingStarts | None = None) -> None:
        self.spec, self.model, self.things = spec, model, things
        self.side = spec.image_size or model.image_size

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        keys = [[self.model.condition(text, trial.prompt) for text in (trial.prompt.text, *trial.prompt.to)] for trial in trials]
        against = [self.model.against(trial.prompt) for trial in trials]
        starts = self._starts(trials, guide)
        return steps_of_frames(self.spec, trials, guide, state, lambda frames: self._denoise(trials, keys, against, starts, frames))

    @torch.no_grad()
    def _starts(self, trials: Sequence[Trial], guide: Guide) -> list[Float[Tensor, "_ c y x"]] | None:
        """Returns the latents of the things that each trial passes; None where frames start from noise alone."""
        if self.things is None or not isinstance(guide, Chooser):
            return None
        return [self.model.encode(pictures) for pictures in self.things.along(self.side, trials, guide)]

    def _denoise(
        self,
        trials: Sequence[Trial],
        keys: list[list[Condition]],
        against: list[Condition],
        starts: list[Float[Tensor, "_ c y x"]] | None,
        frames: range,
    ) -> Float[Tensor, "f b 3 h w"]:
        spec, against = self.spec, against * len(frames)
        conditions = [between(*passed(frame, spec, some), spec.path) for frame in frames for some in keys]
        randomness = [generator(trial.seed, "denoising") for _ in frames for trial in trials]  # the same in every frame
        noise = Draws([trial.seed for trial in trials]).normal("noise", *self.model.latent_shape(self.side))
        onto = None
        if starts is not None:
            mixed = torch.stack([torch.lerp(*passed(frame, spec, some)) for frame in frames for some in starts])
            onto = Onto(mixed, spec.init_strength)
        drawn = self.model.denoise(
            conditions, against, noise.repeat(len(frames), 1, 1, 1), randomness,
            steps=spec.steps, guidance_scale=spec.guidance_scale, scheduler=spec.scheduler, onto=onto,
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
    return InterpolationEngine(spec, load_stable_diffusion(weights, spec.model, device), make_thing_starts(spec.start, weights, device))
