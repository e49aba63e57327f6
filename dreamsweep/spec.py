"""Every word that a sweep file may use: the YAML schema, the Prefect parameter and the identity of a trial at once.

`Sweep` is what a person writes; `dreamsweep.expand` turns it into `Trial`s, one prompt × engine × seed, fully determined.
Where a sweep may list several values for a setting, the `…Grid` twin of an engine's spec, derived from it, says so.
"""

import difflib
import hashlib
import json
import zoneinfo
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cronsim import CronSim, CronSimError
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    Tag,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import to_jsonable_python

DATE = "{date}"
"""Where a sweep's name takes the date."""
MAX_PROMPT = 2_000
"""Characters. A perceptor reads at most 77 tokens, some 300 characters; far past that is a paste gone wrong."""

PromptText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT)]
Share = Annotated[float, Field(gt=0, le=1)]
PerceptorName = Literal[
    "starter-guide", "starter-judge", "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px"
]
WeightsName = Literal["starter", "published"]
SchedulerName = Literal["ddim", "ddpm", "pndm", "euler", "euler-ancestral", "heun", "dpm++", "unipc"]
FilmFormat = Literal["webp", "gif", "mp4"]
Precision = Literal["default", "bfloat16"]
Curve = Literal["linear", "cosine", "exponential"]
"""How a number goes from one value to another."""
RateSchedule = Literal["constant", "linear", "cosine", "exponential", "steps"]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""A sweep's name: part of every key in the store."""
DatedName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,43}(\{date\}[a-z0-9._-]{0,9})?$|^[a-z0-9][a-z0-9._-]{0,62}$")]
"""The same, or with `{date}` in it, for a sweep that is made anew every day."""


class Spec(BaseModel):
    """Frozen, and closed to words that it does not know. What stands below a field describes it in schemas and forms as well."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    to: tuple[PromptText, ...] = ()
    """Texts that an interpolation goes on to, one after the other; other engines draw the text alone."""

    @field_validator("to", mode="before")
    @classmethod
    def _one_text(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class OptimizerSpec(Spec):
    """An optimizer by name; without a learning rate it takes the engine's own for that optimizer."""

    name: OptimizerName = "adam"
    learning_rate: PositiveFloat | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Drop(Spec):
    """From a share of the iterations on, the learning rate is what it was at first, multiplied by this."""

    at: Annotated[float, Field(ge=0, lt=1)]
    times: PositiveFloat


RATE_END, RATE_UNTIL = 0.1, 1.0
PAPER_DROPS = (Drop(at=0.5, times=0.4), Drop(at=0.75, times=0.1))
"""Of the points' learning rate in CLIPDraw."""

IMAGE_FIELDS = ("init_image", "to_image")
"""Fields of engines that name pictures on the user's disk."""


class WeightedPerceptor(Spec):
    """A guide among several, and its share of the pull."""

    name: PerceptorName
    weight: PositiveFloat = 1.0

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


GuideChoice = PerceptorName | Annotated[tuple[WeightedPerceptor, ...], Field(min_length=1)]


def guides_of(guide: GuideChoice) -> tuple[WeightedPerceptor, ...]:
    """The guides that one choice names, one or several."""
    return (WeightedPerceptor(name=guide),) if isinstance(guide, str) else guide


class ImageFile(Spec):
    """A picture to start from. Its content, not its path, is part of a trial's identity."""

    path: str
    sha256: str = ""
    """Filled in when the sweep file is read."""

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class AnySpec(Spec):
    """What every engine has in common."""

    num_iter: PositiveInt | None = None
    """Iterations of this engine; without it, the sweep's `iterations`."""


class SteeredSpec(AnySpec):
    """What every engine that a guide steers has in common."""

    cutouts: PositiveInt = 16
    """Random views of the picture that the guide sees in each iteration."""
    contrast: NonNegativeFloat = 1.0
    """How strongly the picture is kept from resembling about a thousand other things (0: not at all, as in the papers)."""
    init_image: ImageFile | None = None
    """A picture to start from: a path, relative to the sweep file."""


