"""BigGAN's files. Sizes: `BigGAN128`, `BigGAN256` and `BigGAN512` of `pytorch_pretrained_biggan.convert_tf_to_pytorch`."""

from functools import partial
from pathlib import Path

import torch
from pytorch_pretrained_biggan import BigGAN, BigGANConfig
from pytorch_pretrained_biggan.convert_tf_to_pytorch import BigGAN128, BigGAN256, BigGAN512
from torch import Tensor

from dreamsweep.models.biggan import draw, load_biggan
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values, vary

PUBLISHED = {128: BigGAN128, 256: BigGAN256, 512: BigGAN512}
TRUNCATIONS = (0.5, 1.0)
"""Two of those that statistics are stored for; between them the stock class weighs the wrong way round (see `models.biggan`)."""


def build(config: BigGANConfig) -> BigGAN:
    """Returns a stock generator with random values whose pictures are neither grey nor NaN."""
    with random_values():
        model = BigGAN(config)
        for module in model.modules():
            for buffer in ("running_means", "running_vars"):
                if hasattr(module, buffer):
                    getattr(module, buffer).add_(0.2 * torch.rand_like(getattr(module, buffer)))
        model.generator.bn.weight.data.fill_(1)
        model.generator.bn.bias.data.fill_(0)
        for _ in range(5):  # the spectral norms' vectors converge, as training leaves them
            for module in model.modules():
                for hook in getattr(module, "_forward_pre_hooks", {}).values():
                    hook.compute_weight(module, do_power_iteration=True)
        vary(model)
    return model


def write(side: int, folder: Path, full: bool) -> Outputs:
    """Writes settings and weights as torch 1.0 did; returns what `BigGAN.from_pretrained` makes of them."""
    config = PUBLISHED[side] if full else BigGANConfig.from_dict({**PUBLISHED[side].to_dict(), **SMALL})
    model = build(config)
    before = _package_outputs(model)
    (folder / "config.json").write_text(config.to_json_string())
    torch.save(model.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with random_values():
        outputs = _package_outputs(BigGAN.from_pretrained(str(folder)).eval())
    assert all(torch.equal(outputs[key], value) for key, value in before.items())
    return outputs


SMALL = {"z_dim": 8, "class_embed_dim": 8, "channel_width": 8, "n_stats": 3}


def _vectors(z_dim: int, classes: int) -> tuple[Tensor, Tensor]:
    return 2 * fixed(1, z_dim) - 1, fixed(1, classes)


@torch.no_grad()
def _package_outputs(model: BigGAN) -> Outputs:
    vectors = _vectors(model.config.z_dim, model.config.num_classes)
    return {f"truncation {at}": (model(*vectors, at) + 1) / 2 for at in TRUNCATIONS}


@torch.no_grad()
def read(side: int) -> Outputs:
    """Returns what the engine's generator draws of the same vectors in every layer."""
    biggan = load_biggan("published", side, "cpu")
    z, c = (vector[:, None].expand(-1, biggan.vectors, -1) for vector in _vectors(biggan.z_dim, biggan.classes))
    return {f"truncation {at}": draw(biggan.model, z, c, at) for at in TRUNCATIONS}


BIGGANS = {f"biggan-deep-{side}": Vector(partial(write, side), partial(read, side), tolerance=1e-4) for side in PUBLISHED}
