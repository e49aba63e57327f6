"""Checkpoints from the weights that ship, so that training goes on from them."""

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from dreamsweep.models.biggan import load_biggan
from dreamsweep.training.train_biggan import restored
from dreamsweep.training.training import save_checkpoint
from dreamsweep.weights.starter import weights_folder


def restore(folder: Path) -> Iterator[str]:
    """Writes checkpoints of the BigGAN and the diffusion that ship to `folder`, where there are none yet; yields their names.

    They hold no state of an optimizer and stand at step 0: training begins anew, from weights that have learned before. The factor of the
    latents is kept, for the network knows them by it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "biggan.pt").exists():
        generator = restored(load_biggan("starter", 128, "cpu").model)
        save_checkpoint({"step": 0, "network": generator, "average": generator}, folder / "biggan.pt")
        yield "biggan"
    diffusion = weights_folder() / "starter-diffusion"
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
