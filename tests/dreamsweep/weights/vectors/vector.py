"""What a test vector is, and random values for networks of any package."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dreamsweep.compute.model_folders import quiet

Outputs = dict[str, Tensor]
"""What a network makes of fixed inputs, by what it is."""
SEED = 11


@dataclass(frozen=True)
class Vector:
    """A published model with random values: how it is written in its format, and how dreamsweep reads it."""

    write: Callable[[Path, bool], Outputs]
    """Writes the files into the model's folder, at the published sizes or at small ones; returns what the package's network makes."""
    read: Callable[[], Outputs]
    """Loads the model as dreamsweep's engines do; returns the same, made by what was loaded."""
    tolerance: float = 1e-5
    """Largest difference, relative to the largest value of an output."""


@contextmanager
def random_values() -> Iterator[None]:
    """Has packages build networks from a fixed seed, without messages and gradients."""
    with quiet(), torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(SEED)
        yield


def vary(network: nn.Module) -> nn.Module:
    """Gives random values to those parameters that a package starts at a constant, such as 0 or 1: each must be read from the file."""
    for parameter in network.parameters():
        if parameter.min() == parameter.max():
            parameter.data += 0.1 * torch.rand_like(parameter)
    return network.eval().requires_grad_(False)


def fixed(*shape: int) -> Tensor:
    """Returns the same numbers in [0, 1) for the same shape, whoever asks."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(SEED))
