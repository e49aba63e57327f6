"""Lists of labels for zero-shot classification: CIFAR-100, ImageNet, names that the starters learned, and people's own files."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dreamsweep.errors import UserError
from dreamsweep.planning.characters import split_lines
from dreamsweep.planning.text_file import TextFile
from dreamsweep.text import did_you_mean
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
SHIPPED = ("cifar100", "imagenet", "things")
MOST_LABELS = 20_000


@dataclass(frozen=True)
class LabelList:
    """Labels, and the templates that they are put into."""

    name: str
    names: tuple[str, ...]
    templates: tuple[str, ...]

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
            names, templates = _labels_of_file(name), PHOTO
    return LabelList(Path(name).name, names, BARE if is_starter else templates)


def _imagenet() -> tuple[str, ...]:
    """Returns class names of ImageNet-1k as torchvision has them."""
    from dreamsweep.compute.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])


def _labels_of_file(name: str) -> tuple[str, ...]:
    path, judge = Path(name), f"judge 'labels:{name}'"
    if not path.suffix and not path.is_file():
        lists = ", ".join(SHIPPED)
        raise UserError(
            f"judge 'labels:{name}': there is no list {name!r}{did_you_mean(name, SHIPPED)}; the lists are {lists}, or name a file."
        )
    try:
        path.stat()  # a person's path at a prompt, which no sweep file stands beside
    except OSError as error:
        raise UserError(f"{judge}: the file cannot be read ({error.strerror}); name a text file with a label a line.") from None
    lines = split_lines(TextFile(path, judge).read())
    labels = tuple(dict.fromkeys(line.strip() for line in lines if line.strip() and not line.startswith("#")))
    if not 2 <= len(labels) <= MOST_LABELS:
        raise UserError(f"judge 'labels:{name}': the file holds {len(labels)} labels; write from 2 to {MOST_LABELS:,} of them, one a line.")
    return labels
