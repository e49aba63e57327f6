"""What every part of a spec is made of: the model itself, and the names that more than one part knows."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, StringConstraints, model_validator

DATE = "{date}"
"""Where a sweep's name takes the date."""
MAX_PROMPT = 2_000
"""Characters. A perceptor reads at most 77 tokens, some 300 characters; far past that is a paste gone wrong."""

PromptText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT)]
Share = Annotated[float, Field(gt=0, le=1)]
MAX_SEED = 2**63 - 1
"""Largest seed: that of the tables' column, a 64-bit integer with a sign."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
PerceptorName = Literal[
    "starter-guide", "starter-judge", "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px",
    "openclip-vit-l-14", "openclip-vit-h-14", "siglip2-base", "siglip2-large", "fare2-vit-l-14", "pickscore", "hpsv2.1",
]  # fmt: skip
WeightsName = Literal["starter", "published"]
SchedulerName = Literal["ddim", "ddpm", "pndm", "euler", "euler-ancestral", "heun", "dpm++", "unipc"]
FilmFormat = Literal["webp", "gif", "mp4"]
Precision = Literal["default", "bfloat16"]
Curve = Literal["linear", "cosine", "exponential"]
"""How a number goes from one value to another."""
RateSchedule = Literal["constant", "linear", "cosine", "exponential", "steps"]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta"]
NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
"""Pattern of a name that can be part of a path."""
COLOUR = r"^#[0-9a-fA-F]{6}$"
"""Pattern of a colour: `#rrggbb`."""
Name = Annotated[str, StringConstraints(pattern=NAME)]
"""A sweep's name: part of every key in the store."""
DatedName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,43}(\{date\}[a-z0-9._-]{0,9})?$|^[a-z0-9][a-z0-9._-]{0,62}$")]
"""The same, or with `{date}` in it, for a sweep that is made anew every day."""


class Spec(BaseModel):
    """Frozen, and closed to words that it does not know. What stands below a field describes it in schemas and forms as well."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that decide no pixels, and so are no part of a trial's identity (`spec/trial.py`)."""
    ALWAYS_IDENTITY: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that are part of a trial's identity even at their defaults: they say which spec it is."""


def short_for(field: str) -> Any:
    """Lets a spec be written as the text of one of its fields alone: the validator that a class keeps under any name."""

    def spelt_out(value: Any) -> Any:
        return {field: value} if isinstance(value, str) else value

    return model_validator(mode="before")(spelt_out)


class WeightedPerceptor(Spec):
    """A guide among several, and its share of the pull."""

    name: PerceptorName
    weight: PositiveFloat = 1.0

    _plain_name = short_for("name")


GuideChoice = PerceptorName | Annotated[tuple[WeightedPerceptor, ...], Field(min_length=1)]


def guides_of(guide: GuideChoice) -> tuple[WeightedPerceptor, ...]:
    """Returns the guides that one choice names, one or several."""
    return (WeightedPerceptor(name=guide),) if isinstance(guide, str) else guide