class GuidedSpec(SteeredSpec):
    """What every engine that descends a guide has in common."""

    optimizer: OptimizerSpec = OptimizerSpec()
    """Adam where none is named; without a learning rate, the engine's own for that optimizer."""
    rate_schedule: RateSchedule = "constant"
    """How the learning rate moves: towards `rate_end`, or in `rate_drops`."""
    rate_end: PositiveFloat | None = None
    """Where it goes, as a share of where it starts; above 1 it grows. 0.1 where a schedule goes somewhere."""
    rate_until: Share | None = None
    """The share of the iterations that it takes to get there; then it stays. 1 where a schedule goes somewhere."""
    rate_drops: Annotated[tuple[Drop, ...], Field(min_length=1)] | None = None
    """The drops of `steps`; without them CLIPDraw's: 0.4 of it from half of the iterations on, 0.1 from three quarters on."""
    early_stop: PositiveInt | None = None
    """Stop a trial whose judge's mark has not risen for this many iterations."""

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        """The learning rate that each optimizer takes here when a sweep names none."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _own_learning_rate(self) -> "GuidedSpec":  # not Self, which beartype refuses outside a class decorator
        if self.optimizer.learning_rate is None:
            rate = self.default_learning_rates()[self.optimizer.name]
            object.__setattr__(self, "optimizer", OptimizerSpec(name=self.optimizer.name, learning_rate=rate))
        return self

    @model_validator(mode="after")
    def _schedule_s_own_settings(self) -> "GuidedSpec":
        """What a schedule needs is there, what it has no use for is not: two trials that differ in nothing have one id."""
        goes = self.rate_schedule not in ("constant", "steps")
        object.__setattr__(self, "rate_end", (self.rate_end or RATE_END) if goes else None)
        object.__setattr__(self, "rate_until", (self.rate_until or RATE_UNTIL) if goes else None)
        object.__setattr__(self, "rate_drops", (self.rate_drops or PAPER_DROPS) if self.rate_schedule == "steps" else None)
        shares = [drop.at for drop in self.rate_drops or ()]
        if shares != sorted(set(shares)):
            raise ValueError(f"rate_drops: their 'at' is {shares}; each must come after the one before")
        return self


class DalleSpec(GuidedSpec):
    """Codes of DALL-E's discrete VAE, relaxed by a gumbel-softmax and descended (Ramesh et al., 2021; the Aleph notebooks)."""

    engine: Literal["dalle"] = "dalle"
    image_size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)] = 128
    """Pixels on a side; one code stands for 8 × 8 of them."""
    tau_start: PositiveFloat = 1.0
    tau_end: PositiveFloat = 0.5
    """Temperature of the gumbel-softmax at the first and at the last iteration (the Aleph notebooks: 2 and 1)."""
    tau_schedule: Curve = "linear"
    """How it goes from the one to the other."""
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
    start: Literal["noise", "mean", "shape"] = "shape"
    """Start from random codes, from the average picture's, or from the average shape that the guide likes best (starter weights)."""
    code_prior: NonNegativeFloat = 0.5
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
    """Strokes of a drawing."""
    max_width: PositiveFloat = 10.0
    """Widest stroke, pixels of a 224 canvas."""
    segments_max: Annotated[int, Field(ge=1, le=8)] = 3
    """A stroke has 1 to this many cubic segments."""
    background: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"
    """Colour of the paper."""
    width_rate: PositiveFloat = 0.1
    color_rate: PositiveFloat = 0.01
    """Learning rates of widths and colours, relative to the points'."""
    rate_schedule: RateSchedule = "steps"
    """How the learning rate moves: towards `rate_end`, or in `rate_drops`."""
    scheduled: Literal["points", "all"] = "points"
    """What the schedule moves: the points' learning rate (as in the paper), or the widths' and colours' as well."""
    cutouts: PositiveInt = 4
    """Random views of the drawing that the guide sees in each iteration."""

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 1.0, "adamw": 1.0, "sgd": 100.0, "rmsprop": 0.5, "adagrad": 3.0, "adadelta": 100.0}


