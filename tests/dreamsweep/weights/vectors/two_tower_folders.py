"""CLIPs and SigLIPs that transformers reads, HPSv2.1 and FARE².

Sizes: open_clip's configurations `ViT-L-14`, `ViT-H-14` and `ViT-L-16-SigLIP2-256`, and transformers' defaults of SigLIP.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.spec import PerceptorName
from tests.dreamsweep.weights.tiny_models import clip_archive
from tests.dreamsweep.weights.vectors.clip_archives import CONTEXT, PUBLISHED, VOCABULARY, Sizes, build
from tests.dreamsweep.weights.vectors.clip_parts import text_settings
from tests.dreamsweep.weights.vectors.gemma_files import gemma_rows, write_gemma
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values, vary

Settings = dict[str, Any]
OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
TEXTS = ["a Red HEART", "a rocket above the clouds, in the style of a woodcut", "a rocket above the clouds " * 20]
L_14 = (Sizes(768, 224, 24, 1024, 14, 768), HALF, 16)
H_14 = (Sizes(1024, 224, 32, 1280, 14, 1024, 24), OPENAI, 16)
CLIPS: dict[PerceptorName, tuple[Sizes, Settings, int]] = {"openclip-vit-l-14": L_14, "openclip-vit-h-14": H_14, "pickscore": H_14}
"""Sizes, how pixels are normalised, and attention heads of the picture tower."""
SIGLIPS: dict[PerceptorName, Settings] = {
    "siglip2-base": {"image_size": 224},
    "siglip2-large": {
        **{"image_size": 256, "hidden_size": 1024, "intermediate_size": 4096},
        **{"num_hidden_layers": 24, "num_attention_heads": 16},
    },
}
SMALL_SIGLIP = {"image_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def write_clip(name: PerceptorName, folder: Path, full: bool) -> Outputs:
    """Writes a CLIP's folder as the hub has it; returns what transformers' network makes of fixed pictures and texts."""
    sizes, pixels, heads = CLIPS[name]
    if not full:
        sizes, heads = Sizes(8, 28, 1, 32, 14, 64, 1), 2
    text = text_settings(sizes.text_width, sizes.text_layers, sizes.text_width // 64, sizes.embed, "gelu")
    picture = {
        "hidden_act": "gelu", "hidden_size": sizes.width, "image_size": sizes.resolution, "intermediate_size": 4 * sizes.width,
        "model_type": "clip_vision_model", "num_attention_heads": heads, "num_hidden_layers": sizes.layers, "patch_size": sizes.patch,
        "projection_dim": sizes.embed, "torch_dtype": "float32",
    }  # fmt: skip
    settings: Settings = {"model_type": "clip", "projection_dim": sizes.embed, "text_config": text, "vision_config": picture}
    with random_values():
        from transformers import CLIPConfig, CLIPModel

        kind: Any = CLIPModel
        model = vary(kind(CLIPConfig(**settings)))
        outputs = _outputs(model, import_clip().tokenize(TEXTS, truncate=True), pixels)
    _write_folder(folder, model, {"architectures": ["CLIPModel"], "logit_scale_init_value": 2.6592, **settings}, pixels)
    return outputs


def write_siglip(name: PerceptorName, folder: Path, full: bool) -> Outputs:
    """Writes a SigLIP 2's folder; returns what transformers' network makes of texts that are tokenized step by step."""
    sizes = SIGLIPS[name] if full else SMALL_SIGLIP
    words = write_gemma(folder, 256_000 if full else 0)
    tower = {key: value for key, value in sizes.items() if key != "image_size"}
    text = {"model_type": "siglip_text_model", "vocab_size": words, **tower}
    text |= {"projection_size": tower["hidden_size"]} if tower else {}
    settings: Settings = {"model_type": "siglip", "text_config": text, "vision_config": {"model_type": "siglip_vision_model", **sizes}}
    with random_values():
        from transformers import SiglipConfig, SiglipModel

        kind: Any = SiglipModel
        model = vary(kind(SiglipConfig(**settings)))
        outputs = _outputs(model, torch.tensor([gemma_rows(text) for text in TEXTS]), HALF)
    _write_folder(folder, model, {"initializer_factor": 1.0, "transformers_version": "4.49.0.dev0", **settings}, HALF)
    return outputs


def _outputs(model: Any, tokens: Tensor, pixels: Settings) -> Outputs:
    side = model.config.vision_config.image_size
    mean, std = (torch.tensor(pixels[key])[:, None, None] for key in ("image_mean", "image_std"))
    seen = model.get_image_features(pixel_values=(fixed(2, 3, side, side) - mean) / std).pooler_output
    read = model.get_text_features(input_ids=tokens).pooler_output
    return {"pictures": F.normalize(seen, dim=1), "texts": F.normalize(read, dim=1), **_numbers(model)}


def _numbers(model: Any) -> Outputs:
    bias = [float(model.logit_bias)] if hasattr(model, "logit_bias") else []
    return {"numbers": torch.tensor([float(model.logit_scale.exp()), -1.0, *bias])}


def _write_folder(folder: Path, model: nn.Module, settings: Settings, pixels: Settings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "do_resize": True, **pixels}))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors", {"format": "pt"})


def write_hpsv2(folder: Path, full: bool) -> Outputs:
    """Writes open_clip's checkpoint of a ViT-H/14; returns what the `clip` package's blocks make of it, with GELU and heads of 80."""
    import_clip()
    from clip.model import CLIP, VisionTransformer

    sizes = H_14[0] if full else Sizes(8, 28, 2, 160, 14, 128, 2)
    layers, text_heads = int(str(sizes.layers)), sizes.text_width // 64
    with random_values():
        model = CLIP(sizes.embed, 28, 0, 64, 14, CONTEXT, VOCABULARY, sizes.text_width, text_heads, sizes.text_layers)
        model.visual = VisionTransformer(sizes.resolution, 14, sizes.width, layers, sizes.width // 80, sizes.embed)
        for block in (*model.visual.transformer.resblocks, *model.transformer.resblocks):
            block.mlp.gelu = nn.GELU()
        vary(model)
        outputs = _clip_outputs(model)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 45, "name": "HPSv2.1", "state_dict": model.state_dict()}, folder / "HPS_v2.1_compressed.pt")
    return outputs


def write_robust(folder: Path, full: bool) -> Outputs:
    """Writes OpenAI's archive and another picture tower in float32; returns what the text tower of one and the other tower make."""
    sizes = PUBLISHED["ViT-L/14"] if full else PUBLISHED["ViT-L/14"].small
    folder.mkdir(parents=True, exist_ok=True)
    model = build(sizes)
    (folder / "ViT-L-14.pt").write_bytes(clip_archive(model))
    with random_values():
        from clip.model import build_model

        numbers = ("input_resolution", "context_length", "vocab_size")
        model = build_model({key: value for key, value in model.state_dict().items() if key not in numbers}).float()
        for parameter in model.visual.parameters():
            parameter.data = parameter + 0.01 * torch.rand_like(parameter)
        outputs = _clip_outputs(model)
    torch.save(model.visual.state_dict(), folder / "fare_eps_2.pt")
    return outputs


