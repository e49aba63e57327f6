"""Files of judges that are no perceptors: LAION's aesthetic head and torchvision's DeepLabv3."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamsweep.models.aesthetic import EMBEDDING, load_aesthetic_head
from dreamsweep.models.segmenter import load_segmenter
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values

LAYERS = ((0, EMBEDDING, 1024), (2, 1024, 128), (4, 128, 64), (6, 64, 16), (7, 16, 1))
"""Number of each linear layer among the published ones, and its sizes."""


def write_aesthetic(folder: Path, full: bool) -> Outputs:
    """Writes the head's state dict; returns its ratings as products of its matrices."""
    state: dict[str, Tensor] = {}
    ratings = fixed(3, EMBEDDING)
    with random_values():
        for number, inputs, outputs in LAYERS:
            weight, bias = torch.randn(outputs, inputs) / inputs**0.5, torch.randn(outputs)
            state |= {f"layers.{number}.weight": weight, f"layers.{number}.bias": bias}
            ratings = ratings @ weight.T + bias
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "sac-logos-ava1-l14-linearMSE.pth")
    return {"ratings": ratings[:, 0]}


@torch.no_grad()
def read_aesthetic() -> Outputs:
    """Returns the loaded head's ratings of the same."""
    return {"ratings": load_aesthetic_head("cpu")(fixed(3, EMBEDDING))}


def random_deeplab() -> Any:
    """Returns torchvision's network with random values, whose classes differ from pixel to pixel."""
    from torchvision.models.segmentation import deeplabv3_resnet50

    network: Any = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    torch.nn.init.normal_(network.classifier[-1].weight)
    return network.eval()


def write_deeplab(folder: Path, full: bool) -> Outputs:
    """Writes the network's state dict; returns what it makes of a picture of 8 bits, prepared as torchvision does."""
    with random_values():
        from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

        network = random_deeplab()
        prepare = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.transforms()
        outputs = {"classes": network(prepare(_picture()))["out"].argmax(1).float()}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "deeplabv3_resnet50_coco-cd0a2569.pth")
    return outputs


def _picture() -> Tensor:
    return (fixed(1, 3, 24, 32) * 255).round().to(torch.uint8)


def read_deeplab() -> Outputs:
    """Returns the classes of the same pixels."""
    return {"classes": load_segmenter("cpu").classes_of(_picture().float() / 255).float()}


HEADS = {"aesthetic": Vector(write_aesthetic, read_aesthetic), "deeplabv3-resnet50": Vector(write_deeplab, read_deeplab)}
