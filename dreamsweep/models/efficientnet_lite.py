"""EfficientNet-Lite: a small network for photographs, as features of pictures (Tan & Le, EfficientNet, 2019; Lite: Google, 2020).

It is frozen, so each batch normalisation is part of the convolution before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, as the published weights take pixels."""
NORM_EPSILON = 1e-3
_NORMS = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2", "_conv_head": "_bn1"}
"""Names of the batch normalisations in the published checkpoint, by the convolution that each follows."""


@dataclass(frozen=True)
class LiteShape:
    """Sizes of the network that a state dict does not name."""

    stem: int
    stages: tuple[tuple[int, int, int, int, int], ...]
    """Expansion, channels, blocks, kernel and stride of each stage."""
    features: int


LITE2 = LiteShape(
    stem=32,
    stages=(
        (1, 16, 1, 3, 1),
        (6, 24, 3, 3, 2),
        (6, 48, 3, 5, 2),
        (6, 88, 4, 3, 2),
        (6, 120, 4, 5, 1),
        (6, 208, 5, 5, 2),
        (6, 352, 1, 3, 1),
    ),
    features=1280,
)
"""EfficientNet-Lite2."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: an odd padding has its extra pixel below and on the right."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d y x"]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        return super().forward(F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))


class Block(nn.Module):
    """An inverted residual block without squeeze-and-excitation (Sandler et al., MobileNetV2, 2018)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d y x"]:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        projected: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return projected + x if self.is_residual else projected


class EfficientNetLite(nn.Module):
    """Features of pictures: pixels in [0, 1], `n 3 h w` of any size, to `n d`."""

    def __init__(self, shape: LiteShape = LITE2) -> None:
        super().__init__()
        self.stem = SameConv(3, shape.stem, 3, 2)
        blocks, width = [], shape.stem
        for expansion, channels, count, kernel, stride in shape.stages:
            for number in range(count):
                blocks.append(Block(width, channels, expansion, kernel, 1 if number else stride))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv(width, shape.features, 1)

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        return self.levels(pictures)[-1].mean((2, 3))

    def levels(self, pictures: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n c y x"]]:
        """Returns the maps from which a block halves the sides, the largest first, and last the features of each place."""
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
        inner, levels = F.relu6(self.stem((pictures - mean) / std)), []
        for block in self.blocks:
            assert isinstance(block, Block)
            if block.depthwise.stride[0] > 1:
                levels.append(inner)
            inner = block(inner)
        return [*levels, F.relu6(self.head(inner))]


def load_lite(tensors: Mapping[str, Tensor], record: Mapping[str, Any], prefix: str = "tower.") -> EfficientNetLite:
    """Returns the frozen network whose tensors begin with the prefix, in float32; `record` holds its `LiteShape`, as JSON has it."""
    network = EfficientNetLite(LiteShape(record["stem"], tuple(map(tuple, record["stages"])), record["features"]))
    network.load_state_dict({key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)})
    return network.eval().requires_grad_(False)


def folded(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the state of an `EfficientNetLite` from the published checkpoint, whose classifier is left out."""
    state = {}
    for key in (key for key in checkpoint if "_conv" in key):
        convolution = key.removesuffix(".weight")
        block, _, part = convolution.rpartition(".")
        norm = f"{block}.{_NORMS[part]}" if block else _NORMS[part]
        scale = checkpoint[f"{norm}.weight"] / (checkpoint[f"{norm}.running_var"] + NORM_EPSILON).sqrt()
        name = convolution.replace("_conv", "").replace("_", "")
        state[f"{name}.weight"] = checkpoint[key] * scale[:, None, None, None]
        state[f"{name}.bias"] = checkpoint[f"{norm}.bias"] - checkpoint[f"{norm}.running_mean"] * scale
    return state
