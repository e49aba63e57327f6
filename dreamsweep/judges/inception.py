"""FID and KID proper: torchmetrics' own code, on the features of the Inception network that both are defined by.

Needs the extra `quality`. The network's file is read by our safe reader and handed on as plain tensors, as torch-fidelity would unpickle
whatever it is given.
"""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dreamsweep import weights
from dreamsweep.compute.pool import pooled
from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.errors import UserError

NAME = "inception"
"""Name of the network in judges' names and in the registry of weights."""
SUBSETS, SUBSET_SIZE = 100, 1_000
"""Draws of KID and pictures of each (Bińkowski et al., 2018, and torchmetrics' defaults); of fewer pictures all are taken, once."""


class Inception:
    """The network, with features as FID takes them: 2,048 of each picture."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self.network, self.device = network.to(device), device

    @torch.no_grad()
    def features(self, pictures: Sequence[UInt8[Tensor, "3 _ _"]]) -> Float[Tensor, "n d"]:
        """Returns the features of pictures of any sizes; the network scales them to 299 pixels itself."""
        return torch.cat([self.network(picture[None].to(self.device)).cpu() for picture in pictures])


def require_torchmetrics(judge: str) -> None:
    """Raises UserError where the extra is not installed."""
    declare_missing_ops()
    try:
        import torch_fidelity  # noqa: F401
        import torchmetrics  # noqa: F401
    except ImportError:
        raise UserError(f"judge {judge!r} needs an extra that is not installed: pip install 'dreamsweep[quality]'") from None


@pooled
def load_inception(device: str) -> Inception:
    """Returns the published network, downloaded at first use. Raises WeightsError where it cannot be had."""
    from torchmetrics.image.fid import NoTrainInceptionV3

    (path,) = weights.paths(NAME).values()
    with tempfile.TemporaryDirectory(prefix="dreamsweep-inception-") as folder:
        plain = Path(folder) / "tensors.pth"
        torch.save(weights.load_tensors(path), plain)
        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(plain))
    return Inception(network, device)


def fid(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> float:
    """Returns torchmetrics' FID of features (Heusel et al., 2017)."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    return float(_computed(FrechetInceptionDistance(_Features(real.shape[1])), real, generated))


def kid(real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"]) -> float:
    """Returns torchmetrics' KID of features (Bińkowski et al., 2018): the mean over its draws, the same ones each time."""
    from torchmetrics.image.kid import KernelInceptionDistance

    fewest = min(len(real), len(generated))
    is_drawn = max(len(real), len(generated)) > SUBSET_SIZE
    with warnings.catch_warnings(), _seeded():
        warnings.simplefilter("ignore")  # of the features that it holds
        metric = KernelInceptionDistance(_Features(real.shape[1]), subsets=SUBSETS if is_drawn else 1, subset_size=min(SUBSET_SIZE, fewest))
        return float(_computed(metric, real, generated)[0])


class _Features(nn.Module):
    """Stands for the network where its features are known already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def _computed(metric: Any, real: np.ndarray, generated: np.ndarray) -> Any:
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(generated), real=False)
    return metric.compute()


@contextmanager
def _seeded() -> Iterator[None]:
    """Gives torchmetrics, which takes no generator, the same draws each time, and leaves the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
