"""Stable Diffusion steered by a guide: in each denoising step the guide's gradient, taken through the network on the picture that it
foresees, moves the predicted noise (Dhariwal & Nichol, 2021; Nichol et al., GLIDE, 2022, §2.3; Crowson's notebooks, 2021).

Departure: the gradient's size is set to a share of the noise's own, so that one strength suits every guide, model and size.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.images import read_picture
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.protocol import State, Step
from dreamsweep.engines.starts import ThingStarts, make_thing_starts
from dreamsweep.guidance.protocol import Chooser, Guidance, Guide
from dreamsweep.models.stable_diffusion import Condition, StableDiffusion, load_stable_diffusion
from dreamsweep.spec import GuidedDiffusionSpec, Trial, WeightsName


class GuidedDiffusionEngine:
    """Denoises a batch of trials, each from its own noise, with one guide for all (see `Engine`)."""

    def __init__(self, spec: GuidedDiffusionSpec, model: StableDiffusion, things: ThingStarts | None = None) -> None:
        self.spec, self.model, self.things = spec, model, things
        self.side = spec.image_size or model.image_size
        self.scheduler = model.ddim(max(spec.num_iter, round(spec.num_iter / spec.noise_share)))
        self.times: list[int] = self.scheduler.timesteps[-spec.num_iter :].tolist()

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        conditions = [self.model.condition(trial.prompt.text, trial.prompt) for trial in trials]
        against = [self.model.against(trial.prompt) for trial in trials]
        latents = (state["latents"].clone() if state else self._start(trials, guide)).to(self.model.device)
        alive = (state["alive"] if state else torch.ones(len(trials), dtype=torch.bool)).to(self.model.device, copy=True)
        seeds = [trial.seed for trial in trials]
        first = int(state["iteration"]) + 1 if state else 1
        for iteration in range(first, self.spec.num_iter + 1):
            time = self.times[iteration - 1]
            noise, pictures, guidance = self._steer(latents, time, conditions, against, guide, iteration)
            alive = alive & torch.isfinite(guidance.loss) & torch.isfinite(noise).flatten(1).all(1)
            fresh = Draws(seeds, iteration, latents.device).normal("denoising", *latents.shape[1:]) if self.spec.eta else None
            moved = self.scheduler.step(noise, time, latents, eta=self.spec.eta, variance_noise=fresh).prev_sample
            latents = torch.where(alive[:, None, None, None], moved, latents)
            if iteration == self.spec.num_iter:
                with torch.no_grad():
                    pictures = self.model.decode(latents)
            yield Step(
                iteration=iteration,
                loss=torch.where(alive, guidance.loss, torch.nan),
                similarity=guidance.similarity,
                learning_rate=torch.nan,
                draw=lambda pictures=pictures: pictures.clamp(0, 1),  # type: ignore[misc]
                state=lambda done=iteration, latents=latents, alive=alive: {  # type: ignore[misc]
                    "latents": latents.clone(),
                    "iteration": torch.tensor(done),
                    "alive": alive.clone(),
                },
            )

    def _steer(
        self,
        latents: Float[Tensor, "b c y x"],
        time: int,
        conditions: list[Condition],
        against: list[Condition],
        guide: Guide,
        iteration: int,
    ) -> tuple[Float[Tensor, "b c y x"], Float[Tensor, "b 3 h w"], Guidance]:
        """Returns the noise as the guide wants it, the picture foreseen before it spoke, and what it said."""
        steered = self.spec.guide_strength > 0
        kept = float(self.scheduler.alphas_cumprod[time])
        with torch.set_grad_enabled(steered):
            x = latents.detach().requires_grad_(steered)
            noise = self.model.predict_noise(x, time, conditions, against, self.spec.guidance_scale)
            seen = self.model.decode((x - (1 - kept) ** 0.5 * noise) / kept**0.5)
            seen = seen + (seen.clamp(0, 1) - seen).detach()
            guidance = guide(seen, iteration)
            if steered:
                finite = torch.isfinite(guidance.loss.detach())
                (gradient,) = torch.autograd.grad(torch.where(finite, guidance.loss, 0.0).sum(), x)
                noise = noise + self.spec.guide_strength * (1 - kept) ** 0.5 * _as_large_as(noise, gradient)
        return noise.detach(), seen.detach(), Guidance(guidance.loss.detach(), guidance.similarity)

    @torch.no_grad()
    def _start(self, trials: Sequence[Trial], guide: Guide) -> Float[Tensor, "b c y x"]:
        shape = self.model.latent_shape(self.side)
        noise = Draws([trial.seed for trial in trials]).normal("noise", *shape)
        if self.spec.init_image is not None:
            pictures = read_picture(self.spec.init_image, self.side)[None]
        elif self.things is not None and isinstance(guide, Chooser):
            pictures = self.things(self.side, trials, guide)
        else:
            return noise
        clean: Tensor = self.model.encode(pictures).cpu()
        kept = float(self.scheduler.alphas_cumprod[self.times[0]])
        noised: Tensor = kept**0.5 * clean + (1 - kept) ** 0.5 * noise
        return noised


def _as_large_as(noise: Float[Tensor, "b c y x"], gradient: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
    """Returns each trial's gradient in the size of its noise."""
    size, own = (v.detach().flatten(1).norm(dim=1)[:, None, None, None] for v in (noise, gradient))
    scaled: Tensor = gradient * (size / own.clamp(min=1e-12))
    return scaled


def make_guided_diffusion(spec: GuidedDiffusionSpec, weights: WeightsName, device: str) -> GuidedDiffusionEngine:
    """Builds the engine with its pipeline. Raises WeightsError when that is missing or damaged."""
    return GuidedDiffusionEngine(spec, load_stable_diffusion(weights, spec.model, device), make_thing_starts(spec.start, weights, device))
