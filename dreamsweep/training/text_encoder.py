"""The guide's own text tower in the stock classes of transformers, so that a diffusion reads what the guide reads."""

import itertools
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.perceptors.vocabulary import END, START, UNKNOWN, bpe


def text_encoder_of(guide: StarterPerceptor, texts: Iterable[str], projection: Tensor | None = None) -> tuple[Any, Any]:
    """Returns (CLIPTextModel, CLIPTokenizer) that give, for any text spelt like these, what the guide's text tower has before its
    projection.

    With a `projection` `d e` of the guide's embeddings, a CLIPTextModelWithProjection, which gives these as well.
    """
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    pieces, merges = vocabulary_of(texts)
    rows = {piece: row for row, piece in enumerate(pieces)}
    source, width = guide.model, guide.model.transformer.width
    start, end = bpe().decoder[START], bpe().decoder[END]
    config = CLIPTextConfig(
        vocab_size=len(pieces), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=source.transformer.layers,
        num_attention_heads=source.transformer.resblocks[0].attn.num_heads, max_position_embeddings=guide.vocabulary.context,
        projection_dim=source.text_projection.shape[1] if projection is None else len(projection),
        hidden_act="quick_gelu", bos_token_id=rows[start], eos_token_id=rows[end], pad_token_id=rows[end],
    )  # fmt: skip
    model: Any = CLIPTextModel(config) if projection is None else CLIPTextModelWithProjection(config)
    known = {bpe().decoder[int(token)]: row for row, token in enumerate(guide.vocabulary.kept, start=1)}
    index = torch.tensor([known.get(piece, UNKNOWN) for piece in pieces])
    state = _renamed(source.state_dict(), index, width)
    if projection is not None:
        state = {f"text_model.{key}": value for key, value in state.items()}
        state["text_projection.weight"] = projection @ source.text_projection.T
    model.load_state_dict(state, strict=True)
    return model.eval().requires_grad_(False), _tokenizer(pieces, merges, guide.vocabulary.context)


def vocabulary_of(texts: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Returns all byte-pair pieces that these texts are built from, step by step, and the merges that do it, in CLIP's order."""
    tokenizer = bpe()
    words = {word for text in texts for word in tokenizer.pat.findall(text.lower())}
    merges: set[tuple[str, str]] = set()
    pieces = set(tokenizer.byte_encoder.values())
    pieces |= {f"{piece}</w>" for piece in pieces}
    for word in words:
        spelt = "".join(tokenizer.byte_encoder[byte] for byte in word.encode())
        parts = [*spelt[:-1], f"{spelt[-1]}</w>"]
        while len(parts) > 1:
            pairs = [pair for pair in itertools.pairwise(parts) if pair in tokenizer.bpe_ranks]
            if not pairs:
                break
            first = min(pairs, key=tokenizer.bpe_ranks.__getitem__)
            merges.add(first)
            parts = _merged(parts, first)
            pieces |= {"".join(first)}
    ends = [tokenizer.decoder[START], tokenizer.decoder[END]]
    return [*sorted(pieces, key=tokenizer.encoder.__getitem__), *ends], sorted(merges, key=tokenizer.bpe_ranks.__getitem__)


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _tokenizer(pieces: list[str], merges: list[tuple[str, str]], context: int) -> Any:
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = {piece: row for row, piece in enumerate(pieces)}
        (Path(scratch) / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
        (Path(scratch) / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return CLIPTokenizer.from_pretrained(scratch, model_max_length=context)


def _renamed(state: dict[str, Tensor], index: Tensor, width: int) -> dict[str, Tensor]:
    """Returns the tensors of `clip.model.CLIP`'s text tower under the names of transformers."""
    renamed = {
        "embeddings.token_embedding.weight": state["token_embedding.weight"][index],
        "embeddings.position_embedding.weight": state["positional_embedding"],
        "final_layer_norm.weight": state["ln_final.weight"],
        "final_layer_norm.bias": state["ln_final.bias"],
    }
    parts = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    }
    for name, value in state.items():
        if not name.startswith("transformer.resblocks."):
            continue
        layer, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
        target = f"encoder.layers.{layer}"
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for letter, part in zip("qkv", value.split(width), strict=True):
                renamed[f"{target}.self_attn.{letter}_proj.{kind}"] = part
            continue
        stem, _, kind = rest.rpartition(".")
        renamed[f"{target}.{parts[stem]}.{kind}"] = value
    return renamed
