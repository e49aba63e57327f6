"""karlo in diffusers' folder, and its picture encoder.

Sizes: `scripts/convert_kakao_brain_unclip_to_diffusers.py` of diffusers, which wrote the published folder, and CLIP's ViT-L/14.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamsweep.models.image_encoder import load_image_encoder
from dreamsweep.models.unclip import load_unclip
from tests.dreamsweep.weights.vectors.clip_parts import CONTEXT, TEXT, build_text, text_settings, tokens, write_tokenizer, write_tower
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values, vary

Settings = dict[str, Any]
TIME = 400
SIDE = 16
DECODER: Settings = {
    "sample_size": 64, "layers_per_block": 3, "down_block_types": ["ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3],
    "up_block_types": [*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"], "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "block_out_channels": [320, 640, 960, 1280], "in_channels": 3, "out_channels": 6, "cross_attention_dim": 1536,
    "class_embed_type": "identity", "attention_head_dim": 64, "resnet_time_scale_shift": "scale_shift",
}  # fmt: skip
UPSAMPLER: Settings = {
    "layers_per_block": 3, "down_block_types": ["ResnetDownsampleBlock2D"] * 4, "up_block_types": ["ResnetUpsampleBlock2D"] * 4,
    "block_out_channels": [320, 640, 960, 1280], "in_channels": 6, "out_channels": 3, "add_attention": False,
}  # fmt: skip
PUBLISHED: dict[str, Settings] = {
    "prior": {},  # the defaults of `PriorTransformer`
    "decoder": DECODER,
    "text_proj": {"clip_embeddings_dim": 768, "time_embed_dim": 4 * 320, "cross_attention_dim": 1536},
    "super_res_first": {**UPSAMPLER, "sample_size": 256},
    "super_res_last": UPSAMPLER,
}
TEXT_ENCODER = text_settings(768, 12, 12, 768)
SMALL: dict[str, Settings] = {
    "prior": {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1, "embedding_dim": 16},
    "decoder": {"layers_per_block": 1, "block_out_channels": [32] * 4, "cross_attention_dim": 16, "attention_head_dim": 8},
    "text_proj": {"clip_embeddings_dim": 16, "time_embed_dim": 4 * 32, "cross_attention_dim": 16},
    "super_res_first": {"layers_per_block": 1, "block_out_channels": [32] * 4},
    "super_res_last": {"layers_per_block": 1, "block_out_channels": [32] * 4},
}
SMALL_TOWER = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 16}
SCHEDULERS: dict[str, Settings] = {
    "prior_scheduler": {
        "variance_type": "fixed_small_log",
        "prediction_type": "sample",
        "num_train_timesteps": 1000,
        "clip_sample_range": 5.0,
    },
    "decoder_scheduler": {"variance_type": "learned_range", "prediction_type": "epsilon", "num_train_timesteps": 1000},
    "super_res_scheduler": {"variance_type": "fixed_small_log", "prediction_type": "epsilon", "num_train_timesteps": 1000},
}
PICTURE_ENCODER: Settings = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "projection_dim": 768,
    "image_size": 224, "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05, "model_type": "clip_vision_model",
    "num_channels": 3, "torch_dtype": "float32", "transformers_version": "4.25.0.dev0",
}  # fmt: skip


def write_karlo(folder: Path, full: bool) -> Outputs:
    """Writes the folder part by part, holding one network at a time; returns what each part makes of fixed inputs."""
    kinds = _kinds()
    index = {name: [kind.__module__.partition(".")[0], kind.__name__] for name, kind in kinds.items()}
    index |= {"text_encoder": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    index |= {name: ["diffusers", "UnCLIPScheduler"] for name in SCHEDULERS}
    _write_json(folder / "model_index.json", {"_class_name": "UnCLIPPipeline", "_diffusers_version": "0.10.0.dev0", **index})
    for name, settings in SCHEDULERS.items():
        _write_json(folder / name / "scheduler_config.json", {"_class_name": "UnCLIPScheduler", **settings})
    write_tokenizer(folder / "tokenizer")
    text = TEXT_ENCODER if full else {**TEXT_ENCODER, **SMALL_TOWER}
    with random_values():
        tower = build_text(text, projected=True)
        encoded = tower(tokens())
        write_tower(folder / "text_encoder", tower, text, "text_model")
        del tower
        outputs = {"embedding": encoded.text_embeds, "hidden": encoded.last_hidden_state}
        for name, kind in kinds.items():
            settings = PUBLISHED[name] if full else {**PUBLISHED[name], **SMALL[name]}
            network = vary(kind(**settings))
            outputs |= PART_OUTPUTS[name](network, outputs)
            _write_json(folder / name / "config.json", {"_class_name": kind.__name__, "_diffusers_version": "0.10.0.dev0", **settings})
            save_file(network.state_dict(), folder / name / "diffusion_pytorch_model.safetensors", {"format": "pt"})
            del network
        return outputs


def _kinds() -> dict[str, Any]:
    import diffusers
    from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

    untyped: Any = diffusers
    return {
        "prior": untyped.PriorTransformer,
        "text_proj": UnCLIPTextProjModel,
        "decoder": untyped.UNet2DConditionModel,
        "super_res_first": untyped.UNet2DModel,
        "super_res_last": untyped.UNet2DModel,
    }


def _of_prior(prior: nn.Module, texts: Outputs) -> Outputs:
    mask = torch.ones(1, CONTEXT, dtype=torch.bool)
    predicted = prior(
        fixed(1, texts["embedding"].shape[1]),
        timestep=TIME,
        proj_embedding=texts["embedding"],
        encoder_hidden_states=texts["hidden"],
        attention_mask=mask,
    )
    return {"prior": predicted.predicted_image_embedding, "lengthened": prior.post_process_latents(texts["embedding"])}  # type: ignore[operator]


def _of_projection(projection: nn.Module, texts: Outputs) -> Outputs:
    tokens_of_decoder, additive = projection(
        image_embeddings=fixed(1, texts["embedding"].shape[1]),
        prompt_embeds=texts["embedding"],
        text_encoder_hidden_states=texts["hidden"],
        do_classifier_free_guidance=False,
    )
    return {"decoder's tokens": tokens_of_decoder, "additive": additive}


def _of_decoder(decoder: nn.Module, texts: Outputs) -> Outputs:
    mask = torch.ones(1, texts["decoder's tokens"].shape[1], dtype=torch.bool)
    latents = fixed(1, 3, SIDE, SIDE)
    condition = {"encoder_hidden_states": texts["decoder's tokens"], "class_labels": texts["additive"], "attention_mask": mask}
    return {"decoder": decoder(latents, TIME, **condition).sample}


def _of_upsampler(name: str, upsampler: nn.Module, texts: Outputs) -> Outputs:
    return {name: upsampler(fixed(1, 6, SIDE, SIDE), TIME).sample}


PART_OUTPUTS: dict[str, Callable[[nn.Module, Outputs], Outputs]] = {
    "prior": _of_prior,
    "text_proj": _of_projection,
    "decoder": _of_decoder,
    "super_res_first": partial(_of_upsampler, "super_res_first"),
    "super_res_last": partial(_of_upsampler, "super_res_last"),
}


@torch.no_grad()
def read_karlo() -> Outputs:
    """Returns what the parts of the engine's pipeline make of the same."""
    model = load_unclip("published", "karlo", "cpu")
    caption = model.read([TEXT])
    outputs: dict[str, Tensor] = {"embedding": caption.embedding, "hidden": caption.hidden}
    for name, made_by in PART_OUTPUTS.items():
        outputs |= made_by(getattr(model.pipeline, name), outputs)
    return outputs


