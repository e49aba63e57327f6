"""Stable Diffusion from one prompt to the next: the same noise in every frame, the text's embedding moved between the two.

After the walks of Karpathy ("Stable diffusion dreams", 2022) and Raw & others (stable-diffusion-videos, 2022), in text space only.
A frame is an iteration: its row tells how near the picture is to each prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.diffusion import Condition, StableDiffusion
from dreamsweep.engines import Guide, State, Step
from dreamsweep.randomness import generator
from dreamsweep.spec import InterpolationSpec, Trial

Path = Literal["lerp", "slerp"]


class InterpolationEngine:
    """Denoises each frame of each trial from that trial's own noise (see `Engine`)."""

    def __init__(self, spec: InterpolationSpec, model: StableDiffusion) -> None:
        self.spec, self.model = spec, model
        self.side = spec.image_size or model.image_size

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        keys = [[self.model.condition(text, trial.prompt) for text in (trial.prompt.text, *trial.prompt.to)] for trial in trials]
        against = [self.model.against(trial.prompt) for trial in trials]
        first = int(state["iteration"]) + 1 if state else 1
        alive = state["alive"].clone() if state else torch.ones(len(trials), dtype=torch.bool)
        chunk = self.spec.frames_at_once
        for start in range((first - 1) // chunk * chunk + 1, self.spec.num_iter + 1, chunk):  # the chunks of an undisturbed run
            frames = range(start, min(start + chunk, self.spec.num_iter + 1))
            for frame, pictures in zip(frames, self._denoise(trials, keys, against, frames), strict=True):
                if frame < first:
                    continue
                guidance = guide(pictures, frame)
                alive = alive & torch.isfinite(guidance.loss).cpu()
                yield Step(
                    iteration=frame,
                    loss=torch.where(alive.to(guidance.loss.device), guidance.loss.detach(), torch.nan),
                    similarity=guidance.similarity,
                    learning_rate=torch.nan,
                    draw=lambda pictures=pictures: pictures,  # type: ignore[misc]
                    state=lambda frame=frame, alive=alive: {"iteration": torch.tensor(frame), "alive": alive.clone()},  # type: ignore[misc]
                    each=guidance.each,
                )

    def _denoise(
        self, trials: Sequence[Trial], keys: list[list[Condition]], against: list[Condition], frames: range
    ) -> Float[Tensor, "f b 3 h w"]:
        conditions, noise, randomness = [], [], []
        for frame in frames:
            for trial, passed in zip(trials, keys, strict=True):
                before, share = place(frame, self.spec.num_iter, len(passed), self.spec.easing)
                conditions.append(between(passed[before], passed[min(before + 1, len(passed) - 1)], share, self.spec.path))
                noise.append(torch.randn(self.model.latent_shape(self.side), generator=generator(trial.seed, "noise")))
                randomness.append(generator(trial.seed, "denoising"))  # the same in every frame
        drawn = self.model.denoise(
            conditions, against * len(frames), torch.stack(noise), randomness,
            steps=self.spec.steps, guidance_scale=self.spec.guidance_scale, scheduler=self.spec.scheduler,
        )  # fmt: skip
        pictures: Tensor = drawn.unflatten(0, (len(frames), len(trials)))
        return pictures


def place(frame: int, frames: int, keys: int, easing: Literal["linear", "smooth"]) -> tuple[int, float]:
    """Where a frame (from 1) stands: the key before it (from 0), and its share of the way to the next, in [0, 1)."""
    at = (frame - 1) / max(1, frames - 1) * (keys - 1)
    before = min(int(at), keys - 1)
    share = at - before
    return before, share * share * (3 - 2 * share) if easing == "smooth" else share


def between(one: Condition, other: Condition, share: float, path: Path) -> Condition:
    """A share of the way from one condition to another."""
    move: Callable[[Tensor, Tensor, float], Tensor] = slerp if path == "slerp" else torch.lerp
    pooled = move(one.pooled, other.pooled, share) if one.pooled is not None and other.pooled is not None else None
    return Condition(move(one.tokens, other.tokens, share), pooled)


def slerp(one: Float[Tensor, "*n d"], other: Float[Tensor, "*n d"], share: float) -> Float[Tensor, "*n d"]:
    """Along the great circle between the directions of two vectors, their lengths moved along a line; a line where they are parallel."""
    lengths = one.norm(dim=-1, keepdim=True), other.norm(dim=-1, keepdim=True)
    units = [v / length.clamp(min=1e-12) for v, length in zip((one, other), lengths, strict=True)]
    angle = (units[0] * units[1]).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    along = (((1 - share) * angle).sin() * units[0] + (share * angle).sin() * units[1]) / sine.clamp(min=1e-6)
    return torch.where(sine < 1e-4, torch.lerp(one, other, share), along * torch.lerp(*lengths, share))