class BigSleepSpec(GuidedSpec):
    """Noise and class vectors of a BigGAN, one of each a layer, descended (Brock et al., 2019; Big Sleep, Murdock, 2021).

    The published system's own settings are `cutouts: 128`, `contrast: 0`, `start: noise`, `class_weight: 1`, `ema_decay: 0.99`,
    `image_size: 512` and the guide ViT-B/32.
    """

    engine: Literal["big-sleep"] = "big-sleep"
    image_size: Literal[128, 256, 512] = 128
    """Pixels on a side, as the BigGAN draws them; the starter weights draw 128."""
    start: Literal["noise", "classes"] = "classes"
    """Start from random class vectors, or from the class that the guide likes best."""
    max_classes: PositiveInt | None = None
    """Mix at most so many classes in each layer; without it, any number."""
    class_temperature: PositiveFloat = 2.0
    """Of the softmax over the classes, with `max_classes`."""
    truncation: Share = 1.0
    """The truncation that the BigGAN's layers are told; the noise itself is free."""
    guide_weight: PositiveFloat = 10.0
    """Weight of the guide's loss; 10 makes it the published 100 times the cosine."""
    latent_weight: NonNegativeFloat = 1.0
    """Weight of what keeps the noise vectors normally distributed."""
    class_weight: NonNegativeFloat = 300.0
    """Weight of what keeps all classes but one low; the published system's 1 lets small networks draw what only a guide can name."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Pictures are drawn from a running average of the vectors with this decay; 0 draws the vectors as they are."""
    cutout_mean: Share = 0.8
    cutout_std: NonNegativeFloat = 0.3
    cutout_min: Share = 0.5
    cutout_max: Share = 0.95
    """Side of a cutout as a share of the picture: normal, clipped."""
    accumulate: PositiveInt = 1
    """See this many times `cutouts` in an iteration, `cutouts` at a time."""

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 0.07, "adamw": 0.03, "sgd": 15.0, "rmsprop": 0.05, "adagrad": 0.3, "adadelta": 50.0}


class FramesSpec(AnySpec):
    """What engines have in common whose iterations are pictures of their own."""

    easing: Literal["linear", "smooth"] = "linear"
    """From one prompt to the next: `smooth` goes slowly near each and fast between them."""
    frames_at_once: PositiveInt = 4
    """Pictures of each trial that are denoised together; fewer need less memory."""


class InterpolationSpec(FramesSpec):
    """Stable Diffusion from one prompt to the next: the same noise in every frame, the text's embedding moved between the two."""

    engine: Literal["interpolation"] = "interpolation"
    num_iter: PositiveInt = 50
    """Frames, the first and last of which are the prompts' own pictures."""
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=8)] | None = None
    """Pixels on a side; without it, what the model was trained on."""
    steps: PositiveInt = 25
    """Denoising steps of a frame."""
    guidance_scale: NonNegativeFloat = 7.5
    """Classifier-free guidance (Ho & Salimans, 2022); 1 and less is none."""
    scheduler: SchedulerName = "ddim"
    path: Literal["lerp", "slerp"] = "lerp"
    """Move along a straight line, or along the sphere that the embeddings lie near."""
    model: str = "stable-diffusion-1.5"
    """With published weights: a name of `dreamsweep weights list`, a folder in the format of diffusers, or a hub's `owner/name`."""


