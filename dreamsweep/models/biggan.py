"""BigGAN-deep: the stock generator (`pytorch_pretrained_biggan`), frozen, drawing with vectors of its own in every layer.

The stock `forward` gives one condition to all layers; Big Sleep gives each layer its own. So the stock layers are called here one by
one. Departures: between two of its stored truncations, the stock class weighs their statistics the wrong way round, and here they are
weighed by nearness; of the last convolution, only the three channels that make the picture are computed. At truncation 1, pictures
are the stock class's up to rounding.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_pretrained_biggan import BigGAN, BigGANConfig
from pytorch_pretrained_biggan.model import BigGANBatchNorm, GenBlock
from torch import Tensor, nn

from dreamsweep import weights as published
from dreamsweep.compute.pool import pooled
from dreamsweep.compute.precision import of_network
from dreamsweep.errors import WeightsError
from dreamsweep.spec import WeightsName
from dreamsweep.weights.starter import read_weights, write_weights

STARTER = "starter-biggan"


@dataclass(frozen=True)
class Biggan:
    """A frozen BigGAN on a device."""

    name: str
    model: BigGAN
    names: tuple[str, ...]
    """What its classes are called, in order; empty where the weights do not say."""
    sha256: str
    device: str

    @property
    def vectors(self) -> int:
        """Conditions of a picture: one for the seed of the layers and one for each block."""
        return len(self.model.config.layers) + 1

    @property
    def z_dim(self) -> int:
        return int(self.model.config.z_dim)

    @property
    def classes(self) -> int:
        return int(self.model.config.num_classes)


@pooled
def load_biggan(weights: WeightsName, image_size: int, device: str) -> Biggan:
    """Returns the BigGAN that draws pictures of a size, frozen.

    Raises WeightsError when its weights are missing, damaged, made for other layers, or draw pictures of another size.
    """
    if weights == "published":
        name = f"biggan-deep-{image_size}"
        files = published.paths(name)
        config, names = BigGANConfig.from_json_file(str(files["config.json"])), ()
        state, sha256 = published.load_tensors(files["pytorch_model.bin"]), published.digest(name)
    else:
        name = STARTER
        state, metadata, sha256 = read_weights(name)
        config, names = BigGANConfig.from_dict(json.loads(metadata["config"])), tuple(json.loads(metadata["names"]))
    if config.output_dim != image_size:
        raise WeightsError(
            f"engine 'big-sleep': image_size is {image_size}, but {name} draws {config.output_dim}; set image_size to that, "
            "or take 'weights: published'."
        )
    model = BigGAN(config)
    try:
        model.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as error:
        raise WeightsError(f"weights {name!r}: they are not those of a BigGAN of this configuration ({error}).") from None
    return Biggan(name, frozen(model).to(device), names, sha256, device)


def frozen(model: BigGAN) -> BigGAN:
    """Returns the same generator for drawing only: spectral norms folded into the weights, and no channel computed that nobody sees."""
    model = fold_spectral_norm(model.eval())
    rgb = model.generator.conv_to_rgb
    rgb.weight, rgb.bias = nn.Parameter(rgb.weight[:3].clone()), nn.Parameter(rgb.bias[:3].clone())
    return model.requires_grad_(False)


def fold_spectral_norm(model: BigGAN) -> BigGAN:
    """Replaces every spectrally normalised weight by its value in evaluation mode."""
    for module in model.modules():
        if hasattr(module, "weight_orig"):
            nn.utils.remove_spectral_norm(module)
            module._load_state_dict_pre_hooks.clear()  # torch leaves the norm's there, which would ask for its vectors
    return model


def draw(
    model: BigGAN, latents: Float[Tensor, "b n z"], classes: Float[Tensor, "b n c"], truncation: float = 1.0
) -> Float[Tensor, "b 3 h w"]:
    """Returns pictures in [0, 1] of noise vectors and soft classes, one of each for the start and for each block."""
    with of_network(latents.device):
        *_, last = features(model, torch.cat([latents, model.embeddings(classes)], 2), truncation)
        return finish(model, last, truncation).float()


def features(model: BigGAN, conditions: Tensor, truncation: float = 1.0) -> Iterator[Float[Tensor, "b c y x"]]:
    """Yields what each block makes of its condition, one of `b n 2z`: first the noise vector, then the class's."""
    first, *others = conditions.unbind(1)
    x = model.generator.gen_z(first).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2).contiguous()  # b 4·4·c -> b c 4 4
    left = iter(others)
    for layer in model.generator.layers:
        if isinstance(layer, GenBlock):
            x = _block(layer, x, next(left), truncation)
            yield x
        else:
            x = layer(x)


