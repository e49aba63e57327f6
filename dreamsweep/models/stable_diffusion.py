"""Stable Diffusion 1, 2 and XL in the stock classes of diffusers: texts to conditions, conditions and noise to pictures."""

import inspect
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.devices import compile_if_asked, constant
from dreamsweep.compute.model_folders import quiet
from dreamsweep.compute.pool import pooled
from dreamsweep.compute.precision import of_network
from dreamsweep.models.pipelines import Onto, open_pipeline
from dreamsweep.spec import Prompt, SchedulerName, WeightsName
from dreamsweep.weights.hashes import find_folder

SCHEDULERS: dict[SchedulerName, str] = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
}


@dataclass(frozen=True)
class Condition:
    """What a text tells the network."""

    tokens: Float[Tensor, "t d"]
    pooled: Float[Tensor, "p"] | None
    """Of the whole text, where the model reads it (XL)."""


@dataclass(frozen=True)
class Conditioning:
    """What the network reads beside latents and time, of a whole batch: with guidance the half to move away from, then the other."""

    tokens: Float[Tensor, "n t d"]
    others: Mapping[str, Any]
    """Further arguments of the network: pooled texts and picture sizes (XL), the guidance scale (distilled models)."""
    guidance_scale: float
    is_guided: bool
    """Whether each picture stands there twice, for classifier-free guidance."""