class GuidedDiffusionSpec(SteeredSpec):
    """Stable Diffusion steered by a guide's gradient on the picture that it foresees (Nichol et al., GLIDE, 2022, §2.3), or by itself."""

    engine: Literal["guided-diffusion"] = "guided-diffusion"
    num_iter: PositiveInt = 50
    """Denoising steps; an iteration is a step."""
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=8)] | None = None
    """Pixels on a side; without it, what the model was trained on."""
    guide_strength: NonNegativeFloat = 0.3
    """How far the guide moves the predicted noise in each step, as a share of the noise's own size; 0 leaves all to the model."""
    guidance_scale: NonNegativeFloat = 1.0
    """Classifier-free guidance (Ho & Salimans, 2022) beside it; 1 and less is none."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Noise added in each step: 0 is DDIM (Song et al., 2021), 1 is DDPM."""
    init_strength: Share = 0.7
    """How much of an initial picture is given up to noise; 1 keeps nothing of it."""
    cutout_mean: Share = 0.9
    cutout_std: NonNegativeFloat = 0.2
    cutout_min: Share = 0.6
    cutout_max: Share = 1.0
    """Side of a cutout as a share of the picture: normal, clipped."""
    noise: NonNegativeFloat = 0.05
    """Standard deviation of the noise on each cutout, pixels in [0, 1]."""
    rotation: NonNegativeFloat = 5.0
    """Largest turn of a cutout, degrees."""
    model: str = "stable-diffusion-1.5"
    """As for interpolation."""


class UnclipSpec(FramesSpec):
    """unCLIP (Ramesh et al., DALL-E 2, 2022): samples of a caption, variations of a picture, walks between captions or pictures."""

    engine: Literal["unclip"] = "unclip"
    num_iter: PositiveInt = 9
    """Pictures: samples, or the frames of a walk (where the prompt has `to`, or there is a `to_image`)."""
    conditioning: Literal["prior", "text", "caption"] = "prior"
    """What stands for the image embedding: the prior's, the text's own, or nothing beside the caption (the paper's ablation, figure 8)."""
    prior: Literal["diffusion", "autoregressive"] = "diffusion"
    """The paper's two; karlo has the diffusion prior alone."""
    prior_samples: PositiveInt = 2
    """Embeddings that the prior draws, of which the one nearest to the text's is kept."""
    prior_steps: PositiveInt = 25
    """Denoising steps of the diffusion prior."""
    prior_scale: NonNegativeFloat = 2.0
    """Its classifier-free guidance."""
    steps: PositiveInt = 25
    guidance_scale: NonNegativeFloat = 3.0
    """Steps and classifier-free guidance of the decoder. These, and the prior's, suit the starter weights; karlo's own are 4 and 8."""
    upsample_steps: PositiveInt = 7
    init_image: ImageFile | None = None
    """A picture to vary, or to walk from; its embedding then stands for the caption."""
    to_image: ImageFile | None = None
    """A picture to walk to from `init_image`."""
    components: PositiveInt | None = None
    """Keep so many principal components of a picture's embedding (the paper's §3.3), by the autoregressive prior's reckoning."""
    diff_angle: Share = 0.4
    """With `init_image` and a prompt's `to`: how much of the way towards the difference of the two texts the walk goes."""
    model: str = "karlo"
    """As for interpolation."""


GuidedEngineSpec = DalleSpec | StrokesSpec | BigSleepSpec
SteeredEngineSpec = GuidedEngineSpec | GuidedDiffusionSpec
EngineSpec = Annotated[SteeredEngineSpec | InterpolationSpec | UnclipSpec, Field(discriminator="engine")]
ENGINES: dict[str, type[AnySpec]] = {spec.model_fields["engine"].default: spec for spec in get_args(get_args(EngineSpec)[0])}
"""Each engine's name and its spec, read off the union."""


def listable(annotation: Any) -> bool:
    """Whether a field of this type may list several values in a sweep: numbers, optimizers and choices."""
    if annotation is OptimizerSpec or annotation in (int, float) or get_origin(annotation) is Literal:
        return True
    return any(listable(part) for part in get_args(annotation)) and str not in get_args(annotation)


