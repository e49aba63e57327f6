"""unCLIP (Ramesh et al., DALL-E 2, 2022) in the stock classes of diffusers: texts and pictures to embeddings, embeddings to pictures."""

import threading
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.model_folders import READ_ERRORS, quiet
from dreamsweep.compute.pool import pooled
from dreamsweep.compute.precision import of_network
from dreamsweep.errors import WeightsError
from dreamsweep.models.autoregressive_prior import FILE, AutoregressivePrior, load_prior
from dreamsweep.models.caption import Caption
from dreamsweep.models.image_encoder import ImageEncoder, load_image_encoder
from dreamsweep.models.pipelines import Onto, freeze, unreadable
from dreamsweep.spec import UnclipSpec, WeightsName
from dreamsweep.weights.hashes import find_folder


class Unclip:
    """Priors, decoder and upsamplers, frozen on a device. Every item of a batch has a generator of its own, used in order.

    Several threads may use it at once: no call changes it.
    """

    def __init__(self, pipeline: Any, folder: Path, name: str, sha256: str, device: str) -> None:
        self.pipeline, self.folder = pipeline, folder
        self.name, self.sha256, self.device = name, sha256, device
        self._tokenizing = threading.Lock()  # a tokenizer of transformers sets its truncation anew in each call

    @property
    def image_size(self) -> int:
        """Pixels on a side of what the upsamplers draw."""
        return int(self.pipeline.super_res_first.config.sample_size)

    @torch.no_grad()
    def embed_pictures(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Returns image embeddings of pictures in [0, 1], as the decoder takes them."""
        side = self.image_encoder.resolution
        seen = F.interpolate(pictures.to(self.device), size=(side, side), mode="bicubic", align_corners=False, antialias=True)
        return self.image_encoder.embed(seen.clamp(0, 1))

    @property
    def image_encoder(self) -> ImageEncoder:
        """What embeds pictures, loaded when it is first used. Raises WeightsError when it cannot be."""
        return load_image_encoder(self.folder, self.device)

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> Caption:
        """Captions of texts, cut to the tokenizer's context."""
        tokenizer = self.pipeline.tokenizer
        with quiet(), self._tokenizing:
            tokens = tokenizer(
                list(texts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
            )
        encoder = self.pipeline.text_encoder
        with of_network(self.device):
            caption = encoder(tokens.input_ids.to(self.device))
        mask = tokens.attention_mask.bool().to(self.device)
        return Caption(caption.text_embeds.to(encoder.dtype), caption.last_hidden_state.to(encoder.dtype), mask)

    @property
    def typical_length(self) -> Float[Tensor, ""]:
        """Of an image embedding, by the diffusion prior's mean and standard deviation of them."""
        prior = self.pipeline.prior
        return cast(Tensor, torch.cat([prior.clip_mean, prior.clip_std]).float().norm())

    @torch.no_grad()
    def imagine(self, caption: Caption, randomness: list[torch.Generator], spec: UnclipSpec) -> Float[Tensor, "n d"]:
        """Returns image embeddings that the prior draws for captions: of several for each, the one nearest to the text's.

        Raises WeightsError when the spec asks for the autoregressive prior and there is none.
        """
        drawn = torch.stack([self._imagined(caption, randomness, spec) for _ in range(spec.prior_samples)])
        nearest = F.cosine_similarity(drawn, caption.embedding[None], dim=2).argmax(0)
        return drawn[nearest, torch.arange(len(nearest))]

    def _imagined(self, caption: Caption, randomness: list[torch.Generator], spec: UnclipSpec) -> Float[Tensor, "n d"]:
        match spec.prior:
            case "diffusion":
                return self._diffused(caption, randomness, spec.prior_steps, spec.prior_scale)
            case "autoregressive":
                prior = self._autoregressive_prior("prior: autoregressive")
                with of_network(self.device):
                    return prior.sample(caption, randomness, spec.prior_scale).to(caption.embedding.dtype)

    def rebuild(self, embeddings: Float[Tensor, "n d"], components: int) -> Float[Tensor, "n d"]:
        """Returns image embeddings with their first principal components alone (the paper's §3.3).

        Raises WeightsError when the model does not know them, or has fewer.
        """
        prior = self._autoregressive_prior(f"components: {components}")
        if components > prior.shape.embed:
            raise WeightsError(
                f"weights {self.name!r}: components: {components} is more than its embeddings have; say {prior.shape.embed} or less."
            )
        return prior.rebuild(embeddings, components).to(embeddings.dtype)

    def _autoregressive_prior(self, setting: str) -> AutoregressivePrior:
        """Returns the prior that also knows the principal components; `setting` is what needs it, as a sweep file spells it."""
        if not (self.folder / FILE).is_file():
            raise WeightsError(
                f"weights {self.name!r}: {setting} needs an autoregressive prior, and there is no {self.folder / FILE}; leave it out, or "
                "set weights: starter."
            )
        return load_prior(self.folder / FILE, self.device)

    def _diffused(self, caption: Caption, randomness: list[torch.Generator], steps: int, guidance_scale: float) -> Float[Tensor, "n d"]:
        prior, guided = self.pipeline.prior, guidance_scale > 1
        captions = self.read([""] * len(caption.mask)) + caption if guided else caption

        def predict(latents: Tensor, time: Tensor, last: bool) -> Tensor:
            embedding: Tensor = prior(
                torch.cat([latents, latents]) if guided else latents,
                timestep=time,
                proj_embedding=captions.embedding,
                encoder_hidden_states=captions.hidden,
                attention_mask=captions.mask,
            ).predicted_image_embedding
            return _guided(embedding, guidance_scale) if guided else embedding

        start = self._noise((prior.config.embedding_dim,), randomness, captions.embedding.dtype)
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
        onto: Onto | None = None,
    ) -> Float[Tensor, "n 3 h w"]:
        """Returns pictures in [0, 1] of image embeddings, with captions beside them; from noise, or from pictures with noise on them."""
        parts, guided = self.pipeline, guidance_scale > 1
        captions = self.read([""] * len(caption.mask)) + caption if guided else caption
        hidden, additive = parts.text_proj(
            image_embeddings=embeddings.to(captions.embedding.dtype),
            prompt_embeds=captions.embedding,
            text_encoder_hidden_states=captions.hidden,
            do_classifier_free_guidance=guided,
        )
        mask = F.pad(captions.mask, (parts.text_proj.clip_extra_context_tokens, 0), value=True)
        channels, side = parts.decoder.config.in_channels, parts.decoder.config.sample_size

        def predict(latents: Tensor, time: Tensor, last: bool) -> Tensor:
            seen = torch.cat([latents, latents]) if guided else latents
            noise: Tensor = parts.decoder(seen, time, encoder_hidden_states=hidden, class_labels=additive, attention_mask=mask).sample
            if not guided:
                return noise
            mean, variance = noise[:, :channels], noise[:, channels:].chunk(2)[1]
            return torch.cat([_guided(mean, guidance_scale), variance], 1)

        start = self._noise((channels, side, side), randomness, hidden.dtype)
        if onto is not None:
            shrunk = F.interpolate(onto.pictures, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
            onto = Onto(shrunk.to(start) * 2 - 1, onto.strength)
        small = self._denoise(parts.decoder_scheduler, steps, start, randomness, predict, onto).clamp(-1, 1)
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
        onto: Onto | None = None,
    ) -> Tensor:
        scheduler = copy(scheduler)  # its steps belong to this call, whatever other threads do
        scheduler.set_timesteps(steps, device=self.device)
        times = scheduler.timesteps
        latents = latents * scheduler.init_noise_sigma
        if onto is not None:
            times = times[onto.first_step(steps) :]
            latents = scheduler.add_noise(onto.pictures, latents, times[:1].expand(len(latents)))
        for at, time in enumerate(times):
            last = at + 1 == len(times)
            with of_network(self.device):
                prediction = predict(latents, time, last)
            after = None if last else times[at + 1]
            latents = scheduler.step(
                prediction.to(latents.dtype), timestep=time, sample=latents, prev_timestep=after, generator=randomness
            ).prev_sample
        return latents


def _guided(predictions: Tensor, scale: float) -> Tensor:
    """Applies classifier-free guidance to predictions without and with the caption, one half each."""
    without, with_caption = predictions.chunk(2)
    return without + scale * (with_caption - without)


@pooled
def load_unclip(weights: WeightsName, model: str, device: str) -> Unclip:
    """Returns the starter unCLIP, or a published one by its name or folder, from safetensors alone.

    Raises WeightsError when there is none, or a file of it is missing or damaged.
    """
    folder, name, sha256 = find_folder(weights, "starter-unclip", model)
    try:
        pipeline = freeze(_assemble(folder, torch.float16 if device.startswith("cuda") else torch.float32), device)
    except READ_ERRORS as error:
        raise unreadable(name, folder, error) from None
    return Unclip(pipeline, folder, name, sha256, device)


def _assemble(folder: Path, dtype: torch.dtype) -> Any:
    """Returns the stock pipeline from its parts, one by one: diffusers no longer finds all of them by the names in `model_index.json`."""
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
        }
        if (folder / "super_res_last").is_dir():
            networks["super_res_last"] = diffusers.UNet2DModel
        parts = {
            name: kind.from_pretrained(folder / name, local_files_only=True, use_safetensors=True, torch_dtype=dtype)
            for name, kind in networks.items()
        }
        parts.setdefault("super_res_last", parts["super_res_first"])  # a folder with one upsampler uses it for the last step as well
        parts["tokenizer"] = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        for name in ("prior_scheduler", "decoder_scheduler", "super_res_scheduler"):
            parts[name] = untyped.UnCLIPScheduler.from_pretrained(folder / name, local_files_only=True)
        return untyped.UnCLIPPipeline(**parts)
