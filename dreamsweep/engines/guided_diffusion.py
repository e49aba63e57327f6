"""Stable Diffusion steered by a guide: in each denoising step the guide's gradient, taken through the network on the picture that it
foresees, moves the predicted noise (Dhariwal & Nichol, 2021; Nichol et al., GLIDE, 2022, §2.3; Crowson's notebooks, 2021).

Departure: the gradient's size is set to a share of the noise's own, so that one strength suits every guide, model and size.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.graphs import Count, RecordedStep, are_graphs_on
from dreamsweep.compute.images import read_picture
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.protocol import State, Step
from dreamsweep.engines.starts import ThingStarts, make_thing_starts
from dreamsweep.guidance.protocol import Chooser, Guidance, Guide
from dreamsweep.models.stable_diffusion import StableDiffusion, load_stable_diffusion
from dreamsweep.spec import GuidedDiffusionSpec, Trial, WeightsName


class GuidedDiffusionEngine:
    """Denoises a batch of trials, each from its own noise, with one guide for all (see `Engine`)."""

    def __init__(self, spec: GuidedDiffusionSpec, model: StableDiffusion, things: ThingStarts | None = None) -> None:
        self.spec, self.model, self.things = spec, model, things
        self.side = spec.image_size or model.image_size
        scheduler = model.ddim(max(spec.num_iter, round(spec.num_iter / spec.noise_share)))
        times = scheduler.timesteps[-spec.num_iter :]
        self.times: list[int] = times.tolist()
        self.device_times = times.to(model.device)
        """The times on the device."""
        self.moves = ddim_moves(scheduler, times, spec.eta).to(model.device)

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        denoising = _Denoising(self, trials, guide, state)
        take = RecordedStep(denoising.step, denoising.tensors, self.model.device) if are_graphs_on() else denoising.step
        for iteration in range(denoising.done + 1, self.spec.num_iter + 1):
            loss, similarity, pictures = take(iteration)
            if iteration == self.spec.num_iter:
                with torch.no_grad():
                    pictures = self.model.decode(denoising.latents)
            yield Step(
                iteration=iteration,
                loss=loss,
                similarity=similarity,
                learning_rate=torch.nan,
                draw=lambda pictures=pictures: pictures.clamp(0, 1),  # type: ignore[misc]
                state=partial(dict, denoising.packed(iteration)),
            )

    @torch.no_grad()
    def start(self, trials: Sequence[Trial], guide: Guide) -> Float[Tensor, "b c y x"]:
        """Returns the latents before the first iteration: noise, and as much of the initial picture, or of a thing's, as asked."""
        shape = self.model.latent_shape(self.side)
        noise = Draws([trial.seed for trial in trials]).normal("noise", *shape)
        if self.spec.init_image is not None:
            pictures = read_picture(self.spec.init_image, self.side)[None]
        elif self.things is not None and isinstance(guide, Chooser):
            pictures = self.things(self.side, trials, guide)
        else:
            return noise
        clean: Tensor = self.model.encode(pictures).cpu()
        signal, spread = (amount.cpu() for amount in self.model.amounts(self.device_times[0]))
        noised: Tensor = signal * clean + spread * noise
        return noised


