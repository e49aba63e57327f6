"""Segmenters: networks that say of each pixel what it shows. Here torchvision's DeepLabv3, of twenty things (Chen et al., 2017).

The one that ships with dreamsweep is in `dreamsweep.models.starter_segmenter`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep import weights
from dreamsweep.compute.model_folders import quiet
from dreamsweep.compute.pool import pooled
from dreamsweep.errors import WeightsError

NAME = "deeplabv3-resnet50"
BACKGROUND = "__background__"
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aeroplane": ("airplane", "plane", "jet"),
        "bicycle": ("bike",),
        "boat": ("ship",),
        "cat": ("kitten", "kitty"),
        "cow": ("cattle", "bull", "calf"),
        "diningtable": ("dining table", "table"),
        "dog": ("puppy", "puppies"),
        "horse": ("pony", "ponies"),
        "motorbike": ("motorcycle",),
        "person": ("people", "man", "men", "woman", "women", "boy", "girl", "child", "children"),
        "pottedplant": ("potted plant",),
        "sofa": ("couch",),
        "tvmonitor": ("tv monitor", "tv", "television", "monitor"),
    }
)
"""Other words for VOC's classes, whose own names are not always English words."""
AT_ONCE = 4
"""Pictures that a network sees together: DeepLabv3 at 520 pixels high and wide."""


@dataclass(frozen=True)
class Segmenter:
    """A network that names the pixels of pictures."""

    network: torch.nn.Module
    """It returns a value for each class and pixel, `n c y x`, under the key `out`."""
    prepare: Callable[[Tensor], Tensor]
    """Preparation of pictures of 8 bits."""
    classes: tuple[str, ...]
    """Names of the classes, the background first."""
    sha256: str
    words: tuple[tuple[str, int], ...] = ()
    """Words of prompts with the place of the class that each names; 0 where a word names none, such as `hot dog` where `dog` is a class."""
    known: str = "classes"
    """What the classes are called in a reason: `20 classes of Pascal VOC`."""

    @torch.no_grad()
    def classes_of(self, pictures: Float[Tensor, "b 3 h w"]) -> Int[Tensor, "b y x"]:
        """Returns the class of each pixel of pictures in [0, 1], at the network's own resolution."""
        bytes_of = (pictures * 255).round().clamp(0, 255).to(torch.uint8)  # what torchvision would read of the file
        parts = [self.network(self.prepare(part))["out"].argmax(1) for part in bytes_of.split(AT_ONCE)]
        return torch.cat(parts)


@pooled
def load_segmenter(device: str) -> Segmenter:
    """Returns the published network, frozen, in float32; the shorter side of its maps has 520 pixels.

    Raises WeightsError when it cannot be had or is not what was published.
    """
    (path,) = weights.paths(NAME).values()
    with quiet():
        from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights, deeplabv3_resnet50

        published = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
        classes = tuple(published.meta["categories"])
        network = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=len(classes), aux_loss=True)
        prepare = published.transforms()
    try:
        network.load_state_dict(weights.load_tensors(path))
    except RuntimeError as error:
        reason = str(error).split("\n")[0].rstrip(":.")
        raise WeightsError(f"weights {path}: it holds no DeepLabv3 ({reason}); delete it and fetch what was published.") from None
    frozen, known = network.eval().requires_grad_(False).to(device), f"{len(classes) - 1} classes of Pascal VOC"
    return Segmenter(frozen, prepare, classes, weights.digest(NAME), voc_words(classes), known)


def voc_words(classes: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Returns the words that name VOC's classes; the background has none."""
    return tuple((word, at) for at, name in enumerate(classes) if at > 0 for word in (name, *SYNONYMS.get(name, ())))
