"""Stable Diffusion in folders of diffusers.

Sizes: the published `config.json` of each part (those of the UNets agree with `v1-inference.yaml`, `v2-inference-v.yaml` and
`sd_xl_base.yaml` of the original repositories). Names of tensors: those of the published files, some of which diffusers and
transformers have since changed.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamsweep.models.stable_diffusion import load_stable_diffusion
from dreamsweep.spec import Prompt
from tests.dreamsweep.weights.vectors.clip_parts import TEXT, build_text, text_settings, tokens, write_tokenizer, write_tower
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values, vary

Settings = dict[str, Any]
TIME = 400
LATENTS = (1, 4, 8, 8)
SINCE_RENAMED = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
"""Names of the attention in an autoencoder's middle block: today's, and those of 2022."""


@dataclass(frozen=True)
class Folder:
    """The settings of a published pipeline's parts."""

    index: Settings
    scheduler: Settings
    texts: tuple[Settings, ...]
    unet: Settings
    vae: Settings
    paddings: tuple[str, ...] = ("<|endoftext|>",)
    old_names: bool = True
    half: bool = False

    @property
    def small(self) -> "Folder":
        """The same pipeline with next to nothing in it."""
        count = len(self.unet["block_out_channels"])
        heads = [1] * count if isinstance(self.unet["attention_head_dim"], list) else 1
        unet = {"block_out_channels": [32] * count, "layers_per_block": 1, "attention_head_dim": heads, "norm_num_groups": 8}
        texts = [
            {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 16}
        ] * len(self.texts)
        unet["cross_attention_dim"] = 16 * len(texts)
        if len(texts) > 1:
            unet |= {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 6 * 8 + 16, "transformer_layers_per_block": 1}
        vae = {"block_out_channels": [16] * 4, "layers_per_block": 1, "norm_num_groups": 8}
        return Folder(
            self.index,
            self.scheduler,
            tuple({**text, **less} for text, less in zip(self.texts, texts, strict=True)),
            {**self.unet, **unet},
            {**self.vae, **vae},
            self.paddings,
            self.old_names,
            self.half,
        )


def _index(version: str, pipeline: str = "StableDiffusionPipeline", **parts: Any) -> Settings:
    listed = {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    listed |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    return {"_class_name": pipeline, "_diffusers_version": version, **listed, **parts}


NOISE: Settings = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
NOISE |= {"set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None}
UNET: Settings = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": False,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"], "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
    "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": 32,
}  # fmt: skip
VAE: Settings = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [128, 256, 512, 512], "in_channels": 3, "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "latent_channels": 4,
    "layers_per_block": 2, "norm_num_groups": 32,
}  # fmt: skip
EXTRACTOR = ["transformers", "CLIPImageProcessor"]

