"""unCLIP (Ramesh et al., DALL-E 2, 2022) in the stock classes of diffusers: texts and pictures to embeddings, embeddings to pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dreamsweep.perceptors.starter import normalise_pixels
from dreamsweep.pipelines import READ_ERRORS, find_folder, freeze, quiet, unreadable
from dreamsweep.spec import WeightsName


@dataclass(frozen=True)
class Caption:
    """What texts tell the prior and the decoder."""

    embedding: Float[Tensor, "n d"]
    hidden: Float[Tensor, "n t w"]
    mask: Bool[Tensor, "n t"]

    def __add__(self, other: "Caption") -> "Caption":
        parts = zip((self.embedding, self.hidden, self.mask), (other.embedding, other.hidden, other.mask), strict=True)
        return Caption(*(torch.cat(pair) for pair in parts))


class Unclip:
    """Prior, decoder and upsamplers, frozen on a device. Every item of a batch has a generator of its own, used in order."""

    def __init__(self, pipeline: Any, look: Callable[[Tensor], Tensor], name: str, sha256: str, device: str) -> None:
        self.pipeline, self._look = pipeline, look
        self.name, self.sha256, self.device = name, sha256, device

    @property
    def image_size(self) -> int:
        """Pixels on a side of what the upsamplers draw."""
        return int(self.pipeline.super_res_first.config.sample_size)

    @torch.no_grad()
    def embed_pictures(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Image embeddings of pictures in [0, 1], as the decoder takes them."""
        return self._look(pictures.to(self.device))

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> Caption:
        """Captions of texts, cut to the tokenizer's context."""
        tokenizer = self.pipeline.tokenizer
        with quiet():
            found = tokenizer(
                list(texts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
            )
        told = self.pipeline.text_encoder(found.input_ids.to(self.device))
        return Caption(told.text_embeds, told.last_hidden_state, found.attention_mask.bool().to(self.device))

    @torch.no_grad()
    def imagine(self, caption: Caption, randomness: list[torch.Generator], steps: int, guidance_scale: float) -> Float[Tensor, "n d"]:
        """Image embeddings that the diffusion prior draws for captions."""
        prior, guided = self.pipeline.prior, guidance_scale > 1
        told = self.read([""] * len(caption.mask)) + caption if guided else caption

        def predict(latents: Tensor, time: Tensor, last: bool) -> Tensor:
            found: Tensor = prior(
                torch.cat([latents, latents]) if guided else latents,
                timestep=time,
                proj_embedding=told.embedding,
                encoder_hidden_states=told.hidden,
                attention_mask=told.mask,
            ).predicted_image_embedding
            return _guided(found, guidance_scale) if guided else found

        start = self._noise((prior.config.embedding_dim,), randomness, told.embedding.dtype)
        drawn = self._denoise(self.pipeline.prior_scheduler, steps, start, randomness, predict)
        return cast(Tensor, prior.post_process_latents(drawn))

    @torch.no_grad()
    def draw(
        self,
        embeddings: Float[Tensor, "n d"],
        caption: Caption,
        randomness: list[torch.Generator],
        steps: int,
        guidance_scale: float,
        upsample_steps: int,
    ) -> Float[Tensor, "n 3 h w"]:
        """Pictures in [0, 1] of image embeddings, with captions beside them."""
        parts, guided = self.pipeline, guidance_scale > 1
        told = self.read([""] * len(caption.mask)) + caption if guided else caption
        hidden, additive = parts.text_proj(
            image_embeddings=embeddings.to(told.embedding.dtype),
            prompt_embeds=told.embedding,
            text_encoder_hidden_states=told.hidden,
            do_classifier_free_guidance=guided,
        )
        mask = F.pad(told.mask, (parts.text_proj.clip_extra_context_tokens, 0), value=True)
        channels, side = parts.decoder.config.in_channels, parts.decoder.config.sample_size

        def predict(latents: Tensor, time: Tensor, last: bool) -> Tensor:
            seen = torch.cat([latents, latents]) if guided else latents
            found: Tensor = parts.decoder(seen, time, encoder_hidden_states=hidden, class_labels=additive, attention_mask=mask).sample
            if not guided:
                return found
            noise, variance = found[:, :channels], found[:, channels:].chunk(2)[1]
            return torch.cat([_guided(noise, guidance_scale), variance], 1)

        start = self._noise((channels, side, side), randomness, hidden.dtype)
        small = self._denoise(parts.decoder_scheduler, steps, start, randomness, predict).clamp(-1, 1)
        return self._upsample(small, randomness, upsample_steps)

    def _upsample(self, small: Tensor, randomness: list[torch.Generator], steps: int) -> Tensor:
        parts, side = self.pipeline, self.image_size
        blurred = F.interpolate(small, size=[side, side], mode="bicubic", align_corners=False, antialias=True)

        def predict(latents: Tensor, time: Tensor, last: bool) -> Tensor:
            network = parts.super_res_last if last else parts.super_res_first
            return cast(Tensor, network(torch.cat([latents, blurred], 1), time).sample)

        start = self._noise((parts.super_res_first.config.in_channels // 2, side, side), randomness, small.dtype)
        drawn = self._denoise(parts.super_res_scheduler, steps, start, randomness, predict)
        return (drawn.float() / 2 + 0.5).clamp(0, 1)

    def _noise(self, shape: tuple[int, ...], randomness: list[torch.Generator], dtype: torch.dtype) -> Tensor:
        drawn = torch.stack([torch.randn(shape, generator=rng, dtype=dtype) for rng in randomness])
        return drawn.to(self.device)

    def _denoise(
        self,
        scheduler: Any,
        steps: int,
        latents: Tensor,
        randomness: list[torch.Generator],
        predict: Callable[[Tensor, Tensor, bool], Tensor],
    ) -> Tensor:
        scheduler.set_timesteps(steps, device=self.device)
        times = scheduler.timesteps
        latents = latents * scheduler.init_noise_sigma
        for at, time in enumerate(times):
            last = at + 1 == len(times)
            told = predict(latents, time, last)
            after = None if last else times[at + 1]
            latents = scheduler.step(told, timestep=time, sample=latents, prev_timestep=after, generator=randomness).prev_sample
        return latents


def _guided(found: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance of predictions without and with the caption, one half each."""
    without, with_caption = found.chunk(2)
    return without + scale * (with_caption - without)


@cache
def load_unclip(weights: WeightsName, model: str, device: str) -> Unclip:
    """The starter unCLIP, or a published one by its name or folder, from safetensors alone.

    Raises WeightsError when there is none, or a file of it is missing or damaged.
    """
    folder, name, sha256 = find_folder(weights, "starter-unclip", model)
    try:
        pipeline = freeze(_assemble(folder, torch.float16 if device.startswith("cuda") else torch.float32), device)
    except READ_ERRORS as error:
        raise unreadable(name, folder, error) from None
    return Unclip(pipeline, _image_encoder(folder, weights, device), name, sha256, device)


def _assemble(folder: Path, dtype: torch.dtype) -> Any:
    """The stock pipeline from its parts, one by one: diffusers no longer finds all of them by the names in `model_index.json`."""
    with quiet():
        import diffusers
        import transformers
        from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

        untyped: Any = diffusers
        networks: dict[str, Any] = {
            "prior": diffusers.PriorTransformer,
            "decoder": diffusers.UNet2DConditionModel,
            "text_encoder": transformers.CLIPTextModelWithProjection,
            "text_proj": UnCLIPTextProjModel,
            "super_res_first": diffusers.UNet2DModel,
            "super_res_last": diffusers.UNet2DModel,
        }
        parts = {
            name: kind.from_pretrained(folder / name, local_files_only=True, use_safetensors=True, torch_dtype=dtype)
            for name, kind in networks.items()
        }
        parts["tokenizer"] = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        for name in ("prior_scheduler", "decoder_scheduler", "super_res_scheduler"):
            parts[name] = untyped.UnCLIPScheduler.from_pretrained(folder / name, local_files_only=True)
        return untyped.UnCLIPPipeline(**parts)


def _image_encoder(folder: Path, weights: WeightsName, device: str) -> Callable[[Tensor], Tensor]:
    """What embeds pictures, loaded when the first one comes: the starter's guide, or the CLIP that the decoder was trained with."""

    @cache
    def encoder() -> Any:
        if weights == "starter" and not (folder / "image_encoder").is_dir():
            from dreamsweep.perceptors import load_perceptor

            return load_perceptor("starter-guide", device)
        from transformers import CLIPVisionModelWithProjection

        from dreamsweep import weights as published

        whole = folder if (folder / "image_encoder").is_dir() else published.folder("karlo-image-encoder")
        kind: Any = CLIPVisionModelWithProjection
        with quiet():
            found = kind.from_pretrained(whole / "image_encoder", local_files_only=True, use_safetensors=True)
        return found.eval().requires_grad_(False).to(device)

    def look(pictures: Tensor) -> Tensor:
        found = encoder()
        side = found.resolution if hasattr(found, "resolution") else found.config.image_size
        seen = F.interpolate(pictures, size=(side, side), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
        if hasattr(found, "resolution"):
            return cast(Tensor, found.embed_pictures(seen))
        return cast(Tensor, found(normalise_pixels(seen)).image_embeds)

    return look
