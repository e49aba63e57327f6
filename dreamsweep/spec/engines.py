"""Specs of the engines that descend a guide: settings, fully determined, and facts."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, StringConstraints

from dreamsweep.spec.base import COLOUR, Curve, OptimizerName, RateSchedule, Share, WeightsName
from dreamsweep.spec.engine_base import CUTOUT_SECONDS, ONE_START, DescentSpec
from dreamsweep.spec.facts import BoxViews, PerspectiveViews, SettingRule, Sides, Steering, TurnedViews

OVER_A_PICTURE = 0.2
"""Learning rates of strokes that are laid over a picture, beside those of strokes anywhere: at full rate they lose it again."""


class DalleSpec(DescentSpec):
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
    start: Literal["noise", "mean", "shape", "thing"] = "shape"
    """Start from random codes, from the average picture's, from the average shape that the guide likes best, or from a picture of the
    thing that the prompt names, or whose name is nearest to it, as the BigGAN draws it (starter weights)."""
    code_prior: NonNegativeFloat = 0.5
    """Weight of the codes' own frequencies in training pictures (starter weights have them)."""
    smoothness: NonNegativeFloat = 0.0
    """Weight of the picture's total variation."""

    builder: ClassVar[str] = "dreamsweep.engines.dalle:make_dalle"
    form_settings: ClassVar[tuple[str, ...]] = ("image_size", "cutouts", "start", "smoothness")
    published_defaults: ClassVar[dict[str, Any]] = {"start": "noise", "code_prior": 0.0}
    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        *DescentSpec.setting_rules,
        ONE_START,
        SettingRule(
            "start",
            lambda spec, weights: weights == "starter" or spec.start == "noise",
            "only 'weights: starter' know usual pictures; with published ones, write 'start: noise'",
            in_each=True,
        ),
        SettingRule(
            "code_prior",
            lambda spec, weights: weights == "starter" or not spec.code_prior,
            "only 'weights: starter' know how frequent a code is; with published ones, leave it out",
            in_each=True,
        ),
    )

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 0.1, "adamw": 0.1, "sgd": 30.0, "rmsprop": 0.05, "adagrad": 0.3, "adadelta": 50.0}

    @property
    def steering(self) -> Steering:
        sides = Sides(self.cutout_mean, self.cutout_std, self.cutout_min, self.cutout_max)
        return Steering(TurnedViews(self.cutouts, sides, self.rotation, self.noise), self.contrast, by_angle=self.loss == "spherical")

    @property
    def can_continue(self) -> bool:
        return self.rate_schedule == "constant" and self.tau_start == self.tau_end

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        return (f"{weights}-dvae", "starter-biggan") if self.start == "thing" else (f"{weights}-dvae",)

    def seconds_an_iteration(self) -> float:
        return 0.05 * (self.image_size / 128) ** 2 + CUTOUT_SECONDS * self.cutouts


class StrokesSpec(DescentSpec):
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
    start: Literal["random", "shape", "thing"] = "random"
    """Strokes anywhere; or laid, broad and in its colours, over the average shape that the guide likes best, or over a picture of the
    thing that the prompt names, or whose name is nearest to it, as the BigGAN draws it (starter weights)."""
    background: Annotated[str, StringConstraints(pattern=COLOUR)] = "#ffffff"
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

    builder: ClassVar[str] = "dreamsweep.engines.strokes:make_strokes"
    form_settings: ClassVar[tuple[str, ...]] = ("num_paths", "max_width", "start", "background", "cutouts")
    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        *DescentSpec.setting_rules,
        ONE_START,
        SettingRule(
            "start",
            lambda spec, weights: weights == "starter" or spec.start == "random",
            "only 'weights: starter' know usual pictures; with published ones, leave it out",
            in_each=True,
        ),
        SettingRule("scheduled", lambda spec, _: spec.rate_schedule != "constant", "it needs a 'rate_schedule' other than constant"),
    )

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        rates: dict[OptimizerName, float] = {
            "adam": 1.0, "adamw": 1.0, "sgd": 100.0, "rmsprop": 0.5, "adagrad": 3.0, "adadelta": 100.0,
        }  # fmt: skip
        return rates if self.start == "random" else {name: rate * OVER_A_PICTURE for name, rate in rates.items()}

    @property
    def steering(self) -> Steering:
        return Steering(PerspectiveViews(self.cutouts, outside=self.background), self.contrast)

    @property
    def picture_side(self) -> int:
        return self.canvas

    @property
    def can_continue(self) -> bool:
        return self.rate_schedule == "constant"

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        return {"random": (), "shape": ("starter-dvae",), "thing": ("starter-biggan",)}[self.start]

    def seconds_an_iteration(self) -> float:
        return 0.12 * (self.canvas / 224) ** 2 * (self.num_paths / 256) + CUTOUT_SECONDS * self.cutouts


class BigSleepSpec(DescentSpec):
    """Noise and class vectors of a BigGAN, one of each a layer, descended (Brock et al., 2019; Big Sleep, Murdock, 2021).

    The published system's own settings are `cutouts: 128`, `contrast: 0`, `start: noise`, `class_weight: 1`, `ema_decay: 0.99`,
    `image_size: 512` and the guide ViT-B/32.
    """

    engine: Literal["big-sleep"] = "big-sleep"
    image_size: Literal[128, 256, 512] = 128
    """Pixels on a side, as the BigGAN draws them; the starter weights draw 128."""
    start: Literal["noise", "classes"] = "classes"
    """Start from random class vectors, or from the class that the prompt names, or whose name, or else picture, the guide finds nearest."""
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

    builder: ClassVar[str] = "dreamsweep.engines.big_sleep:make_big_sleep"
    form_settings: ClassVar[tuple[str, ...]] = ("start", "class_weight", "truncation", "cutouts")
    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        *DescentSpec.setting_rules,
        SettingRule("class_temperature", lambda spec, _: spec.max_classes is not None, "it needs 'max_classes'"),
    )

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 0.07, "adamw": 0.03, "sgd": 15.0, "rmsprop": 0.05, "adagrad": 0.3, "adadelta": 50.0}

    @property
    def boxes(self) -> BoxViews:
        """The views of an iteration."""
        sides = Sides(self.cutout_mean, self.cutout_std, self.cutout_min, self.cutout_max)
        return BoxViews(self.cutouts * self.accumulate, self.cutouts, sides)

    @property
    def steering(self) -> Steering:
        return Steering(self.boxes, self.contrast, chooses_whole=True)  # pictures of whole things: the right one is found more often

    @property
    def can_continue(self) -> bool:
        return self.rate_schedule == "constant"

    def contradiction(self, weights: WeightsName) -> str | None:
        if weights == "starter" and self.image_size != 128:
            return f"has image_size {self.image_size}, but the starter weights draw 128; set image_size to that, or weights: published"
        return None

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        return ("starter-biggan" if weights == "starter" else f"biggan-deep-{self.image_size}",)

    def seconds_an_iteration(self) -> float:
        return 0.012 + CUTOUT_SECONDS * self.boxes.count  # the network's own share, at 128 px