PUBLISHED = {
    "stable-diffusion-1.5": Folder(
        _index(
            "0.6.0", scheduler=["diffusers", "PNDMScheduler"], feature_extractor=EXTRACTOR,
            safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        ),
        {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **NOISE, "clip_sample": False},
        (text_settings(768, 12, 12, 768),),
        {**UNET, "_diffusers_version": "0.6.0", "attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64},
        {**VAE, "_diffusers_version": "0.6.0", "sample_size": 512},
    ),
    "stable-diffusion-2.1": Folder(
        _index(
            "0.8.0", scheduler=["diffusers", "DDIMScheduler"], feature_extractor=EXTRACTOR, safety_checker=[None, None],
            requires_safety_checker=False,
        ),
        {"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", **NOISE, "clip_sample": False, "prediction_type": "v_prediction"},
        (text_settings(1024, 23, 16, 512, "gelu"),),
        {
            **UNET, "_diffusers_version": "0.10.0.dev0", "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024,
            "sample_size": 96, "dual_cross_attention": False, "use_linear_projection": True, "upcast_attention": True,
        },
        {**VAE, "_diffusers_version": "0.10.0.dev0", "sample_size": 768},
        paddings=("!",),
    ),
    "stable-diffusion-xl": Folder(
        _index(
            "0.19.0.dev0", "StableDiffusionXLPipeline", scheduler=["diffusers", "EulerDiscreteScheduler"],
            force_zeros_for_empty_prompt=True, add_watermarker=None,
            text_encoder_2=["transformers", "CLIPTextModelWithProjection"], tokenizer_2=["transformers", "CLIPTokenizer"],
        ),
        {
            "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", **NOISE, "clip_sample": False,
            "interpolation_type": "linear", "prediction_type": "epsilon", "sample_max_value": 1.0, "timestep_spacing": "leading",
            "use_karras_sigmas": False,
        },
        (text_settings(768, 12, 12, 768), text_settings(1280, 32, 20, 1280, "gelu")),
        {
            **UNET, "_diffusers_version": "0.19.0.dev0", "addition_embed_type": "text_time", "addition_embed_type_num_heads": 64,
            "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
            "cross_attention_dim": 2048, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "projection_class_embeddings_input_dim": 2816,
            "sample_size": 128, "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
        },
        {**VAE, "_diffusers_version": "0.20.0.dev0", "force_upcast": True, "sample_size": 1024, "scaling_factor": 0.13025},
        paddings=("<|endoftext|>", "!"),
        old_names=False,
        half=True,
    ),
}  # fmt: skip


def write(name: str, folder: Path, full: bool) -> Outputs:
    """Writes a folder part by part, holding one network at a time; returns what each part makes of fixed inputs."""
    published = PUBLISHED[name] if full else PUBLISHED[name].small
    _write_json(folder / "model_index.json", published.index)
    _write_json(folder / "scheduler" / "scheduler_config.json", published.scheduler)
    with random_values():
        outputs = _write_texts(folder, published)
        outputs |= _write_unet(folder / "unet", published, outputs)
        return outputs | _write_vae(folder / "vae", published)


def _write_texts(folder: Path, published: Folder) -> Outputs:
    """Writes tokenizers and text towers; returns the condition that the pipelines' papers define."""
    hidden, pooled = [], None
    for number, (settings, padding) in enumerate(zip(published.texts, published.paddings, strict=True)):
        last = f"_{number + 1}" if number else ""
        write_tokenizer(folder / f"tokenizer{last}", padding)
        tower = build_text(settings, projected=number > 0)
        if published.half:
            _round(tower)
        encoded = tower(tokens(0 if padding == "!" else 49407), output_hidden_states=True)
        hidden.append(encoded.hidden_states[-2] if len(published.texts) > 1 else encoded.last_hidden_state)
        pooled = encoded.text_embeds if number else None
        write_tower(folder / f"text_encoder{last}", tower, settings, "text_model", published.half)
    return {"condition": torch.cat(hidden, 2)[0]} | ({"pooled": pooled[0]} if pooled is not None else {})


def _write_unet(folder: Path, published: Folder, texts: Outputs) -> Outputs:
    """Writes the UNet; returns the noise that it sees in fixed latents."""
    import diffusers

    kind: Any = diffusers.UNet2DConditionModel
    unet = vary(kind.from_config(published.unet))
    if published.half:
        _round(unet)
    latents, side = fixed(*LATENTS), 8 * LATENTS[-1]
    sizes = torch.tensor([[side, side, 0, 0, side, side]], dtype=torch.float32)
    more = {"added_cond_kwargs": {"text_embeds": texts["pooled"][None], "time_ids": sizes}} if "pooled" in texts else {}
    predicted = unet(latents, TIME, encoder_hidden_states=texts["condition"][None], **more).sample
    if published.scheduler.get("prediction_type") == "v_prediction":
        kept = torch.linspace(0.00085**0.5, 0.012**0.5, 1000).square().neg().add(1).cumprod(0)[TIME]
        predicted = kept.sqrt() * predicted + (1 - kept).sqrt() * latents
    _write_weights(folder, unet, published.unet, published.half)
    return {"noise": predicted}


def _write_vae(folder: Path, published: Folder) -> Outputs:
    """Writes the autoencoder; returns a picture of fixed latents, and latents of a fixed picture."""
    import diffusers

    kind: Any = diffusers.AutoencoderKL
    vae: Any = vary(kind.from_config(published.vae))
    if published.half:
        _round(vae)
    scale = published.vae.get("scaling_factor", 0.18215)
    picture = vae.decode(fixed(*LATENTS) / scale).sample / 2 + 0.5
    latents = vae.encode(2 * fixed(1, 3, 32, 32) - 1).latent_dist.mean * scale
    _write_weights(folder, vae, published.vae, published.half, SINCE_RENAMED if published.old_names else {})
    return {"picture": picture, "latents": latents}


def _round(network: nn.Module) -> None:
    """Rounds weights to half precision, a tensor at a time, and leaves them in single."""
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()


def _write_weights(folder: Path, network: nn.Module, settings: Settings, half: bool, renamed: dict[str, str] | None = None) -> None:
    """Writes a part as diffusers does, under other names where the published file has them; a half-precise network is halved in place."""
    _write_json(folder / "config.json", settings)
    state = (network.half() if half else network).state_dict()
    state = {_old_name(key, renamed or {}): value.contiguous() for key, value in state.items()}
    save_file(state, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


def _old_name(key: str, renamed: dict[str, str]) -> str:
    if ".attentions." in key:
        for now, then in renamed.items():
            key = key.replace(f".{now}.", f".{then}.")
    return key


def _write_json(path: Path, settings: Settings) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=2))


@torch.no_grad()
def read(name: str) -> Outputs:
    """Returns what the engines' pipeline makes of the same."""
    model = load_stable_diffusion("published", name, "cpu")
    condition = model.condition(TEXT, Prompt(text=TEXT))
    outputs: dict[str, Tensor | None] = {"condition": condition.tokens, "pooled": condition.pooled}
    conditioning = model.conditioning([condition], [], 1.0, LATENTS[-1] * model.pipeline.vae_scale_factor)
    outputs["noise"] = model.predict_noise(fixed(*LATENTS), torch.tensor(TIME), conditioning)
    outputs |= {"picture": model.decode(fixed(*LATENTS)), "latents": model.encode(fixed(1, 3, 32, 32))}
    return {key: value for key, value in outputs.items() if value is not None}


STABLE_DIFFUSIONS = {name: Vector(partial(write, name), partial(read, name)) for name in PUBLISHED}
