"""Engines: each makes the pictures of a batch of trials, guided, and says after every iteration how it went.

An engine is a spec (`dreamsweep.spec`), a module here and a case in `make_engine`. It descends, or is steered by, a guide and
never learns what a perceptor is. Descent engines read the prompt only through the guide; a diffusion engine reads
`trial.prompt` for its own text encoder and asks the same guide for a gradient on the denoised picture, which is why `generate`
takes both.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dreamsweep.spec import (
    BigSleepSpec,
    DalleSpec,
    EngineSpec,
    GuidedDiffusionSpec,
    InterpolationSpec,
    StrokesSpec,
    Trial,
    UnclipSpec,
    WeightsName,
)

State = dict[str, Tensor]
"""All that a batch needs to go on, under flat names, so that it can be kept as safetensors."""


@dataclass(frozen=True)
class Guidance:
    """What a guide says of a batch of pictures: a differentiable loss, and the cosine similarity to each prompt."""

    loss: Float[Tensor, "b"]
    similarity: Float[Tensor, "b"]
    each: Float[Tensor, "b m"] | None = None
    """Similarity to each of several prompts that a trial passes; NaN beyond a trial's last."""


@runtime_checkable
class Guide(Protocol):
    """Pictures in [0, 1], `b 3 h w` → how far each is from what it should show."""

    def __call__(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> Guidance: ...


@runtime_checkable
class Chooser(Guide, Protocol):
    """A guide that can also say, quickly, which of many pictures to start from."""

    def weigh(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n b"]:
        """The loss that each picture would have in each trial of the batch."""
        ...


@dataclass(frozen=True)
class Step:
    """A batch after one iteration, counted from 1."""

    iteration: int
    loss: Float[Tensor, "b"]
    """Detached; NaN marks a trial that has diverged."""
    similarity: Float[Tensor, "b"]
    learning_rate: float
    """NaN for engines without an optimizer."""
    draw: Callable[[], Float[Tensor, "b 3 h w"]]
    """The pictures after this iteration, in [0, 1], without gradient."""
    state: Callable[[], State]
    each: Float[Tensor, "b m"] | None = None
    """As in `Guidance`."""
    svg: Callable[[], list[str]] | None = None
    """The pictures as SVG, for engines that draw strokes."""


@runtime_checkable
class Engine(Protocol):
    """Makes a batch of trials that share one engine spec, each with its own prompt and seed."""

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        """Goes from the first iteration, or from `state`, to the trials' `num_iter`, one `Step` an iteration.

        A trial whose loss is NaN keeps its place in the batch and no longer moves; its batch-mates go on.
        """
        ...


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

            unclip = load_unclip(weights, spec.model, device)
            return {unclip.name: unclip.sha256}
        case _:
            assert_never(spec)