def _clip_outputs(model: Any) -> Outputs:
    side = model.visual.input_resolution
    normalise = import_clip().clip._transform(side).transforms[-1]
    seen = model.encode_image(normalise(fixed(2, 3, side, side)))
    read = model.encode_text(import_clip().tokenize(TEXTS, truncate=True))
    return {"pictures": F.normalize(seen, dim=1), "texts": F.normalize(read, dim=1), **_numbers(model)}


@torch.no_grad()
def read(name: PerceptorName) -> Outputs:
    """Returns what the perceptor of the name makes of the same."""
    perceptor: Any = load_perceptor(name, "cpu")
    pictures = fixed(2, 3, perceptor.resolution, perceptor.resolution)
    bias = getattr(perceptor, "bias", None)
    numbers = torch.tensor([perceptor.scale, -1.0, *([] if bias is None else [bias])])
    return {"pictures": perceptor.embed_pictures(pictures), "texts": perceptor.embed_texts(TEXTS), "numbers": numbers}


TWO_TOWERS: dict[str, Vector] = {
    **{name: Vector(partial(write_clip, name), partial(read, name)) for name in CLIPS},
    **{name: Vector(partial(write_siglip, name), partial(read, name)) for name in SIGLIPS},
    "hpsv2.1": Vector(write_hpsv2, partial(read, "hpsv2.1")),
    "fare2-vit-l-14": Vector(write_robust, partial(read, "fare2-vit-l-14")),
}