def _grid_of(spec: type[AnySpec]) -> type[Spec]:
    """The same spec, with lists allowed where a sweep may multiply out."""
    fields: dict[str, Any] = {}
    for name, info in spec.model_fields.items():
        if name == "engine":
            fields[name] = (info.annotation, info.default)
            continue
        one: Any = OptimizerGrid if info.annotation is OptimizerSpec else _annotated(info)
        kind = Union[one, Annotated[tuple[one, ...], Field(min_length=1)]] if listable(info.annotation) else one  # noqa: UP007
        fields[name] = (kind, Field(default=None if name == "optimizer" else info.default, description=info.description))
    return create_model(spec.__name__.replace("Spec", "Grid"), __base__=Spec, __doc__=spec.__doc__, **fields)


def _annotated(info: Any) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


class OptimizerGrid(Spec):
    """An optimizer, with one learning rate or several."""

    name: OptimizerName
    learning_rate: PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


EngineGrid = Annotated[Union[*(_grid_of(spec) for spec in ENGINES.values())], Field(discriminator="engine")]  # type: ignore[valid-type]


class PromptFile(Spec):
    """Prompts from a file: `.txt`, one a line; `.csv`, columns `text`, and maybe `weight`, `negatives` and `to` (`|` between)."""

    file: str


class PromptTemplate(Spec):
    """One prompt for every combination: `template: "a {thing} of {name}"`, `lists: {thing: [bust], name: [steve jobs]}`."""

    template: PromptText
    lists: dict[str, tuple[str, ...]]
    negatives: tuple[Phrase, ...] = ()
    to: tuple[PromptText, ...] = ()
    """As in a prompt; the lists' names may stand in these as well."""

    @model_validator(mode="before")
    @classmethod
    def _plain_lists(cls, value: Any) -> Any:
        """The lists may stand beside the template: `{template: "a {thing}", thing: [bust, mask]}`."""
        if not isinstance(value, dict) or "lists" in value:
            return value
        known = {k: v for k, v in value.items() if k in cls.model_fields}
        return {**known, "lists": {k: v for k, v in value.items() if k not in cls.model_fields}}


def _kind_of_entry(entry: Any) -> str:
    """Which kind of prompt entry this is, by the word that only that kind has, so that an error speaks of that kind alone."""
    words = entry if isinstance(entry, dict) else getattr(entry, "model_fields_set", ())
    return "PromptTemplate" if "template" in words else "PromptFile" if "file" in words else "Prompt"


PromptEntry = Annotated[
    Annotated[Prompt, Tag("Prompt")] | Annotated[PromptTemplate, Tag("PromptTemplate")] | Annotated[PromptFile, Tag("PromptFile")],
    Discriminator(_kind_of_entry),
]


class SeedRange(Spec):
    """Seeds `start`, `start + 1`, …, `count` of them."""

    start: NonNegativeInt = 0
    count: PositiveInt
    daily: bool = False
    """Other seeds every day, counted from the date; the sweep's name holds `{date}` then."""


class Schedule(Spec):
    """When a sweep is made by itself, once it is deployed: `"0 2 * * *"`, or with a timezone. No part of any trial's identity."""

    cron: str
    """Minute, hour, day of the month, month, day of the week: `0 2 * * *` is every night at two."""
    timezone: str = "UTC"
    """Such as `Europe/Berlin`; two o'clock stays two o'clock when summer time comes and goes."""
    active: bool = True
    """`false` keeps the schedule, and starts nothing."""

    @model_validator(mode="before")
    @classmethod
    def _plain_cron(cls, value: Any) -> Any:
        return {"cron": value} if isinstance(value, str) else value

    @field_validator("cron")
    @classmethod
    def _comes(cls, cron: str) -> str:
        if len(cron.split()) != 5:
            raise ValueError("it takes five fields, such as '0 2 * * *' (minute, hour, day of the month, month, day of the week)")
        try:
            CronSim(cron, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"{str(error).lower()}; every night at two is '0 2 * * *'") from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        known = zoneinfo.available_timezones()
        if timezone not in known:
            near = difflib.get_close_matches(timezone, known, n=1)
            raise ValueError(f"no such timezone; did you mean {near[0]!r}" if near else "no such timezone; use one such as 'Europe/Berlin'")
        return timezone


