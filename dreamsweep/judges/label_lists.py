"""Lists of labels for zero-shot classification: CIFAR-100, ImageNet, names that the starters learned, and people's own files."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dreamsweep.planning.label_files import labels_of_file
from dreamsweep.weights.starter import thing_names

BARE = ("{}",)
"""Templates for the starter perceptors, which learned plain names."""
PHOTO = ("a photo of a {}.",)
KINDS = ("", "blurry ", "black and white ", "low contrast ", "high contrast ", "bad ", "good ")
CIFAR_TEMPLATES = tuple(
    template
    for article in ("a", "the")
    for template in (
        *(f"a {kind}photo of {article} {{}}." for kind in KINDS),
        *(f"a photo of {article} {size} {{}}." for size in ("small", "big")),
    )
)
"""The ensemble that CLIP's authors used for CIFAR (github.com/openai/CLIP, data/prompts.md)."""
IMAGENET_TEMPLATES = (
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.", "art of the {}.",
    "a photo of the small {}.",
)  # fmt: skip
"""The seven of eighty templates that CLIP's authors found to do as well as all (github.com/openai/CLIP, the notebook on ImageNet)."""
CIFAR_100 = (
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy", "bridge",
    "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach",
    "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster",
    "house", "kangaroo", "keyboard", "lamp", "lawn mower", "leopard", "lion", "lizard", "lobster", "man", "maple tree",
    "motorcycle", "mountain", "mouse", "mushroom", "oak tree", "orange", "orchid", "otter", "palm tree", "pear", "pickup truck",
    "pine tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea",
    "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow tree", "wolf", "woman", "worm",
)  # fmt: skip
"""Class names of CIFAR-100 (Krizhevsky, 2009), as CLIP's authors spell them."""


@dataclass(frozen=True)
class LabelList:
    """Labels, and the templates that they are put into."""

    name: str
    names: tuple[str, ...]
    templates: tuple[str, ...]

    @classmethod
    def of_file(cls, name: str, labels: tuple[str, ...], is_starter: bool) -> "LabelList":
        """Returns the list of a file's labels, in the plain template of photographs, or bare for perceptors that learned plain names."""
        return cls(name, labels, BARE if is_starter else PHOTO)

    @property
    def sha256(self) -> str:
        """SHA-256 of the labels and templates."""
        return hashlib.sha256("\n".join((*self.names, "", *self.templates)).encode()).hexdigest()


@lru_cache(maxsize=16)
def label_list(name: str, is_starter: bool) -> LabelList:
    """Returns the list of that name, or in that file, a label a line; `is_starter` for perceptors that learned plain names.

    Raises UserError where there is no such list, or the file holds no labels.
    """
    names: tuple[str, ...]
    templates: tuple[str, ...]
    match name:
        case "cifar100":
            names, templates = CIFAR_100, CIFAR_TEMPLATES
        case "imagenet":
            names, templates = _imagenet(), IMAGENET_TEMPLATES
        case "things":
            names, templates = tuple(thing_names()), PHOTO
        case _:
            return LabelList.of_file(Path(name).name, labels_of_file(name, Path(), f"judge 'labels:{name}'"), is_starter)
    return LabelList(Path(name).name, names, BARE if is_starter else templates)


def _imagenet() -> tuple[str, ...]:
    """Returns class names of ImageNet-1k as torchvision has them."""
    from dreamsweep.compute.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])
