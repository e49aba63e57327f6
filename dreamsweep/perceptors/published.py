"""OpenAI's published CLIP models by name: those with a vision transformer in transformers' classes, ResNets in the `clip` package's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep import weights
from dreamsweep.compute.devices import compile_if_asked
from dreamsweep.errors import WeightsError
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.clip_state import OPENAI
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.reading import published_reader
from dreamsweep.perceptors.starter import embed_pictures
from dreamsweep.perceptors.text_tower import TextTower, clip_tower
from dreamsweep.perceptors.two_towers import clip_tokens, perceptor_of
from dreamsweep.weights.safe import load_clip_tensors, load_tensors

if TYPE_CHECKING:
    from clip.model import CLIP


class ResNetPerceptor:
    """A published CLIP whose picture tower is a ResNet (see `Perceptor`)."""

    def __init__(self, name: str, model: "CLIP", sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.model = model.eval().requires_grad_(False).to(device)
        compile_if_asked(self.model.visual)
        self.resolution: int = model.visual.input_resolution
        self.scale = float(model.logit_scale.exp())

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return F.normalize(self.model.encode_text(clip_tokens(texts).to(self.device)).float(), dim=1)

    @property
    def text_tower(self) -> TextTower:
        return clip_tower(self.model.token_embedding, self.model.encode_text)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        return embed_pictures(self.model, pictures.to(self.model.dtype))

    def warnings_for(self, text: str) -> list[str]:
        return published_reader(self.name)(text)


def load_published(name: str, device: str) -> Perceptor:
    """Returns a published model, downloaded on first use. Raises WeightsError when it cannot be fetched or is not what was published."""
    (path,) = weights.paths(name).values()
    state = load_clip_tensors(path)
    if "visual.proj" in state:  # of a vision transformer alone
        return perceptor_of(name, path, state, OPENAI, device)
    return ResNetPerceptor(name, resnet_clip(path, state, device), weights.digest(name), device)


ROBUST_TOWER, ITS_CLIP = "fare_eps_2.pt", "ViT-L-14.pt"


def load_robust(name: str, device: str) -> Perceptor:
    """Returns OpenAI's ViT-L/14 with the picture tower of FARE² (Schlarmann et al., 2024), which small changes of pixels fool less.

    Raises WeightsError as `load_published`.
    """
    paths = weights.paths(name)
    text = {key: value for key, value in load_clip_tensors(paths[ITS_CLIP]).items() if not key.startswith("visual.")}
    tower = {f"visual.{key}": value for key, value in load_tensors(paths[ROBUST_TOWER]).items()}
    return perceptor_of(name, paths[ROBUST_TOWER], text | tower, OPENAI, device)


def resnet_clip(path: Path, state: Mapping[str, Tensor], device: str) -> "CLIP":
    """Returns the stock CLIP of a state dict that was read from a path; float32 on the CPU, else mostly float16, as `clip.load` has it.

    Raises WeightsError when it is of none.
    """
    import_clip()
    from clip.model import build_model

    try:
        model = build_model(dict(state)).to(device)
    except (KeyError, RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0].rstrip(":.")
        raise WeightsError(f"weights {path}: it holds no CLIP ({reason}); delete it and fetch what was published.") from None
    return model.float() if device == "cpu" else model
