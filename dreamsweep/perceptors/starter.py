"""The starter perceptors: small networks in the stock `clip.model.CLIP` classes, stored as safetensors."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamsweep.compute.devices import compile_if_asked, constant
from dreamsweep.compute.precision import of_network
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.text_tower import TextTower
from dreamsweep.perceptors.vocabulary import UNKNOWN, Vocabulary, text_reader
from dreamsweep.weights.starter import read_weights, write_weights

if TYPE_CHECKING:
    from clip.model import CLIP

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own normalisation of pixels (Radford et al., 2021, `clip.clip._transform`)."""


@dataclass(frozen=True)
class ClipShape:
    """The arguments of `clip.model.CLIP` that a state dict does not name."""

    embed: int
    resolution: int
    vision_layers: tuple[int, int, int, int]
    vision_width: int
    context: int
    text_width: int
    text_heads: int
    text_layers: int


def build_clip(shape: ClipShape, vocabulary: int) -> "CLIP":
    """Returns a stock CLIP with a ModifiedResNet, random weights, float32."""
    import_clip()
    from clip.model import CLIP

    return CLIP(
        shape.embed, shape.resolution, shape.vision_layers, shape.vision_width, None,
        shape.context, vocabulary, shape.text_width, shape.text_heads, shape.text_layers,
    )  # fmt: skip


def normalise_pixels(pictures: Tensor) -> Tensor:
    """CLIP's input from pixels in [0, 1], `n 3 r r`."""
    mean, std = (constant(channels, pictures.device)[:, None, None].to(pictures) for channels in (PIXEL_MEAN, PIXEL_STD))
    return (pictures - mean) / std


def embed_pictures(model: nn.Module, pictures: Tensor) -> Tensor:
    """Returns unit embeddings `n d` of pixels in [0, 1], `n 3 r r`; differentiable."""
    pixels = normalise_pixels(pictures).contiguous(memory_format=torch.channels_last)
    with of_network(pictures.device):
        embedded = model.visual(pixels)  # type: ignore[operator]
    return F.normalize(embedded.float(), dim=1)


class StarterPerceptor:
    """A starter CLIP with its own small vocabulary (see `Perceptor`)."""

    def __init__(self, name: str, model: "CLIP", vocabulary: Vocabulary, sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.vocabulary = vocabulary
        self.model = model.eval().requires_grad_(False).to(device)
        compile_if_asked(self.model.visual)
        self.resolution: int = model.visual.input_resolution
        self.scale = float(model.logit_scale.exp())

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        tokens = torch.from_numpy(self.vocabulary.tokenize(list(texts))).to(self.device)
        return F.normalize(self.model.encode_text(tokens).float(), dim=1)

    @property
    def text_tower(self) -> TextTower:
        start, end = self.vocabulary.rows("")
        return TextTower(
            self.model.token_embedding, self.model.encode_text, self.vocabulary.body, start, end, UNKNOWN, self.vocabulary.context
        )

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        return embed_pictures(self.model, pictures)

    def warnings_for(self, text: str) -> list[str]:
        return text_reader(self.name, self.vocabulary)(text)


def load_starter(name: str, device: str) -> StarterPerceptor:
    """Returns the starter perceptor that ships with dreamsweep. Raises WeightsError when its file is missing or damaged."""
    tensors, metadata, sha256 = read_weights(name)
    record = json.loads(metadata["shape"])
    shape = ClipShape(**{**record, "vision_layers": tuple(record["vision_layers"])})
    vocabulary = Vocabulary(tensors.pop("vocabulary").numpy().astype(np.int64), shape.context)
    model = build_clip(shape, len(vocabulary))
    model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in tensors.items()})
    return StarterPerceptor(name, model, vocabulary, sha256, device)


def save_starter(path: Path, shape: ClipShape, vocabulary: Vocabulary, state: dict[str, Tensor]) -> None:
    """Writes a perceptor's weights in half precision, with its vocabulary and shape."""
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    tensors["vocabulary"] = torch.from_numpy(vocabulary.kept.astype(np.int32))
    write_weights(path, tensors, {"shape": json.dumps(asdict(shape))})
