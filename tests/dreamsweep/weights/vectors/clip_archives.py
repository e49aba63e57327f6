"""OpenAI's CLIP archives. Sizes: Radford et al., 2021, tables 19 and 20, and open_clip's configurations of the same names."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.spec import PerceptorName
from tests.dreamsweep.weights.tiny_models import clip_archive
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values, vary

if TYPE_CHECKING:
    from clip.model import CLIP

CONTEXT, VOCABULARY = 77, 49408
TEXTS = ["a red heart", "a rocket above the clouds, in the style of a woodcut"]


@dataclass(frozen=True)
class Sizes:
    """What `clip.model.CLIP` is built with."""

    embed: int
    resolution: int
    layers: int | tuple[int, int, int, int]
    width: int
    patch: int | None
    text_width: int
    text_layers: int = 12

    @property
    def small(self) -> "Sizes":
        """The same kind of network with one layer of a width that has one head."""
        if self.patch is None:
            return Sizes(8, 64, (1, 1, 1, 1), 4, None, 64, 1)
        return Sizes(8, 2 * self.patch, 1, 64, self.patch, 64, 1)


PUBLISHED: dict[PerceptorName, Sizes] = {
    "RN50": Sizes(1024, 224, (3, 4, 6, 3), 64, None, 512),
    "RN101": Sizes(512, 224, (3, 4, 23, 3), 64, None, 512),
    "RN50x4": Sizes(640, 288, (4, 6, 10, 6), 80, None, 640),
    "RN50x16": Sizes(768, 384, (6, 8, 18, 8), 96, None, 768),
    "RN50x64": Sizes(1024, 448, (3, 15, 36, 10), 128, None, 1024),
    "ViT-B/32": Sizes(512, 224, 12, 768, 32, 512),
    "ViT-B/16": Sizes(512, 224, 12, 768, 16, 512),
    "ViT-L/14": Sizes(768, 224, 24, 1024, 14, 768),
    "ViT-L/14@336px": Sizes(768, 336, 24, 1024, 14, 768),
}


def build(sizes: Sizes) -> "CLIP":
    """Returns a stock CLIP with random values, in the published mixture of half and single precision."""
    import_clip()
    from clip.model import CLIP, convert_weights

    with random_values():
        model = CLIP(
            sizes.embed, sizes.resolution, sizes.layers, sizes.width, sizes.patch,
            CONTEXT, VOCABULARY, sizes.text_width, sizes.text_width // 64, sizes.text_layers,
        )  # fmt: skip
        vary(model)
        convert_weights(model)
        return model.float()


def write(name: PerceptorName, folder: Path, full: bool) -> Outputs:
    """Writes one archive; returns what `clip.load` makes of it, which is what the network made before."""
    sizes = PUBLISHED[name] if full else PUBLISHED[name].small
    path = folder / f"{name.replace('/', '-').replace('@', '-')}.pt"
    model = build(sizes)
    before = _package_outputs(model)
    path.write_bytes(clip_archive(model))
    del model
    with random_values():
        outputs = _package_outputs(import_clip().load(str(path), device="cpu")[0])
    assert all(torch.equal(outputs[key], value) for key, value in before.items())
    return outputs


@torch.no_grad()
def _package_outputs(model: "CLIP") -> Outputs:
    clip = import_clip()
    side = model.visual.input_resolution
    normalise = clip.clip._transform(side).transforms[-1]
    seen, read = model.encode_image(normalise(fixed(2, 3, side, side))), model.encode_text(clip.tokenize(TEXTS))
    return {"pictures": F.normalize(seen, dim=1), "texts": F.normalize(read, dim=1)}


@torch.no_grad()
def read(name: PerceptorName) -> Outputs:
    """Returns what the perceptor of the name makes of the same."""
    perceptor = load_perceptor(name, "cpu")
    pictures = fixed(2, 3, perceptor.resolution, perceptor.resolution)
    return {"pictures": perceptor.embed_pictures(pictures), "texts": perceptor.embed_texts(TEXTS)}


CLIPS: dict[str, Vector] = {name: Vector(partial(write, name), partial(read, name)) for name in PUBLISHED}
