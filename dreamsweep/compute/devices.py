"""Where tensors live: the CPU, or an accelerator that torch finds; and whether networks are compiled for it."""

import os
import shutil
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dreamsweep.compute.threads import set_threads
from dreamsweep.environment import is_on
from dreamsweep.errors import DeviceError


def resolve_device(requested: str) -> str:
    """Returns the best device there is for `auto`; any other must be there. The first call sets the number of CPU threads.

    Raises DeviceError, and UserError where the environment says nonsense about threads.
    """
    set_threads()
    available = available_devices()
    if requested == "auto":
        return available[-1]
    if requested.split(":")[0] not in available:
        raise DeviceError(f"device {requested!r} is not there; this machine has {', '.join(available)} (or say 'auto').")
    return requested


def is_compiling() -> bool:
    """Returns whether networks are to be compiled (DREAMSWEEP_COMPILE). Raises DeviceError where there is no compiler for it."""
    if not is_on("DREAMSWEEP_COMPILE"):
        return False
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise DeviceError(f"DREAMSWEEP_COMPILE is set, but there is no compiler {compiler!r}; install one (Debian: g++), or unset it.")
    return True


def compile_if_asked(network: nn.Module) -> None:
    """Has a network compiled at its first call (`torch.compile`), where that is asked for; its results differ by rounding."""
    if is_compiling():
        network.compile()


@lru_cache(256)
def constant(values: tuple[float, ...], device: torch.device) -> Float[Tensor, " n"]:
    """Returns numbers as a tensor on a device, copied there once: each copy from the CPU would wait, and a recorded iteration cannot."""
    return torch.tensor(values).to(device)


def available_devices() -> list[str]:
    """Devices that torch can use here, the best one last."""
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.append("mps")
    if torch.cuda.is_available():
        available.append("cuda")
    return available
