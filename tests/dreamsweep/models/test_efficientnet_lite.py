"""EfficientNet-Lite: batch normalisation within the convolutions changes nothing, and pictures of any size have features."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.models.efficientnet_lite import LITE2, NORM_EPSILON, EfficientNetLite, LiteShape, SameConv, folded

TINY = LiteShape(stem=4, stages=((1, 4, 1, 3, 1), (2, 6, 2, 5, 2)), features=8)


def _checkpoint(rng: torch.Generator) -> dict[str, Tensor]:
    """A checkpoint as published, of the tiny shape, with a classifier."""
    tensors = {"_fc.weight": torch.ones(3, 8), "_fc.bias": torch.ones(3)}
    convolutions = {
        "_conv_stem": ("_bn0", (4, 3, 3, 3)),
        "_blocks.0._depthwise_conv": ("_blocks.0._bn1", (4, 1, 3, 3)),
        "_blocks.0._project_conv": ("_blocks.0._bn2", (4, 4, 1, 1)),
        "_blocks.1._expand_conv": ("_blocks.1._bn0", (8, 4, 1, 1)),
        "_blocks.1._depthwise_conv": ("_blocks.1._bn1", (8, 1, 5, 5)),
        "_blocks.1._project_conv": ("_blocks.1._bn2", (6, 8, 1, 1)),
        "_blocks.2._expand_conv": ("_blocks.2._bn0", (12, 6, 1, 1)),
        "_blocks.2._depthwise_conv": ("_blocks.2._bn1", (12, 1, 5, 5)),
        "_blocks.2._project_conv": ("_blocks.2._bn2", (6, 12, 1, 1)),
        "_conv_head": ("_bn1", (8, 6, 1, 1)),
    }
    for convolution, (norm, shape) in convolutions.items():
        tensors[f"{convolution}.weight"] = torch.randn(shape, generator=rng)
        for part in ("weight", "bias", "running_mean"):
            tensors[f"{norm}.{part}"] = torch.randn(shape[0], generator=rng)
        tensors[f"{norm}.running_var"] = torch.rand(shape[0], generator=rng) + 0.1
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(1)
    return tensors


def test_a_folded_network_is_the_published_one() -> None:
    rng = torch.Generator().manual_seed(0)
    checkpoint = _checkpoint(rng)
    network = EfficientNetLite(TINY)
    network.load_state_dict(folded(checkpoint))  # nothing lacks, nothing is left over
    x = torch.rand(2, 3, 16, 16, generator=rng)

    def normed(convolution: str, norm: str, x: Tensor) -> Tensor:
        weight = checkpoint[f"{convolution}.weight"]
        padded = F.pad(x, (0, 1, 0, 1))  # a kernel of 3, a stride of 2, an even side
        mean, var, scale, bias = (checkpoint[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(F.conv2d(padded, weight, stride=2), mean, var, scale, bias, eps=NORM_EPSILON)

    assert torch.allclose(network.stem(x), normed("_conv_stem", "_bn0", x), atol=1e-5)
    assert network(x).shape == (2, 8)


def test_levels_are_the_maps_before_each_halving_and_the_features_of_each_place() -> None:
    network = EfficientNetLite(TINY)
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    large, features = network.levels(x)
    assert large.shape == (2, 4, 8, 8) and features.shape == (2, 8, 4, 4)
    assert torch.equal(features.mean((2, 3)), network(x))
    with torch.device("meta"):
        assert [level.shape[1:] for level in EfficientNetLite(LITE2).levels(torch.zeros(1, 3, 160, 160))] == [
            (16, 80, 80), (24, 40, 40), (48, 20, 20), (120, 10, 10), (1280, 5, 5),
        ]  # fmt: skip


def test_an_odd_padding_has_its_extra_pixel_below_and_on_the_right() -> None:
    convolution = SameConv(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    with torch.no_grad():
        assert convolution(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]
        assert convolution(torch.ones(1, 1, 5, 5)).shape == (1, 1, 3, 3)


def test_lite2_has_the_published_size() -> None:
    with torch.device("meta"):
        network = EfficientNetLite(LITE2)
    assert sum(value.numel() for name, value in network.named_parameters() if name.endswith("weight")) == 4_752_976
    assert network.head.weight.shape == (1280, 352, 1, 1)
