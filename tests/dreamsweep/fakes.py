"""A perceptor that needs no weights: colours are its only words."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

COLOURS = {"red": (0.9, 0.1, 0.1), "green": (0.1, 0.8, 0.1), "blue": (0.1, 0.1, 0.9), "white": (1.0, 1.0, 1.0)}


class ColourPerceptor:
    """Embeds a picture as its mean colour about grey, and a text as the colour that it names."""

    name = "colours"
    resolution = 16
    sha256 = "0" * 64
    scale = 10.0

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        named = [next((c for word, c in COLOURS.items() if word in text), (0.2, 0.5, 0.7)) for text in texts]
        return F.normalize(torch.tensor(named) - 0.5, dim=1)

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        return F.normalize(pictures.mean((2, 3)) - 0.5 + 1e-4, dim=1)

    def warnings_for(self, text: str) -> list[str]:
        return ["colours reads one colour"] if len(text.split()) > 6 else []
