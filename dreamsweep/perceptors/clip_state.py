"""The state dict of a CLIP with a vision transformer, as OpenAI's `clip` names it and open_clip after it, for transformers' CLIPModel.

There, attention is fused (`scaled_dot_product_attention`) and no layer leaves the network's precision.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dreamsweep.compute.model_folders import quiet


@dataclass(frozen=True)
class Layout:
    """What the shapes of a state dict do not say."""

    picture_head: int
    """Width of an attention head of the picture tower."""
    text_head: int
    activation: str
    """Name of the function in each block's middle, as transformers has it."""


OPENAI = Layout(picture_head=64, text_head=64, activation="quick_gelu")
"""OpenAI's ViTs (`clip.model`)."""
VIT_H = Layout(picture_head=80, text_head=64, activation="gelu")
"""open_clip's configuration `ViT-H-14`."""
NUMBERS = {"input_resolution", "context_length", "vocab_size"}
"""Sizes that OpenAI's archives hold among the tensors."""
LAYER = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.(.+)$")
TOWERS = {"visual.": "vision_model", None: "text_model"}
NAMES = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "logit_scale": "logit_scale",
}
PROJECTIONS = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
"""Matrices that are multiplied from the right."""
PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def clip_model(state: Mapping[str, Tensor], layout: Layout, dtype: torch.dtype) -> Any:
    """Returns transformers' CLIPModel with the weights of a state dict. Raises KeyError or RuntimeError where they do not fit."""
    with quiet():
        from transformers import CLIPConfig, CLIPModel

        model: Any = CLIPModel(CLIPConfig(**settings_of(state, layout)))
        model.load_state_dict(renamed(state))
    return model.to(dtype)


def settings_of(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Any]:
    """Returns the arguments of transformers' CLIPConfig for a state dict, by the shapes of its tensors.

    Raises KeyError where a tensor is missing.
    """
    kernel, positions = state["visual.conv1.weight"], state["visual.positional_embedding"]
    words = state["token_embedding.weight"]
    side = round((len(positions) - 1) ** 0.5)
    picture = {
        **_tower(state, "visual.", layout.picture_head, layout.activation),
        "patch_size": kernel.shape[-1],
        "image_size": side * kernel.shape[-1],
    }
    text = {
        **_tower(state, "", layout.text_head, layout.activation),
        "vocab_size": len(words),
        "max_position_embeddings": len(state["positional_embedding"]),
    }
    return {"projection_dim": state["text_projection"].shape[1], "vision_config": picture, "text_config": text}


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns a state dict under the names of transformers' CLIPModel. Raises KeyError for a tensor that neither knows."""
    return {name: tensor for key, value in state.items() if key not in NUMBERS for name, tensor in _renamed(key, value)}


def _tower(state: Mapping[str, Tensor], prefix: str, head: int, activation: str) -> dict[str, Any]:
    layers = {match[2] for key in state if (match := LAYER.match(key)) and (match[1] or "") == prefix}
    inner, width = state[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"].shape
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": len(layers),
        "num_attention_heads": width // head,
        "hidden_act": activation,
    }


def _renamed(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    match = LAYER.match(key)
    if match is None:
        if key in PROJECTIONS:
            yield PROJECTIONS[key], value.T.contiguous()
        else:
            yield NAMES[key], value
        return
    layer = f"{TOWERS[match[1]]}.encoder.layers.{match[2]}"
    part, _, kind = match[3].rpartition(".")
    if match[3].startswith("attn.in_proj_"):
        kind = match[3].removeprefix("attn.in_proj_")
        for name, third in zip("qkv", value.chunk(3), strict=True):
            yield f"{layer}.self_attn.{name}_proj.{kind}", third
    else:
        yield f"{layer}.{PARTS[part]}.{kind}", value
