"""Formats of the published perceptors, by name. Imports no torch."""

from typing import Literal

Format = Literal["openai", "clip", "siglip2", "hpsv2", "robust"]
"""OpenAI's own files; transformers' folder of a CLIP or a SigLIP 2; open_clip's checkpoint; a picture tower for OpenAI's CLIP."""
FORMATS: dict[str, Format] = {
    "openclip-vit-l-14": "clip",
    "openclip-vit-h-14": "clip",
    "pickscore": "clip",
    "siglip2-base": "siglip2",
    "siglip2-large": "siglip2",
    "hpsv2.1": "hpsv2",
    "fare2-vit-l-14": "robust",
}
"""Formats of the perceptors that are not OpenAI's."""


def format_of(name: str) -> Format:
    """Returns the format of a published perceptor's files."""
    return FORMATS.get(name, "openai")
