"""DALL-E's discrete VAE: its stock encoder and decoder, and pictures to codes and back (Ramesh et al., 2021)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import attr
import torch
from dall_e import Decoder, Encoder, map_pixels, unmap_pixels
from torch import Tensor, nn

from dreamsweep.compute.pool import pooled
from dreamsweep.compute.precision import of_network
from dreamsweep.errors import WeightsError
from dreamsweep.spec import WeightsName
from dreamsweep.weights import digest
from dreamsweep.weights import paths as weights_of
from dreamsweep.weights.safe import load_dalle_tensors
from dreamsweep.weights.starter import read_weights, write_weights


@dataclass(frozen=True)
class DvaeShape:
    """The arguments of `dall_e.Encoder` and `dall_e.Decoder` that differ from the published ones."""

    n_hid: int
    n_init: int
    codes: int


def build_decoder(shape: DvaeShape) -> nn.Module:
    """Returns a stock decoder with random weights: codes `b c h w` → `b 6 8h 8w`."""
    with _SmallSizesAllowed():
        return cast(nn.Module, Decoder(n_hid=shape.n_hid, n_init=shape.n_init, vocab_size=shape.codes))


def build_encoder(shape: DvaeShape) -> nn.Module:
    """Returns a stock encoder with random weights: pictures `b 3 8h 8w` → logits of codes `b c h w`."""
    with _SmallSizesAllowed():
        return cast(nn.Module, Encoder(n_hid=shape.n_hid, vocab_size=shape.codes))


def decode(decoder: nn.Module, codes: Tensor) -> Tensor:
    """Returns pictures in [0, 1], `b 3 8h 8w`, from (soft) one-hot codes, `b c h w`. The logit-Laplace scales are not used."""
    with of_network(codes.device):
        statistics = decoder(codes)
    return cast(Tensor, unmap_pixels(torch.sigmoid(statistics.float()[:, :3])))


def encode_logits(encoder: nn.Module, pictures: Tensor) -> Tensor:
    """Logits of the codes, `b c h/8 w/8`, of pictures in [0, 1], `b 3 h w`."""
    return cast(Tensor, encoder(map_pixels(pictures)))


class _SmallSizesAllowed:
    """The package's validators want at least 64 hidden channels; its networks do not."""

    def __enter__(self) -> None:
        self._before = attr.get_run_validators()
        attr.set_run_validators(False)

    def __exit__(self, *_: object) -> None:
        attr.set_run_validators(self._before)


@dataclass(frozen=True)
class Dvae:
    """A frozen dVAE on a device."""

    encoder: nn.Module
    decoder: nn.Module
    codes: int
    log_frequency: Tensor | None
    """`c y x`: the logarithm of how often each code stands at each place in training pictures, where that is known."""
    shapes: Tensor | None
    """`n 3 y x` in [0, 1]: average pictures of like things, to start from, where there are any."""
    sha256: str
    device: str


@pooled
def load_dvae(weights: WeightsName, device: str) -> Dvae:
    """Returns the dVAE by the name of its weights, frozen. Raises WeightsError when they are missing or damaged."""
    if weights == "published":
        return _load_published(device)
    tensors, metadata, sha256 = read_weights("starter-dvae")
    shape = DvaeShape(**json.loads(metadata["shape"]))
    networks = []
    for part, build in (("encoder.", build_encoder), ("decoder.", build_decoder)):
        network = build(shape)
        network.load_state_dict({key.removeprefix(part): value.float() for key, value in tensors.items() if key.startswith(part)})
        networks.append(network.eval().requires_grad_(False).to(device))
    return Dvae(
        networks[0],
        networks[1],
        shape.codes,
        tensors["log_frequency"].float().to(device),
        tensors["shapes"].float().to(device) / 255,
        sha256,
        device,
    )


def _load_published(device: str) -> Dvae:
    """OpenAI's: 8192 codes, 256 hidden channels. What their pictures usually look like is not known."""
    paths = weights_of("dall-e")
    encoder, decoder = (load_dalle_tensors(paths[f"{part}.pkl"]) for part in ("encoder", "decoder"))
    try:
        (n_init, codes), n_hid = decoder["blocks.input.w"].shape[:2], encoder["blocks.input.w"].shape[0]
        networks = [build(DvaeShape(n_hid, n_init, codes)) for build in (build_encoder, build_decoder)]
        for network, tensors in zip(networks, (encoder, decoder), strict=True):
            network.load_state_dict(tensors)
            network.eval().requires_grad_(False).to(device)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(":.")
        raise WeightsError(
            f"weights 'dall-e': the files in {paths['encoder.pkl'].parent} are not an encoder and a decoder that belong together "
            f"({reason}); "
            "delete them and fetch them again."
        ) from None
    return Dvae(networks[0], networks[1], codes, None, None, digest("dall-e"), device)


def save_dvae(path: Path, shape: DvaeShape, encoder: nn.Module, decoder: nn.Module, log_frequency: Tensor, shapes: Tensor) -> None:
    """Writes a dVAE's weights in half precision, and what pictures usually look like (`Dvae`)."""
    tensors = {f"encoder.{k}": v.half() for k, v in encoder.state_dict().items()}
    tensors |= {f"decoder.{k}": v.half() for k, v in decoder.state_dict().items()}
    tensors["log_frequency"] = log_frequency.half()
    tensors["shapes"] = shapes
    write_weights(path, tensors, {"shape": json.dumps(asdict(shape))})
