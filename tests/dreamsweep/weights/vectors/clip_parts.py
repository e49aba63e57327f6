"""CLIP's own parts of diffusers' folders: tokenizers from the real merges, text towers and a picture tower."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.vocabulary import END, bpe
from tests.dreamsweep.weights.vectors.vector import vary

TEXT = "a red heart above the clouds"
CONTEXT = 77


def tokens(padding: int = END) -> Tensor:
    """Returns the tokens of the text by OpenAI's own tokenizer, `1 t`, with the padding that a model was trained with."""
    read: Tensor = import_clip().tokenize([TEXT])
    read[0, int(read.argmax()) + 1 :] = padding
    return read


def write_tokenizer(folder: Path, padding: str = "<|endoftext|>") -> None:
    """Writes CLIP's vocabulary and merges, which the package `clip` has, as the files of 2022."""
    folder.mkdir(parents=True)
    tokenizer = bpe()
    (folder / "vocab.json").write_text(json.dumps(tokenizer.encoder))
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in merges))
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    whole = {
        key: {"content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False} for key, text in special.items()
    }
    (folder / "special_tokens_map.json").write_text(json.dumps({**whole, "pad_token": padding}))
    settings = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": CONTEXT, "pad_token": padding}
    typed = {key: {"__type": "AddedToken", **value} for key, value in whole.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({**typed, **settings, "tokenizer_class": "CLIPTokenizer"}))


def text_settings(width: int, layers: int, heads: int, projection: int, activation: str = "quick_gelu", **more: Any) -> dict[str, Any]:
    """Returns the `config.json` of a text tower, as transformers 4 wrote it."""
    return {
        "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "dropout": 0.0, "hidden_act": activation,
        "hidden_size": width, "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 4 * width, "layer_norm_eps": 1e-05,
        "max_position_embeddings": CONTEXT, "model_type": "clip_text_model", "num_attention_heads": heads, "num_hidden_layers": layers,
        "projection_dim": projection, "torch_dtype": "float32", "transformers_version": "4.25.0.dev0", "vocab_size": 49408, **more,
    }  # fmt: skip


def build_text(settings: dict[str, Any], projected: bool = False) -> Any:
    """Returns a text tower with random values, of `CLIPTextModel` or `CLIPTextModelWithProjection`."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind: Any = CLIPTextModelWithProjection if projected else CLIPTextModel
    return vary(kind(CLIPTextConfig(**settings)))


def write_tower(folder: Path, network: nn.Module, settings: dict[str, Any], prefix: str, half: bool = False) -> None:
    """Writes settings and weights of a tower under the names that transformers 4 gave them, positions included."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [type(network).__name__], **settings}))
    state = {
        key if key.startswith((prefix, "text_proj", "visual_proj")) else f"{prefix}.{key}": value
        for key, value in network.state_dict().items()
    }
    state = {key: value.half() if half else value for key, value in state.items()}
    count = state[f"{prefix}.embeddings.position_embedding.weight"].shape[0]
    state[f"{prefix}.embeddings.position_ids"] = torch.arange(count)[None]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
