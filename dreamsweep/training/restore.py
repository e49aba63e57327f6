"""Checkpoints from the weights that ship, so that training goes on from them."""

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from dreamsweep.training.training import save_checkpoint


def restore(shipped: Path, folder: Path) -> Iterator[str]:
    """Writes checkpoints to `folder` for the parts of the diffusion in `shipped`, where there are none yet; yields their names.

    They hold no state of an optimizer and stand at step 0: training begins anew, from weights that have learned before. The factor of the
    latents is kept, for the network knows them by it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    diffusion = shipped / "starter-diffusion"
    if not (folder / "vae.pt").exists():
        scale = json.loads((diffusion / "vae" / "config.json").read_text())["scaling_factor"]
        save_checkpoint({"vae": _weights(diffusion / "vae"), "scale": scale}, folder / "vae.pt")
        yield "vae"
    if not (folder / "diffusion.pt").exists():
        weights = _weights(diffusion / "unet")
        save_checkpoint({"step": 0, "network": weights, "average": weights}, folder / "diffusion.pt")
        yield "diffusion"


def _weights(part: Path) -> dict[str, Tensor]:
    (file,) = part.glob("*.safetensors")
    return {name: value.float() for name, value in load_file(file).items()}
