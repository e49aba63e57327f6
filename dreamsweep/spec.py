"""Every word that a sweep file may use: the YAML schema, the Prefect parameter and the identity of a trial at once.

`Sweep` is what a person writes; `dreamsweep.expand` turns it into `Trial`s, one prompt × engine × seed, fully determined.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

MAX_PROMPT = 2_000
"""Characters. A perceptor reads at most 77 tokens, some 300 characters; far past that is a paste gone wrong."""

PromptText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT)]
Share = Annotated[float, Field(gt=0, le=1)]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""A sweep's name: part of every key in the store."""


class Spec(BaseModel):
    """Frozen, and closed to words that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Phrase(Spec):
    """A text and how strongly it steers."""

    text: PromptText
    weight: PositiveFloat = 1.0

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value


class Prompt(Phrase):
    """What to draw: a text, further texts that steer along with it, and negatives that it is kept away from."""

    also: tuple[Phrase, ...] = ()
    negatives: tuple[Phrase, ...] = ()


class OptimizerSpec(Spec):
    """An optimizer by name; without a learning rate it takes the engine's own for that optimizer."""

    name: OptimizerName = "adam"
    learning_rate: PositiveFloat | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class GuidedSpec(Spec):
    """What every engine that descends a guide has in common."""

    optimizer: OptimizerSpec = OptimizerSpec()
    num_iter: PositiveInt | None = None
    """Iterations of this engine; without it, the sweep's `iterations`."""
    cutouts: PositiveInt = 16
    """Random views of the picture that the guide sees in each iteration."""
    contrast: NonNegativeFloat = 0.0
    """How strongly the picture is kept from resembling other things that the guide knows (0: not at all)."""
    init_image: str | None = None
    """A picture to start from: a path."""
    early_stop: PositiveInt | None = None
    """Stop a trial whose judge's mark has not risen for this many iterations."""

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        """The learning rate that each optimizer takes here when a sweep names none."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _own_learning_rate(self) -> Self:
        if self.optimizer.learning_rate is None:
            rate = self.default_learning_rates()[self.optimizer.name]
            object.__setattr__(self, "optimizer", OptimizerSpec(name=self.optimizer.name, learning_rate=rate))
        return self


class DalleSpec(GuidedSpec):
    """Codes of DALL-E's discrete VAE, relaxed by a gumbel-softmax and descended (Ramesh et al., 2021; the Aleph notebooks)."""

    engine: Literal["dalle"] = "dalle"
    image_size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)] = 128
    """Pixels on a side; one code stands for 8 × 8 of them."""
    tau_start: PositiveFloat = 2.0
    tau_end: PositiveFloat = 1.0
    """Temperature of the gumbel-softmax, falling in a straight line over the trial."""
    cutout_mean: Share = 0.8
    cutout_std: NonNegativeFloat = 0.3
    cutout_min: Share = 0.5
    cutout_max: Share = 0.98
    """Side of a cutout as a share of the picture: normal, clipped."""
    noise: NonNegativeFloat = 0.1
    """Standard deviation of the noise on each cutout, pixels in [0, 1]."""
    rotation: NonNegativeFloat = 15.0
    """Largest turn of a cutout, degrees."""
    loss: Literal["cosine", "spherical"] = "cosine"
    start: Literal["noise", "mean"] = "noise"
    """Start from random codes, or from the average picture's."""
    code_prior: NonNegativeFloat = 0.0
    """Weight of the codes' own frequencies in training pictures (starter weights have them)."""
    smoothness: NonNegativeFloat = 0.0
    """Weight of the picture's total variation."""

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 0.1, "adamw": 0.1, "sgd": 30.0, "rmsprop": 0.05, "adagrad": 0.3, "adadelta": 50.0}


class StrokesSpec(GuidedSpec):
    """Bézier strokes drawn to match a prompt (Frans et al., CLIPDraw, 2021)."""

    engine: Literal["strokes"] = "strokes"
    canvas: Annotated[int, Field(ge=32, le=1024)] = 224
    """Pixels on a side."""
    num_paths: PositiveInt = 256
    max_width: PositiveFloat = 10.0
    """Widest stroke, pixels of a 224 canvas."""
    segments_max: Annotated[int, Field(ge=1, le=8)] = 3
    """A stroke has 1 to this many cubic segments."""
    background: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"
    width_rate: PositiveFloat = 0.1
    color_rate: PositiveFloat = 0.01
    """Learning rates of widths and colours, relative to the points'."""
    cutouts: PositiveInt = 4

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 1.0, "adamw": 1.0, "sgd": 100.0, "rmsprop": 0.5, "adagrad": 3.0, "adadelta": 100.0}


EngineSpec = Annotated[DalleSpec | StrokesSpec, Field(discriminator="engine")]
ENGINES: dict[str, type[GuidedSpec]] = {
    spec.model_fields["engine"].default: spec for spec in get_args(get_args(EngineSpec)[0])
}
"""Each engine's name and its spec, read off the union."""


class Trial(Spec):
    """One picture to make, fully determined: the same trial gives the same pixels wherever it runs."""

    prompt: Prompt
    engine: EngineSpec
    seed: NonNegativeInt
    guide: str
    judge: str
    weights: str
    snapshot_every: NonNegativeInt
    judge_every: PositiveInt

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of the spec's canonical JSON."""
        return trial_id(*(canonical_json(getattr(self, name)) for name in _TRIAL_FIELDS))

    @property
    def num_iter(self) -> int:
        """Iterations; always there in an expanded trial."""
        if self.engine.num_iter is None:
            raise ValueError("a trial's engine names its num_iter")
        return self.engine.num_iter


_TRIAL_FIELDS = tuple(Trial.model_fields)


def canonical_json(value: Any) -> str:
    """The one spelling of a spec or plain value that identities are made of: sorted keys, no spaces, ASCII."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def trial_id(*fields: str) -> str:
    """A trial's id from the canonical JSON of each of its fields, in the order of `Trial`."""
    text = ",".join(f'"{name}":{value}' for name, value in zip(_TRIAL_FIELDS, fields, strict=True))
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()[:16]
