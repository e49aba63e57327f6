"""Stable Diffusion 1, 2 and XL in the stock classes of diffusers: texts to conditions, conditions and noise to pictures."""

import threading
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.model_folders import quiet
from dreamsweep.compute.pool import pooled
from dreamsweep.compute.precision import of_network
from dreamsweep.models.pipelines import open_pipeline
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


class StableDiffusion:
    """A frozen pipeline on a device. Several threads may use it at once: no call changes it."""

    def __init__(self, pipeline: Any, name: str, sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.pipeline = pipeline
        self.trained_with = pipeline.scheduler.config
        self._tokenizing = threading.Lock()  # a tokenizer of transformers sets its truncation anew in each call
        self._alphas: Tensor = self.ddim(1).alphas_cumprod
        self.is_xl = hasattr(pipeline, "text_encoder_2")

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
    ) -> Float[Tensor, "n 3 h w"]:
        """Returns pictures in [0, 1], one a condition, each from its own noise (and generator, for schedulers that add more)."""
        factor = self.pipeline.vae_scale_factor
        pipeline = copy(self.pipeline)  # shares the networks; its scheduler and its state belong to this call, whatever other threads do
        return self._draw(
            pipeline, conditions, against, scheduler,
            latents=noise.to(self.device, self.pipeline.unet.dtype),
            generator=randomness,
            height=noise.shape[2] * factor,
            width=noise.shape[3] * factor,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
        )  # fmt: skip

    @torch.no_grad()
    def redraw(
        self,
        conditions: Sequence[Condition],
        against: Sequence[Condition],
        latents: Float[Tensor, "n c y x"],
        randomness: list[torch.Generator],
        strength: float,
        steps: int,
        guidance_scale: float,
        scheduler: SchedulerName,
    ) -> Float[Tensor, "n 3 h w"]:
        """Returns pictures in [0, 1] from latents of others, of which so much as `strength` is given up to noise: the last steps of
        `steps`, by the same share (SDEdit, Meng et al., 2022). For Stable Diffusion 1 and 2.
        """
        import diffusers

        kind: Any = diffusers.StableDiffusionImg2ImgPipeline  # untyped
        pipeline = kind(**self.pipeline.components, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        return self._draw(
            pipeline, conditions, against, scheduler,
            image=latents.to(self.device, self.pipeline.unet.dtype),
            generator=randomness,
            strength=strength,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
        )  # fmt: skip

    def _draw(
        self, pipeline: Any, conditions: Sequence[Condition], against: Sequence[Condition], scheduler: SchedulerName, **settings: Any
    ) -> Float[Tensor, "n 3 h w"]:
        """Returns what a pipeline of our networks draws of conditions."""
        import diffusers

        dtype = self.pipeline.unet.dtype
        texts = {
            "prompt_embeds": torch.stack([c.tokens for c in conditions]).to(dtype),
            "negative_prompt_embeds": torch.stack([c.tokens for c in against]).to(dtype),
        }
        if self.is_xl:
            texts["pooled_prompt_embeds"] = torch.stack([c.pooled for c in conditions if c.pooled is not None]).to(dtype)
            texts["negative_pooled_prompt_embeds"] = torch.stack([c.pooled for c in against if c.pooled is not None]).to(dtype)
        kind = getattr(diffusers, SCHEDULERS[scheduler])
        with quiet(), of_network(self.device):
            extra = {"skip_prk_steps": True} if scheduler == "pndm" else {}  # as Stable Diffusion's own configuration has it
            pipeline.scheduler = kind.from_config(self.trained_with, **extra)
            output = pipeline(**texts, **settings, output_type="pt")
        pictures: Tensor = output.images
        return pictures.float()

    def ddim(self, steps: int) -> Any:
        """Returns a DDIM scheduler of the model's own noise schedule, for noise predicted by `predict_noise`."""
        import diffusers

        kind: Any = diffusers.DDIMScheduler  # untyped
        scheduler = kind.from_config(self.trained_with, prediction_type="epsilon", clip_sample=False)
        scheduler.set_timesteps(steps)
        return scheduler

    def predict_noise(
        self,
        latents: Float[Tensor, "b c y x"],
        time: int,
        conditions: Sequence[Condition],
        against: Sequence[Condition],
        guidance_scale: float,
    ) -> Float[Tensor, "b c y x"]:
        """Returns the noise that the network finds, with classifier-free guidance where the scale is above 1; differentiable in the
        latents.
        """
        guided = guidance_scale > 1
        texts, seen = ([*against, *conditions], torch.cat([latents, latents])) if guided else (conditions, latents)
        dtype, more = self.pipeline.unet.dtype, {}
        if self.is_xl:
            side = latents.shape[-1] * self.pipeline.vae_scale_factor
            pooled = torch.stack([c.pooled for c in texts if c.pooled is not None]).to(dtype)
            sizes = torch.tensor([side, side, 0, 0, side, side], device=self.device, dtype=dtype).expand(len(texts), 6)
            more = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
        tokens = torch.stack([c.tokens for c in texts]).to(dtype)
        with of_network(self.device):
            noise = self.pipeline.unet(seen.to(dtype), time, encoder_hidden_states=tokens, **more).sample.float()
        kept = float(self._alphas[time])
        match self.trained_with.prediction_type:
            case "v_prediction":
                noise = kept**0.5 * noise + (1 - kept) ** 0.5 * seen
            case "sample":
                noise = (seen - kept**0.5 * noise) / (1 - kept) ** 0.5
        if not guided:
            return cast(Tensor, noise)
        without, with_text = noise.chunk(2)
        return cast(Tensor, without + guidance_scale * (with_text - without))

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Returns pictures, about in [0, 1]; differentiable."""
        vae = self.pipeline.vae
        with of_network(self.device):
            drawn = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
        return cast(Tensor, drawn.float() / 2 + 0.5)

    def encode(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Latents of pictures in [0, 1]."""
        vae = self.pipeline.vae
        seen = (pictures * 2 - 1).to(self.device, vae.dtype)
        return cast(Tensor, vae.encode(seen).latent_dist.mean.float() * vae.config.scaling_factor)


LEFT_OUT: dict[str, Any] = {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None, "image_encoder": None}
"""Parts that published folders name in `model_index.json`, and that no engine uses: they are neither downloaded nor read."""


@pooled
def load_stable_diffusion(weights: WeightsName, model: str, device: str) -> StableDiffusion:
    """Returns the starter pipeline, or a published one by its name or folder, from safetensors alone.

    Raises WeightsError when there is none, or a file of it is missing or damaged.
    """
    folder, name, sha256 = find_folder(weights, "starter-diffusion", model)
    return StableDiffusion(open_pipeline(folder, name, device, **LEFT_OUT), name, sha256, device)
