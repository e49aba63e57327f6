"""Published CLIPs and SigLIPs in the classes of transformers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep import weights
from dreamsweep.compute.devices import compile_if_asked, constant
from dreamsweep.compute.model_folders import READ_ERRORS, quiet
from dreamsweep.compute.precision import of_network
from dreamsweep.errors import WeightsError
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.clip_state import VIT_H, Layout, clip_model
from dreamsweep.perceptors.gemma import gemma_tokens
from dreamsweep.perceptors.reading import TOKENIZER, published_reader
from dreamsweep.perceptors.starter import PIXEL_MEAN, PIXEL_STD
from dreamsweep.perceptors.text_tower import TextTower, clip_tower
from dreamsweep.perceptors.vocabulary import CONTEXT

Tokenize = Callable[[Sequence[str]], Tensor]
"""Texts to the tokens that a network was trained with, `n t`."""


@dataclass(frozen=True)
class Pixels:
    """Mean and standard deviation by which a network's pixels are normalised, channel by channel."""

    mean: tuple[float, float, float] = PIXEL_MEAN
    std: tuple[float, float, float] = PIXEL_STD

    def normalise(self, pictures: Tensor) -> Tensor:
        """Returns a network's input from pixels in [0, 1], `n 3 r r`."""
        mean, std = (constant(channels, pictures.device)[:, None, None].to(pictures) for channels in (self.mean, self.std))
        return (pictures - mean) / std


class TwoTowerPerceptor:
    """A published CLIPModel or SiglipModel of transformers (see `Perceptor`)."""

    def __init__(self, name: str, model: Any, tokenize: Tokenize, pixels: Pixels, sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.tokenize, self.pixels = tokenize, pixels
        self.model = model.eval().requires_grad_(False).to(device)
        compile_if_asked(self.model.vision_model)
        self.resolution: int = model.config.vision_config.image_size
        self.scale = float(model.logit_scale.float().exp())
        self.bias = float(model.logit_bias) if hasattr(model, "logit_bias") else None
        """Bias of the logits, of a perceptor trained with a sigmoid, as SigLIP; None for one trained with a softmax (see `probability`)."""

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns unit embeddings, `n d`."""
        return F.normalize(self._features(self.tokenize(texts).to(self.device)).float(), dim=1)

    @property
    def text_tower(self) -> TextTower | None:
        """Returns the text tower of a CLIP; None of a SigLIP, whose tokens are pieces of whole sentences."""
        if self.tokenize is not clip_tokens:
            return None
        return clip_tower(self.model.text_model.embeddings.token_embedding, self._features)

    def _features(self, tokens: Tensor) -> Tensor:
        features: Tensor = self.model.get_text_features(input_ids=tokens).pooler_output
        return features

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Returns unit embeddings of pixels in [0, 1], `n d`; differentiable."""
        pixels = self.pixels.normalise(pictures).to(self.model.dtype).contiguous(memory_format=torch.channels_last)
        with of_network(pictures.device):
            embedded = self.model.get_image_features(pixel_values=pixels).pooler_output
        return F.normalize(embedded.float(), dim=1)

    def probability(self, similarity: float) -> float | None:
        """Returns how likely a picture and a text of this cosine belong together (Zhai et al., SigLIP, 2023, eq. 1); None of a CLIP."""
        return None if self.bias is None else float(torch.tensor(self.scale * similarity + self.bias).sigmoid())

    def warnings_for(self, text: str) -> list[str]:
        """Returns what of a text the network will not read."""
        return published_reader(self.name)(text)


def load_clip_folder(name: str, device: str) -> TwoTowerPerceptor:
    """Returns a published CLIP in transformers' format, downloaded on first use. Raises WeightsError when it cannot be had or read."""
    folder = weights.folder(name)
    return TwoTowerPerceptor(name, _model_in(folder, "CLIPModel", device), clip_tokens, _pixels_in(folder), weights.digest(name), device)


def load_siglip_folder(name: str, device: str) -> TwoTowerPerceptor:
    """Returns a published SigLIP 2 of fixed resolution. Raises as `load_clip_folder`."""
    folder = weights.folder(name)
    reader = gemma_tokens(folder / TOKENIZER)
    model = _model_in(folder, "SiglipModel", device)
    return TwoTowerPerceptor(
        name, model, lambda texts: torch.from_numpy(reader.tokenize(texts)), _pixels_in(folder), weights.digest(name), device
    )


def load_hpsv2(name: str, device: str) -> TwoTowerPerceptor:
    """Returns HPSv2.1, a ViT-H/14 whose checkpoint is open_clip's. Raises as `load_clip_folder`."""
    (path,) = weights.paths(name).values()
    return perceptor_of(name, path, weights.load_tensors(path, within="state_dict"), VIT_H, device)


def perceptor_of(name: str, path: Path, state: Mapping[str, Tensor], layout: Layout, device: str) -> TwoTowerPerceptor:
    """Returns the perceptor of a state dict that was read from a path. Raises WeightsError when it is of no such CLIP."""
    try:
        model = clip_model(state, layout, _dtype(device))
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        raise _no_model(path, error) from None
    return TwoTowerPerceptor(name, model, clip_tokens, Pixels(), weights.digest(name), device)


def clip_tokens(texts: Sequence[str]) -> Tensor:
    """Returns CLIP's tokens, `n 77`; a text that is longer is cut and keeps its end."""
    tokens: Tensor = import_clip().tokenize(list(texts), context_length=CONTEXT, truncate=True).long()
    return tokens


def _model_in(folder: Path, kind: str, device: str) -> Any:
    with quiet():
        import transformers

        model_class: Any = getattr(transformers, kind)
        settings = {"local_files_only": True, "use_safetensors": True, "dtype": _dtype(device), "output_loading_info": True}
        try:
            model, report = model_class.from_pretrained(folder, **settings)
        except READ_ERRORS as error:
            raise _no_model(folder, error) from None
    if missing := sorted(report["missing_keys"]):  # transformers would leave random values there
        raise _no_model(folder, KeyError(missing[0]))
    return model


def _pixels_in(folder: Path) -> Pixels:
    path = folder / "preprocessor_config.json"
    try:
        record = json.loads(path.read_bytes())
        (red, green, blue), (first, second, third) = record["image_mean"], record["image_std"]
        return Pixels((float(red), float(green), float(blue)), (float(first), float(second), float(third)))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _no_model(path, error) from None


def _dtype(device: str) -> torch.dtype:
    return torch.float16 if device.startswith("cuda") else torch.float32


def _no_model(path: Path, error: Exception) -> WeightsError:
    reason = str(error).split("\n")[0].rstrip(":.")
    return WeightsError(f"weights {path}: it holds no such model ({reason}); delete it and fetch what was published.")
