"""Engines: each makes the pictures of a batch of trials, guided, and says after every iteration how it went.

An engine is a spec (`dreamsweep.spec`), a module here and a case in `make_engine`. It descends, or is steered by, a guide and
never learns what a perceptor is. Descent engines read the prompt only through the guide; a diffusion engine reads
`trial.prompt` for its own text encoder and asks the same guide for a gradient on the denoised picture, which is why `generate`
takes both.
"""

from typing import assert_never

from dreamsweep.engines.protocol import Engine
from dreamsweep.spec import (
    BigSleepSpec,
    DalleSpec,
    EngineSpec,
    GuidedDiffusionSpec,
    InterpolationSpec,
    StrokesSpec,
    UnclipSpec,
    WeightsName,
)


def make_engine(spec: EngineSpec, weights: WeightsName, device: str) -> Engine:
    """The engine that a spec asks for, its weights loaded. Raises WeightsError when they are missing or damaged."""
    match spec:
        case DalleSpec():
            from dreamsweep.codes import load_dvae
            from dreamsweep.engines.dalle import DalleEngine

            return DalleEngine(spec, load_dvae(weights, device))
        case StrokesSpec():
            from dreamsweep.engines.strokes import StrokesEngine

            return StrokesEngine(spec, device)
        case BigSleepSpec():
            from dreamsweep.biggan import load_biggan
            from dreamsweep.engines.big_sleep import BigSleepEngine

            return BigSleepEngine(spec, load_biggan(weights, spec.image_size, device))
        case GuidedDiffusionSpec():
            from dreamsweep.diffusion import load_stable_diffusion
            from dreamsweep.engines.guided_diffusion import GuidedDiffusionEngine

            return GuidedDiffusionEngine(spec, load_stable_diffusion(weights, spec.model, device))
        case UnclipSpec():
            from dreamsweep.engines.unclip import UnclipEngine
            from dreamsweep.unclip import load_unclip

            return UnclipEngine(spec, load_unclip(weights, spec.model, device))
        case InterpolationSpec():
            from dreamsweep.diffusion import load_stable_diffusion
            from dreamsweep.engines.interpolation import InterpolationEngine

            return InterpolationEngine(spec, load_stable_diffusion(weights, spec.model, device))
        case _:
            assert_never(spec)


def weights_used(spec: EngineSpec, weights: WeightsName, device: str) -> dict[str, str]:
    """Name and SHA-256 of each weight file that an engine draws with."""
    match spec:
        case DalleSpec():
            from dreamsweep.codes import load_dvae

            return {f"{weights}-dvae": load_dvae(weights, device).sha256}
        case StrokesSpec():
            return {}
        case BigSleepSpec():
            from dreamsweep.biggan import load_biggan

            biggan = load_biggan(weights, spec.image_size, device)
            return {biggan.name: biggan.sha256}
        case InterpolationSpec() | GuidedDiffusionSpec():
            from dreamsweep.diffusion import load_stable_diffusion

            model = load_stable_diffusion(weights, spec.model, device)
            return {model.name: model.sha256}
        case UnclipSpec():
            from dreamsweep.unclip import load_unclip

            return load_unclip(weights, spec.model, device).weights_used(spec)
        case _:
            assert_never(spec)
