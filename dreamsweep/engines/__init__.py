"""Engines: each makes the pictures of a batch of trials, guided, and reports after every iteration.

An engine is a spec (`dreamsweep.spec`), which states the facts about it and names its builder, and a module here. It descends, or
is steered by, a guide and never learns what a perceptor is. Descent engines read the prompt only through the guide; a diffusion
engine reads `trial.prompt` for its own text encoder and asks the same guide for a gradient on the denoised picture, which is why
`generate` takes both.
"""

from importlib import import_module
from pathlib import Path

from dreamsweep.engines.protocol import Engine
from dreamsweep.spec import EngineSpec, WeightsName


def make_engine(spec: EngineSpec, weights: WeightsName, device: str) -> Engine:
    """Builds the engine of a spec, its weights loaded. Raises WeightsError when they are missing or damaged."""
    module, _, function = spec.builder.partition(":")
    engine: Engine = getattr(import_module(module), function)(spec, weights, device)
    return engine


def weights_used(spec: EngineSpec, weights: WeightsName) -> dict[str, str]:
    """Returns name and SHA-256 of each weight file that an engine draws with; files are hashed, nothing is loaded.

    Published weights are downloaded first. Raises WeightsError when a file is missing, damaged, or not what was published.
    """
    from dreamsweep.weights.hashes import find_folder, image_encoder_of, sha256_of

    used: dict[str, str] = {}
    for name in spec.weight_names(weights):
        is_folder = weights == "published" and Path(name).is_dir()
        used |= {name: find_folder("published", "", name)[2]} if is_folder else sha256_of(name)
    if spec.embeds_pictures:
        folder_name = spec.weight_names(weights)[0]
        encoder = image_encoder_of(find_folder(weights, folder_name, folder_name)[0])
        used |= sha256_of(encoder) if encoder else {}
    return used