def write_picture_encoder(folder: Path, full: bool) -> Outputs:
    """Writes the picture encoder's files; returns its embeddings of fixed pictures."""
    from torchvision.transforms import Normalize
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    settings = PICTURE_ENCODER if full else {**PICTURE_ENCODER, **SMALL_TOWER, "image_size": 28}
    kind: Any = CLIPVisionModelWithProjection
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    with random_values():
        encoder = vary(kind(CLIPVisionConfig(**settings)))
        embedded: Tensor = encoder(Normalize(mean, std)(fixed(2, 3, settings["image_size"], settings["image_size"]))).image_embeds
    write_tower(folder / "image_encoder", encoder, settings, "vision_model")
    extractor = {"crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True, "image_mean": mean, "image_std": std}
    _write_json(folder / "feature_extractor" / "preprocessor_config.json", {"feature_extractor_type": "CLIPFeatureExtractor", **extractor})
    return {"pictures": embedded}


@torch.no_grad()
def read_picture_encoder() -> Outputs:
    """Returns what embeds pictures for a folder that has no encoder of its own."""
    encoder = load_image_encoder(Path("karlo"), "cpu")
    return {"pictures": encoder.embed(fixed(2, 3, encoder.resolution, encoder.resolution))}


def _write_json(path: Path, settings: Settings) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=2))


UNCLIPS = {"karlo": Vector(write_karlo, read_karlo), "karlo-image-encoder": Vector(write_picture_encoder, read_picture_encoder)}
