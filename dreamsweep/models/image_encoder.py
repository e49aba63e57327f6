"""What embeds pictures for an unCLIP's decoder: the network whose embeddings that decoder was trained to take."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from dreamsweep import weights
from dreamsweep.compute.model_folders import READ_ERRORS, quiet
from dreamsweep.compute.pool import pooled
from dreamsweep.models.pipelines import unreadable
from dreamsweep.perceptors.starter import normalise_pixels
from dreamsweep.weights import load_tensors
from dreamsweep.weights.hashes import PROJECTION, image_encoder_of


@dataclass(frozen=True)
class ImageEncoder:
    """What embeds pictures as a decoder takes them."""

    embed: Callable[[Float[Tensor, "n 3 r r"]], Float[Tensor, "n d"]]
    """Of pixels in [0, 1]."""
    resolution: int
    sha256: dict[str, str]
    """Of its weights, by their name, where they do not lie in the model's own folder."""


@pooled
def load_image_encoder(folder: Path, device: str) -> ImageEncoder:
    """Loads the CLIP in an unCLIP's folder, the starter guide where the folder has its projection, or else karlo's, which is
    published apart.

    Raises WeightsError when it is missing or damaged.
    """
    name = image_encoder_of(folder)
    if name is None:
        return _clip_in(folder, {}, device)
    if name == "starter-guide":
        return _guide_through(folder / PROJECTION, device)
    return _clip_in(weights.folder(name), {name: weights.digest(name)}, device)


def _clip_in(folder: Path, sha256: dict[str, str], device: str) -> ImageEncoder:
    with quiet():
        from transformers import CLIPVisionModelWithProjection

        kind: Any = CLIPVisionModelWithProjection
        try:
            encoder = kind.from_pretrained(folder / "image_encoder", local_files_only=True, use_safetensors=True)
        except READ_ERRORS as error:
            raise unreadable("image_encoder", folder, error) from None
    clip = encoder.eval().requires_grad_(False).to(device)
    return ImageEncoder(lambda pictures: clip(normalise_pixels(pictures)).image_embeds, clip.config.image_size, sha256)


def _guide_through(projection: Path, device: str) -> ImageEncoder:
    """Returns the guide's unit embeddings, projected as the decoder was trained with them."""
    from dreamsweep.perceptors import load_perceptor

    guide = load_perceptor("starter-guide", device)
    weight = load_tensors(projection)["weight"].float().to(device)
    return ImageEncoder(lambda pictures: guide.embed_pictures(pictures) @ weight.T, guide.resolution, {guide.name: guide.sha256})
