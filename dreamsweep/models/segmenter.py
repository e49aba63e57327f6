"""torchvision's DeepLabv3, which says of each pixel which of twenty things it shows (Chen et al., 2017)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep import weights
from dreamsweep.compute.model_folders import quiet
from dreamsweep.compute.pool import pooled
from dreamsweep.errors import WeightsError

NAME = "deeplabv3-resnet50"
AT_ONCE = 4
"""Pictures that the network sees together, 520 pixels high and wide."""


@dataclass(frozen=True)
class Segmenter:
    """A network that names the pixels of pictures."""

    network: torch.nn.Module
    prepare: Callable[[Tensor], Tensor]
    """torchvision's own preparation of pictures of 8 bits."""
    classes: tuple[str, ...]
    """Names of Pascal VOC's classes, the background first."""
    sha256: str

    @torch.no_grad()
    def classes_of(self, pictures: Float[Tensor, "b 3 h w"]) -> Int[Tensor, "b y x"]:
        """Returns the class of each pixel of pictures in [0, 1]; the shorter side has 520 pixels."""
        bytes_of = (pictures * 255).round().clamp(0, 255).to(torch.uint8)  # what torchvision would read of the file
        parts = [self.network(self.prepare(part))["out"].argmax(1) for part in bytes_of.split(AT_ONCE)]
        return torch.cat(parts)


@pooled
def load_segmenter(device: str) -> Segmenter:
    """Returns the published network, frozen, in float32. Raises WeightsError when it cannot be had or is not what was published."""
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
    return Segmenter(network.eval().requires_grad_(False).to(device), prepare, classes, weights.digest(NAME))