class StableDiffusion:
    """A frozen pipeline on a device. Several threads may use it at once: no call changes it."""

    def __init__(self, pipeline: Any, name: str, sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.pipeline = pipeline
        self.trained_with = pipeline.scheduler.config
        self._tokenizing = threading.Lock()  # a tokenizer of transformers sets its truncation anew in each call
        kept = self.ddim(1).alphas_cumprod.double()
        self._amounts = torch.stack([kept.sqrt(), (1 - kept).sqrt()]).float().to(device)
        """Amounts of the picture and of noise in latents, by time, `2 t`."""
        self.is_xl = hasattr(pipeline, "text_encoder_2")
        if self.is_xl and pipeline.vae.config.force_upcast:
            pipeline.vae.float()  # its decoder overflows in half precision
        if torch.device(device).type == "cuda":
            prepare_for_gpu(pipeline)

    @property
    def image_size(self) -> int:
        """Pixels on a side of what it was trained on."""
        return int(self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor)

    def latent_shape(self, side: int) -> tuple[int, int, int]:
        """Returns `c h w` of the latents of a picture of so many pixels on a side."""
        channels, factor = self.pipeline.unet.config.in_channels, self.pipeline.vae_scale_factor
        return channels, side // factor, side // factor

    def condition(self, text: str, prompt: Prompt) -> Condition:
        """Returns a text's condition, mixed with those of the prompt's further texts by weight."""
        parts = [(self._embed(text), prompt.weight), *((self._embed(p.text), p.weight) for p in prompt.also)]
        total = sum(weight for _, weight in parts)
        tokens = torch.stack([c.tokens * (weight / total) for c, weight in parts]).sum(0)
        pooled = [c.pooled * (weight / total) for c, weight in parts if c.pooled is not None]
        return Condition(tokens, torch.stack(pooled).sum(0) if pooled else None)

    def against(self, prompt: Prompt) -> Condition:
        """Returns the condition that guidance moves away from: the prompt's negatives, or nothing."""
        return self._embed(", ".join(phrase.text for phrase in prompt.negatives))

    @torch.no_grad()
    def _embed(self, text: str) -> Condition:
        with quiet(), self._tokenizing:
            embedded = self.pipeline.encode_prompt(
                prompt=text, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
        return Condition(embedded[0][0].float(), embedded[2][0].float() if self.is_xl else None)

    def conditioning(self, conditions: Sequence[Condition], against: Sequence[Condition], guidance_scale: float, side: int) -> Conditioning:
        """Returns what the network reads of a batch of pictures of so many pixels on a side, once for all of its steps."""
        dtype, distilled = self.pipeline.unet.dtype, self.pipeline.unet.config.time_cond_proj_dim
        guided = guidance_scale > 1 and distilled is None
        texts = [*against, *conditions] if guided else conditions
        others: dict[str, Any] = {}
        if self.is_xl:
            pooled = torch.stack([c.pooled for c in texts if c.pooled is not None]).to(dtype)
            sizes = torch.tensor([side, side, 0, 0, side, side], device=self.device, dtype=dtype).expand(len(texts), 6)
            others["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
        if distilled is not None:
            scales = torch.full((len(texts),), guidance_scale - 1)
            others["timestep_cond"] = self.pipeline.get_guidance_scale_embedding(scales, embedding_dim=distilled).to(self.device, dtype)
        return Conditioning(torch.stack([c.tokens for c in texts]).to(dtype), others, guidance_scale, guided)

    @torch.no_grad()
    def denoise(
        self,
        conditions: Sequence[Condition],
        against: Sequence[Condition],
        noise: Float[Tensor, "n c y x"],
        randomness: list[torch.Generator],
        steps: int,
        guidance_scale: float,
        scheduler: SchedulerName,
        onto: Onto | None = None,
    ) -> Float[Tensor, "n 3 h w"]:
        """Returns pictures in [0, 1], one a condition, each from its own noise (and generator, for schedulers that add more), or from
        latents of a picture with that noise on them: then the last of the steps alone are done.

        As the pipelines of diffusers, but that the scheduler's times and tables stay on the CPU: on a GPU its look-ups would wait for the
        device in each step, and numbers without dimensions go with a kernel's launch.
        """
        conditioning = self.conditioning(conditions, against, guidance_scale, noise.shape[-1] * self.pipeline.vae_scale_factor)
        with quiet():
            schedule = self._scheduler(scheduler)
            schedule.set_timesteps(steps)
            first = 0 if onto is None else onto.first_step(steps) * schedule.order
            times = schedule.timesteps[first:]
            if hasattr(schedule, "set_begin_index"):
                schedule.set_begin_index(first)
            random = {"generator": randomness} if "generator" in inspect.signature(schedule.step).parameters else {}
            latents = noise.to(self.device, self.pipeline.unet.dtype)
            if onto is None:
                latents = latents * schedule.init_noise_sigma
            else:
                latents = schedule.add_noise(onto.pictures.to(latents), latents, times[:1].expand(len(latents)))
            for time, device_time in zip(times, times.to(self.device), strict=True):
                predicted = guided(self._predict(schedule.scale_model_input(latents, time), device_time, conditioning), conditioning)
                latents = schedule.step(predicted, time, latents, **random, return_dict=False)[0]
        return self.decode(latents).clamp(0, 1)

    def _scheduler(self, name: SchedulerName) -> Any:
        """Returns a scheduler of a call's own, as it counts its steps."""
        import diffusers

        extra = {"skip_prk_steps": True} if name == "pndm" else {}  # as Stable Diffusion's own configuration has it
        return getattr(diffusers, SCHEDULERS[name]).from_config(self.trained_with, **extra)

    def ddim(self, steps: int) -> Any:
        """Returns a DDIM scheduler of the model's own noise schedule, for noise predicted by `predict_noise`."""
        import diffusers

        kind: Any = diffusers.DDIMScheduler  # untyped
        scheduler = kind.from_config(self.trained_with, prediction_type="epsilon", clip_sample=False)
        scheduler.set_timesteps(steps)
        return scheduler

    def amounts(self, time: Int[Tensor, ""]) -> tuple[Float[Tensor, "1"], Float[Tensor, "1"]]:
        """Returns how much of the picture and of noise there is in latents at a time, on the device."""
        signal, spread = self._amounts.index_select(1, time.view(1)).unbind(0)
        return signal, spread

    def predict_noise(
        self, latents: Float[Tensor, "b c y x"], time: Int[Tensor, ""], conditioning: Conditioning
    ) -> Float[Tensor, "b c y x"]:
        """Returns the noise that the network finds, with classifier-free guidance where there is some; differentiable in the latents.

        `time` is on the device, so that nothing waits for it.
        """
        noise = self._predict(latents, time, conditioning).float()
        seen = torch.cat([latents, latents]) if conditioning.is_guided else latents
        match self.trained_with.prediction_type:
            case "v_prediction":
                signal, spread = self.amounts(time)
                noise = signal * noise + spread * seen
            case "sample":
                signal, spread = self.amounts(time)
                noise = (seen - signal * noise) / spread
        return guided(noise, conditioning)

    def _predict(self, latents: Float[Tensor, "b c y x"], time: Tensor, conditioning: Conditioning) -> Float[Tensor, "n c y x"]:
        """Returns the network's output, both halves of a guided batch in one pass."""
        unet = self.pipeline.unet
        seen = torch.cat([latents, latents]) if conditioning.is_guided else latents
        with of_network(self.device):
            output = unet(seen.to(unet.dtype), time, encoder_hidden_states=conditioning.tokens, **conditioning.others, return_dict=False)
        return cast(Tensor, output[0])

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Returns pictures, about in [0, 1]; differentiable."""
        vae, (mean, std) = self.pipeline.vae, self._latent_statistics()
        with of_network(self.device):
            drawn = vae.decode(latents.to(vae.dtype) * std / vae.config.scaling_factor + mean).sample
        return cast(Tensor, drawn.float() / 2 + 0.5)

    def encode(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Latents of pictures in [0, 1]."""
        vae, (mean, std) = self.pipeline.vae, self._latent_statistics()
        seen = (pictures * 2 - 1).to(self.device, vae.dtype)
        return cast(Tensor, (vae.encode(seen).latent_dist.mean.float() - mean) * vae.config.scaling_factor / std)

    def _latent_statistics(self) -> tuple[Tensor | float, Tensor | float]:
        """Returns mean and deviation that an XL's latents are normalised by, channel by channel; 0 and 1 where it names none."""
        vae = self.pipeline.vae
        means, deviations = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if not (self.is_xl and means and deviations):
            return 0.0, 1.0
        mean, std = (constant(tuple(v), torch.device(self.device)).view(1, -1, 1, 1).to(vae.dtype) for v in (means, deviations))
        return mean, std


def prepare_for_gpu(pipeline: Any) -> None:
    """Lays the weights of a pipeline's convolutions out as a GPU's kernels want them, and has networks compiled where that is asked for.

    Attention is diffusers' own, which calls `scaled_dot_product_attention`.
    """
    for network in (pipeline.unet, pipeline.vae):
        network.to(memory_format=torch.channels_last)
    compile_if_asked(pipeline.unet)
    compile_if_asked(pipeline.vae.decoder)


def guided(output: Float[Tensor, "n c y x"], conditioning: Conditioning) -> Float[Tensor, "b c y x"]:
    """Returns what classifier-free guidance makes of both halves of the network's output (Ho & Salimans, 2021)."""
    if not conditioning.is_guided:
        return output
    without, with_text = output.chunk(2)
    return without + conditioning.guidance_scale * (with_text - without)


LEFT_OUT: dict[str, Any] = {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None, "image_encoder": None}
"""Parts that published folders name in `model_index.json`, and that no engine uses: they are neither downloaded nor read."""


@pooled
def load_stable_diffusion(weights: WeightsName, model: str, device: str) -> StableDiffusion:
    """Returns the starter pipeline, or a published one by its name or folder, from safetensors alone.

    Raises WeightsError when there is none, or a file of it is missing or damaged.
    """
    folder, name, sha256 = find_folder(weights, "starter-diffusion", model)
    return StableDiffusion(open_pipeline(folder, name, device, **LEFT_OUT), name, sha256, device)
