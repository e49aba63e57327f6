"""OpenAI's published CLIP models by name, through the `clip` package, which checks their SHA-256."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.errors import WeightsError
from dreamsweep.perceptors.starter import embed_pictures
from dreamsweep.perceptors.vocabulary import bpe
from dreamsweep.torchvision_ops import declare_missing_ops

if TYPE_CHECKING:
    from clip.model import CLIP

CONTEXT = 77


class PublishedPerceptor:
    """A published CLIP (see `Perceptor`)."""

    def __init__(self, name: str, model: "CLIP", sha256: str, device: str) -> None:
        self.name, self.sha256, self.device = name, sha256, device
        self.model = model.eval().requires_grad_(False).to(device)
        self.resolution: int = model.visual.input_resolution

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        import clip

        tokens = clip.tokenize(list(texts), context_length=CONTEXT, truncate=True).to(self.device)
        return F.normalize(self.model.encode_text(tokens).float(), dim=1)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        return embed_pictures(self.model, pictures.to(self.model.dtype))

    def warnings_for(self, text: str) -> list[str]:
        if len(bpe().encode(text)) > CONTEXT - 2:
            return [f"{self.name} reads the first {CONTEXT - 2} tokens of '{text[:40]}…' and no more"]
        return []


def weights_cache() -> Path:
    """Where published weights are kept: DREAMSWEEP_WEIGHTS, or ~/.cache/dreamsweep."""
    return Path(os.environ.get("DREAMSWEEP_WEIGHTS", Path.home() / ".cache" / "dreamsweep"))


def load_published(name: str, device: str) -> PublishedPerceptor:
    """A published model, downloaded on first use. Raises WeightsError when it cannot be fetched or its SHA-256 is wrong."""
    declare_missing_ops()
    folder = weights_cache() / "clip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import clip

        url: str = clip.clip._MODELS[name]
        path = folder / url.rsplit("/", 1)[1]
        try:
            model, _ = clip.load(name, device=device, jit=False, download_root=str(folder))
        except (URLError, TimeoutError, ConnectionError) as error:
            raise WeightsError(
                f"weights {name!r}: {url} cannot be fetched ({getattr(error, 'reason', error)}); put the file at {path}, "
                "or use 'starter-guide' and 'starter-judge', which ship with dreamsweep."
            ) from None
        except RuntimeError as error:
            raise WeightsError(f"weights {name!r}: {path} is not what was published ({error}); delete it and try again.") from None
    return PublishedPerceptor(name, model, url.split("/")[-2], device)
