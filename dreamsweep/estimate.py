"""How long a sweep may take: measured seconds an iteration, scaled by the settings that cost the most."""

from typing import assert_never

from dreamsweep.expand import Plan, engines
from dreamsweep.spec import (
    BigSleepSpec,
    DalleSpec,
    EngineSpec,
    GuidedDiffusionSpec,
    InterpolationSpec,
    StrokesSpec,
    Sweep,
    UnclipSpec,
    guides_of,
)

CUTOUT_SECONDS = 0.0022
"""One cutout, seen by the starter guide, forward and backward."""
BIG_SLEEP, GUIDED = 0.012, 0.06
"""The network's own share of an iteration at 128 px."""
DENOISED, DECODED, UPSAMPLED = 0.008, 0.016, 0.035
"""One denoising step of a frame: of the diffusion at 128 px, of unCLIP's decoder and of its upsampler."""


def seconds_an_iteration(spec: EngineSpec) -> float:
    """Seconds of two CPU cores for one iteration of one trial with starter weights, in a batch of four to eight."""
    match spec:
        case DalleSpec():
            return 0.05 * (spec.image_size / 128) ** 2 + CUTOUT_SECONDS * spec.cutouts
        case StrokesSpec():
            return 0.12 * (spec.canvas / 224) ** 2 * (spec.num_paths / 256) + CUTOUT_SECONDS * spec.cutouts
        case BigSleepSpec():
            return BIG_SLEEP + CUTOUT_SECONDS * spec.cutouts * spec.accumulate
        case GuidedDiffusionSpec():
            return GUIDED * ((spec.image_size or 128) / 128) ** 2 + CUTOUT_SECONDS * spec.cutouts
        case InterpolationSpec():
            return DENOISED * ((spec.image_size or 128) / 128) ** 2 * spec.steps
        case UnclipSpec():
            return DECODED * spec.steps + UPSAMPLED * spec.upsample_steps
        case _:
            assert_never(spec)


def estimate_seconds(sweep: Sweep, plan: Plan) -> float | None:
    """Seconds for the whole sweep on two CPU cores (a GPU takes far less); None where it cannot be told beforehand."""
    perceptors = [*(guide.name for guide in guides_of(sweep.guide)), sweep.judge]
    if sweep.weights == "published" or not all(name.startswith("starter-") for name in perceptors):
        return None
    specs = list(engines(sweep))
    each, total = plan.trials / max(1, len(specs)), 0.0
    for spec in specs:
        total += each * (spec.num_iter or sweep.iterations) * seconds_an_iteration(spec)
    return total