def finish(model: BigGAN, last: Float[Tensor, "b c h w"], truncation: float = 1.0) -> Float[Tensor, "b 3 h w"]:
    """Returns the pictures, in [0, 1], that the last block's features become."""
    network = model.generator
    rgb: Tensor = network.conv_to_rgb(_normalise(network.bn, last, truncation).relu_())
    return (rgb[:, :3].tanh() + 1) / 2


def _block(block: GenBlock, x: Tensor, condition: Tensor, truncation: float) -> Tensor:
    y = x
    for number in range(4):
        y = _normalise(getattr(block, f"bn_{number}"), y, truncation, condition).relu_()
        if number == 1 and block.up_sample:
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
        y = getattr(block, f"conv_{number}")(y)
    if block.drop_channels:
        x = x[:, : x.shape[1] // 2]
    return y + (F.interpolate(x, scale_factor=2.0, mode="nearest") if block.up_sample else x)


def _normalise(norm: BigGANBatchNorm, x: Tensor, truncation: float, condition: Tensor | None = None) -> Tensor:
    """Normalises by stored statistics, as one scale and one offset a channel."""
    at = truncation / norm.step_size
    below = min(math.floor(at + 1e-6), len(norm.running_means) - 1)
    above, share = min(below + 1, len(norm.running_means) - 1), max(0.0, at - below)
    mean = torch.lerp(norm.running_means[below], norm.running_means[above], share)
    deviation = (torch.lerp(norm.running_vars[below], norm.running_vars[above], share) + norm.eps).sqrt()
    if condition is None:
        scale, offset = norm.weight[None] / deviation, norm.bias[None]
    else:
        scale, offset = (1 + norm.scale(condition)) / deviation, norm.offset(condition)
    return torch.addcmul((offset - mean * scale)[..., None, None], x, scale[..., None, None])


def with_spectral_norm(model: BigGAN) -> dict[str, Tensor]:
    """Returns the state dict of a generator with folded norms as the stock class wants it, whose norms then change nothing.

    v is a random unit vector and u = Wv / |Wv|², so that the stock class finds a norm of u·Wv = 1.
    """
    rng, wanted = torch.Generator().manual_seed(0), BigGAN(model.config).state_dict()
    state: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        if f"{key}_orig" not in wanted:
            state[key] = value
            continue
        matrix = value.float().flatten(1)
        v = F.normalize(torch.randn(matrix.shape[1], generator=rng), dim=0)
        wv = matrix @ v
        state |= {f"{key}_orig": value, f"{key}_u": wv / wv.square().sum(), f"{key}_v": v}
    return state


def save_biggan(path: Path, model: BigGAN, names: Sequence[str]) -> None:
    """Writes a generator with folded norms and the names of its classes: weights in half precision, the norms' vectors in single."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    state = with_spectral_norm(model)
    tensors = {key: value if key.endswith(("_u", "_v")) else value.half() for key, value in state.items()}
    write_weights(path, tensors, {"config": json.dumps(model.config.to_dict()), "names": json.dumps(list(names))})


def plain(config: BigGANConfig, seed: int) -> BigGAN:
    """Returns a generator without spectral norms and with random weights that keep its pictures finite and varied."""
    rng = torch.Generator().manual_seed(seed)
    model = fold_spectral_norm(BigGAN(config).eval())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                parameter.fill_(1.0 if name.endswith("bn.weight") else 0.0)
            else:
                gain = 0.3 if name.endswith(("scale.weight", "offset.weight")) else 1.0
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * gain / math.sqrt(parameter[0].numel()))
    return model
