"""Where tensors live: the CPU, or an accelerator that torch finds."""

import torch

from dreamsweep.errors import DeviceError


def resolve_device(asked: str) -> str:
    """`auto` is the best device there is; any other must be there. Raises DeviceError."""
    found = available_devices()
    if asked == "auto":
        return found[-1]
    if asked.split(":")[0] not in found:
        raise DeviceError(f"device {asked!r} is not there; this machine has {', '.join(found)} (or say 'auto').")
    return asked


def available_devices() -> list[str]:
    """Devices that torch can use here, the best one last."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.cuda.is_available():
        found.append("cuda")
    return found