class _Denoising:
    """A batch on its way, its tensors where they stay in memory, and one iteration of it; nothing in it waits for the device."""

    def __init__(self, engine: GuidedDiffusionEngine, trials: Sequence[Trial], guide: Guide, state: State | None) -> None:
        model, spec = engine.model, engine.spec
        self.engine, self.model, self.spec, self.guide = engine, model, spec, guide
        self.seeds = [trial.seed for trial in trials]
        conditions = [model.condition(trial.prompt.text, trial.prompt) for trial in trials]
        against = [model.against(trial.prompt) for trial in trials]
        self.conditioning = model.conditioning(conditions, against, spec.guidance_scale, engine.side)
        self.latents = (state["latents"] if state else engine.start(trials, guide)).to(model.device, copy=True)
        self.alive = (state["alive"] if state else torch.ones(len(trials), dtype=torch.bool)).to(model.device, copy=True)
        self.done = int(state["iteration"]) if state else 0

    def step(self, iteration: Count) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"], Float[Tensor, "b 3 h w"]]:
        """Takes one step; returns loss (NaN for trials that no longer move), similarity, and the pictures foreseen before it."""
        signal, spread = self.model.amounts(time := _row(self.engine.device_times, iteration))
        noise, pictures, guidance = self._steer(time, signal, spread, iteration)
        self.alive.logical_and_(torch.isfinite(guidance.loss) & torch.isfinite(noise).flatten(1).all(1))
        next_signal, next_noise, fresh_noise = _row(self.engine.moves, iteration).unbind(0)
        moved = next_signal * ((self.latents - spread * noise) / signal) + next_noise * noise
        if self.spec.eta:
            draws = Draws(self.seeds, iteration, self.latents.device)
            moved = moved + fresh_noise * draws.normal("denoising", *self.latents.shape[1:])
        self.latents.copy_(torch.where(self.alive[:, None, None, None], moved, self.latents))
        return torch.where(self.alive, guidance.loss, torch.nan), guidance.similarity, pictures

    def _steer(
        self, time: Int[Tensor, ""], signal: Tensor, spread: Tensor, iteration: Count
    ) -> tuple[Float[Tensor, "b c y x"], Float[Tensor, "b 3 h w"], Guidance]:
        """Returns the noise as the guide wants it, the picture foreseen before it spoke, and what it said."""
        steered = self.spec.guide_strength > 0
        with torch.set_grad_enabled(steered):
            x = self.latents.detach().requires_grad_(steered)
            noise = self.model.predict_noise(x, time, self.conditioning)
            seen = self.model.decode((x - spread * noise) / signal)
            seen = seen + (seen.clamp(0, 1) - seen).detach()
            guidance = self.guide(seen, iteration)
            if steered:
                finite = torch.isfinite(guidance.loss.detach())
                (gradient,) = torch.autograd.grad(torch.where(finite, guidance.loss, 0.0).sum(), x)
                noise = noise + self.spec.guide_strength * spread * _as_large_as(noise, gradient)
        return noise.detach(), seen.detach(), Guidance(guidance.loss.detach(), guidance.similarity.detach())

    def tensors(self) -> list[Tensor]:
        """Returns everything that a step changes and the next one reads."""
        return [self.latents, self.alive]

    def packed(self, iteration: int) -> State:
        """Copies all that a resume needs."""
        return {"latents": self.latents.clone(), "iteration": torch.tensor(iteration), "alive": self.alive.clone()}


def ddim_moves(scheduler: Any, times: Int[Tensor, "n"], eta: float) -> Float[Tensor, "n 3"]:
    """Returns, for each time, what the next latents have of the foreseen picture, of the predicted noise and of fresh noise.

    Equations 12 and 16 of DDIM (Song, Meng & Ermon, 2021), as diffusers' scheduler computes them, but for all steps at once.
    """
    before = times - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    kept, alphas = scheduler.alphas_cumprod[times], scheduler.alphas_cumprod
    kept_next = torch.where(before >= 0, alphas[before.clamp(min=0)], scheduler.final_alpha_cumprod)
    fresh = eta * ((1 - kept_next) / (1 - kept) * (1 - kept / kept_next)).sqrt()
    return torch.stack([kept_next.sqrt(), (1 - kept_next - fresh.square()).sqrt(), fresh], 1)


def _row(table: Tensor, iteration: Count) -> Tensor:
    """Returns the row of an iteration, counted from 1, of a table on its device."""
    return table[iteration - 1] if isinstance(iteration, int) else table.index_select(0, (iteration - 1).view(1))[0]


def _as_large_as(noise: Float[Tensor, "b c y x"], gradient: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
    """Returns each trial's gradient in the size of its noise."""
    size, own = (v.detach().flatten(1).norm(dim=1)[:, None, None, None] for v in (noise, gradient))
    scaled: Tensor = gradient * (size / own.clamp(min=1e-12))
    return scaled


def make_guided_diffusion(spec: GuidedDiffusionSpec, weights: WeightsName, device: str) -> GuidedDiffusionEngine:
    """Builds the engine with its pipeline. Raises WeightsError when that is missing or damaged."""
    return GuidedDiffusionEngine(spec, load_stable_diffusion(weights, spec.model, device), make_thing_starts(spec.start, weights, device))
