"""A ViT-H/14 in the format of open_clip (HPSv2.1), as transformers' CLIPModel: other names, and keys, queries and values apart."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

PICTURE_HEAD, TEXT_HEAD = 80, 64
"""Width of an attention head (open_clip's configuration `ViT-H-14`), which no tensor's shape tells."""
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
"""Matrices that open_clip multiplies from the right."""
PARTS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def settings_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Returns the arguments of transformers' CLIPConfig for a state dict of open_clip, by the shapes of its tensors.

    Raises KeyError where a tensor is missing.
    """
    kernel, positions = state["visual.conv1.weight"], state["visual.positional_embedding"]
    words = state["token_embedding.weight"]
    side = round((len(positions) - 1) ** 0.5)
    picture = {
        **_tower(state, "visual.", PICTURE_HEAD),
        "patch_size": kernel.shape[-1],
        "image_size": side * kernel.shape[-1],
    }
    text = {**_tower(state, "", TEXT_HEAD), "vocab_size": len(words), "max_position_embeddings": len(state["positional_embedding"])}
    return {"projection_dim": state["text_projection"].shape[1], "vision_config": picture, "text_config": text}


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns a state dict of open_clip under the names of transformers' CLIPModel. Raises KeyError for a tensor that neither knows."""
    return {name: tensor for key, value in state.items() for name, tensor in _renamed(key, value)}


def _tower(state: Mapping[str, Tensor], prefix: str, head: int) -> dict[str, Any]:
    layers = {match[2] for key in state if (match := LAYER.match(key)) and (match[1] or "") == prefix}
    inner, width = state[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"].shape
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": len(layers),
        "num_attention_heads": width // head,
        "hidden_act": "gelu",
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
