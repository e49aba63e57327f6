"""DALL-E's encoder and decoder as pickled modules. Sizes: the defaults of `dall_e.Encoder` and `dall_e.Decoder`."""

from pathlib import Path

import torch
from dall_e import Decoder, Encoder, map_pixels, unmap_pixels

from dreamsweep.models.dvae import build_decoder, build_encoder, decode, encode_logits, load_dvae
from tests.dreamsweep.weights.tiny_models import DVAE, aged
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector, fixed, random_values, vary

SIDE = 32


def write(folder: Path, full: bool) -> Outputs:
    """Writes both pickles as a torch of 2021 did; returns what the networks make."""
    with random_values():
        encoder, decoder = (Encoder(), Decoder()) if full else (build_encoder(DVAE), build_decoder(DVAE))
        for network in (encoder, decoder):
            vary(network)
        logits = encoder(map_pixels(fixed(1, 3, SIDE, SIDE)))
        drawn = unmap_pixels(torch.sigmoid(decoder(logits.softmax(1))[:, :3]))
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        torch.save(aged(network), folder / f"{name}.pkl")
    return {"codes": logits, "picture": drawn}


@torch.no_grad()
def read() -> Outputs:
    """Returns what the dVAE of the engine makes of the same."""
    dvae = load_dvae("published", "cpu")
    logits = encode_logits(dvae.encoder, fixed(1, 3, SIDE, SIDE))
    return {"codes": logits, "picture": decode(dvae.decoder, logits.softmax(1))}


DALLE = {"dall-e": Vector(write, read)}
