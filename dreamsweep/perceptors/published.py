"""OpenAI's published CLIP models by name, in the `clip` package's own classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep import weights
from dreamsweep.compute.devices import compile_if_asked
from dreamsweep.errors import WeightsError
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.reading import published_reader
from dreamsweep.perceptors.starter import embed_pictures
from dreamsweep.perceptors.text_tower import TextTower, clip_tower
from dreamsweep.perceptors.vocabulary import CONTEXT
from dreamsweep.weights.safe import load_clip_tensors, load_tensors

if TYPE_CHECKING:
    from clip.model import CLIP


class PublishedPerceptor:
    """A published CLIP (see `Perceptor`)."""

    def __init__(self, name: str, model: "CLIP", sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.model = model.eval().requires_grad_(False).to(device)
        compile_if_asked(self.model.visual)
        self.resolution: int = model.visual.input_resolution
        self.scale = float(model.logit_scale.exp())

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        tokens = import_clip().tokenize(list(texts), context_length=CONTEXT, truncate=True).to(self.device)
        return F.normalize(self.model.encode_text(tokens).float(), dim=1)

    @property
    def text_tower(self) -> TextTower:
        return clip_tower(self.model.token_embedding, self.model.encode_text)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        return embed_pictures(self.model, pictures.to(self.model.dtype))

    def warnings_for(self, text: str) -> list[str]:
        return published_reader(self.name)(text)


def load_published(name: str, device: str) -> PublishedPerceptor:
    """Returns a published model, downloaded on first use. Raises WeightsError when it cannot be fetched or is not what was published."""
    (path,) = weights.paths(name).values()
    return PublishedPerceptor(name, read_clip(path, device), weights.digest(name), device)


ROBUST_TOWER, ITS_CLIP = "fare_eps_2.pt", "ViT-L-14.pt"


def load_robust(name: str, device: str) -> PublishedPerceptor:
    """Returns OpenAI's ViT-L/14 with the picture tower of FARE² (Schlarmann et al., 2024), which small changes of pixels fool less.

    Raises WeightsError as `load_published`.
    """
    paths = weights.paths(name)
    model, tower = read_clip(paths[ITS_CLIP], device), load_tensors(paths[ROBUST_TOWER])
    try:
        model.visual.load_state_dict(tower)
    except RuntimeError as error:
        raise _no_clip(paths[ROBUST_TOWER], error) from None
    return PublishedPerceptor(name, model, weights.digest(name), device)


def read_clip(path: Path, device: str) -> "CLIP":
    """Reads a CLIP from OpenAI's TorchScript archive or from a state dict; float32 on the CPU, else mostly float16, as `clip.load` has it.

    Raises WeightsError when the file holds none.
    """
    tensors = load_clip_tensors(path)
    import_clip()
    from clip.model import build_model

    try:
        model = build_model(tensors).to(device)
    except (KeyError, RuntimeError, AssertionError) as error:
        raise _no_clip(path, error) from None
    return model.float() if device == "cpu" else model


def _no_clip(path: Path, error: Exception) -> WeightsError:
    reason = str(error).split("\n")[0].rstrip(":.")
    return WeightsError(f"weights {path}: it holds no CLIP ({reason}); delete it and fetch what was published.")