class Sweep(Spec):
    """A night's work: prompts × engines × seeds."""

    name: DatedName
    """With `{date}` in it, such as `nightly-{date}`, a sweep of its own every day."""
    prompts: Annotated[tuple[PromptEntry, ...], Field(min_length=1)]
    engines: Annotated[tuple[EngineGrid, ...], Field(min_length=1)]  # type: ignore[valid-type]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | SeedRange = (0,)
    iterations: PositiveInt = 200
    snapshot_every: NonNegativeInt = 20
    """Iterations between the pictures kept along the way; 0 keeps none."""
    judge_every: PositiveInt = 10
    """Iterations between the judge's marks; the picture with the best mark is kept."""
    films: Annotated[tuple[FilmFormat, ...], Field(min_length=1)] = ("webp",)
    """The formats in which each trial's snapshots are kept as a film."""
    guide: GuideChoice = "starter-guide"
    """A perceptor, or several with weights that pull together: `[ViT-B/32, {name: RN50, weight: 0.5}]`."""
    judge: PerceptorName = "starter-judge"
    weights: WeightsName = "starter"
    precision: Precision = "default"
    """Arithmetic of the networks: `default` is float32 on a CPU, and on a GPU what each system's own code uses; `bfloat16` is faster where
    the hardware knows it, and the pictures differ."""
    shard_size: Annotated[int, Field(ge=1, le=1024)] = 8
    """Trials generated together, in one batch."""
    schedule: Schedule | None = None
    """When `dreamsweep deploy` has it made; without it, whenever somebody asks."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        """`prompts: names.txt` is short for a list of that one file."""
        return [{"file": value}] if isinstance(value, str) else value

    @field_validator("engines", mode="before")
    @classmethod
    def _plain_engines(cls, value: Any) -> Any:
        entries = [value] if isinstance(value, str | dict) else value
        return [{"engine": e} if isinstance(e, str) else e for e in entries] if isinstance(entries, list | tuple) else value

    @field_validator("films", mode="before")
    @classmethod
    def _one_film(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) else value

    @field_validator("seeds")
    @classmethod
    def _in_sweeps_of_their_own(cls, seeds: tuple[int, ...] | SeedRange, info: Any) -> tuple[int, ...] | SeedRange:
        """Under one name a day's trials would push those of the day before out of the manifest."""
        name = info.data.get("name", DATE)
        if isinstance(seeds, SeedRange) and seeds.daily and DATE not in name:
            raise ValueError(f"daily seeds want a sweep of their own every day; name it '{name}-{DATE}'")
        return seeds


class Trial(Spec):
    """One picture to make, fully determined: the same trial gives the same pixels wherever it runs."""

    prompt: Prompt
    engine: EngineSpec
    seed: NonNegativeInt
    guide: GuideChoice
    judge: PerceptorName
    weights: WeightsName
    snapshot_every: NonNegativeInt
    judge_every: PositiveInt
    films: tuple[FilmFormat, ...] = ("webp",)
    precision: Precision = "default"

    @cached_property
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
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else to_jsonable_python(value)
    for name in IMAGE_FIELDS:
        if isinstance(plain, dict) and isinstance(plain.get(name), dict):
            plain[name] = plain[name]["sha256"]
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def trial_id(*fields: str) -> str:
    """A trial's id from the canonical JSON of each of its fields, in the order of `Trial`."""
    text = ",".join(f'"{name}":{value}' for name, value in zip(_TRIAL_FIELDS, fields, strict=True))
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()[:16]
