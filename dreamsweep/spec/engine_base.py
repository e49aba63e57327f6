"""Base classes of engines' specs: the settings that several engines share, and the facts that every engine states."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from dreamsweep.spec.base import OptimizerName, RateSchedule, Share, Spec, WeightsName, short_for
from dreamsweep.spec.facts import Easing, SettingRule, Steering, TakesTo
from dreamsweep.spec.prompts import Prompt


class OptimizerSpec(Spec):
    """An optimizer by name; without a learning rate it takes the engine's own for that optimizer."""

    name: OptimizerName = "adam"
    learning_rate: PositiveFloat | None = None

    _plain_name = short_for("name")


class Drop(Spec):
    """From a share of the iterations on, the learning rate is what it was at first, multiplied by this."""

    at: Annotated[float, Field(ge=0, lt=1)]
    times: PositiveFloat


RATE_END, RATE_UNTIL = 0.1, 1.0
PAPER_DROPS = (Drop(at=0.5, times=0.4), Drop(at=0.75, times=0.1))
"""Drops of the points' learning rate in CLIPDraw."""
IMAGE_FIELDS = ("init_image", "to_image")
"""Fields of engines that name pictures on the user's disk."""
UNKNOWN_SIDE = 512
"""Side, in pixels, that is assumed of pictures whose size only the weights know."""


class ImageFile(Spec):
    """A picture to start from. Its content, not its path, is part of a trial's identity."""

    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset({"path"})
    path: str
    sha256: str = ""
    """Filled in when the sweep file is read."""

    _plain_path = short_for("path")


class AnySpec(Spec):
    """Settings and facts of every engine.

    A fact is an attribute, a property or a method, never a field: it is no word of a sweep file and no part of a trial's identity.
    """

    ALWAYS_IDENTITY: ClassVar[frozenset[str]] = frozenset({"engine"})
    num_iter: PositiveInt | None = None
    """Iterations of this engine; without it, the sweep's `iterations`."""

    if TYPE_CHECKING:
        engine: str  # each engine's own field, a `Literal` of its name

    builder: ClassVar[str] = ""
    """The function that builds the engine, `module:function`. It is called with the spec, the sweep's `weights` and the device."""
    draws_frames: ClassVar[bool] = False
    """Whether iterations are pictures of their own: each is kept, and a sheet is made of them."""
    takes_to: ClassVar[TakesTo] = "ignored"
    form_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that the run form of Prefect shows; empty: all of the engine's own. No engine's may all be among another's."""
    setting_rules: ClassVar[tuple[SettingRule, ...]] = ()
    """Rules for settings that have an effect only beside others."""
    published_defaults: ClassVar[Mapping[str, Any]] = {}
    """Values that replace the defaults of settings with `weights: published`."""

    @property
    def steering(self) -> Steering | None:
        """How a guide steers this engine; None where it only observes."""
        return None

    @property
    def knows_concepts(self) -> bool:
        """Whether learned words (`concepts:`) mean something to this engine: its guide alone reads the prompt."""
        return self.steering is not None

    @property
    def picture_side(self) -> int:
        """Side of a picture in pixels, as far as the spec knows."""
        return int(getattr(self, "image_size", None) or UNKNOWN_SIDE)

    @property
    def own_optimizer(self) -> OptimizerSpec | None:
        """The optimizer, of engines that have one."""
        return None

    @property
    def patience(self) -> int | None:
        """Iterations without a better score after which a trial stops early; None where it never does."""
        return None

    @property
    def walk_easing(self) -> Easing:
        """Pace of a walk between prompts."""
        return "linear"

    @property
    def can_continue(self) -> bool:
        """Whether a longer trial can continue from a shorter one's last state: no iteration depends on how many there are."""
        return False

    def is_walk(self, prompt: Prompt) -> bool:
        """Returns whether the frames of a prompt lead from one thing to another."""
        return bool(prompt.to)

    def contradiction(self, weights: WeightsName) -> str | None:
        """Returns why these settings contradict each other and the cure, as the end of a sentence about the engine; None if they agree."""
        return None

    @property
    def divergence_hint(self) -> str:
        """What to change when a trial's loss is no longer a number: a sentence."""
        return "Try another seed, or other settings."

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        """Names of the weights that the engine loads, as `dreamsweep weights list` has them, or folders in the format of diffusers."""
        return ()

    @property
    def embeds_pictures(self) -> bool:
        """Whether the image encoder in the folder of the first of its weights is loaded as well."""
        return False

    def seconds_an_iteration(self) -> float | None:
        """Seconds on two CPU cores for an iteration of one trial with starter weights, in a batch of four to eight; None: not measured."""
        return None


CUTOUT_SECONDS = 0.0022
"""Seconds for one cutout, seen by the starter guide, forward and backward."""


ONE_START = SettingRule(
    "start", lambda spec, _: getattr(spec, "init_image", None) is None, "'init_image' decides where it starts; leave one of them out"
)
"""Rule of every engine with a `start`, whether or not it has an `init_image`."""


class SteeredSpec(AnySpec):
    """What every engine that a guide steers has in common."""

    cutouts: PositiveInt = 16
    """Random views of the picture that the guide sees in each iteration."""
    contrast: NonNegativeFloat = 1.0
    """How strongly the picture is kept from resembling about a thousand other things (0: not at all, as in the papers)."""
    init_image: ImageFile | None = None
    """A picture to start from: a path, relative to the sweep file, or the address of one in a store."""


_NEEDS_A_SCHEDULE = "it needs 'rate_schedule' linear, cosine or exponential"


class DescentSpec(SteeredSpec):
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
    """Stop a trial whose judge's score has not risen for this many iterations."""

    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        SettingRule("rate_end", lambda spec, _: spec.rate_end is not None, _NEEDS_A_SCHEDULE),
        SettingRule("rate_until", lambda spec, _: spec.rate_until is not None, _NEEDS_A_SCHEDULE),
        SettingRule("rate_drops", lambda spec, _: spec.rate_drops is not None, "it needs 'rate_schedule: steps'"),
    )

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        """Returns the learning rate that each optimizer takes here when a sweep names none."""
        raise NotImplementedError

    @property
    def own_optimizer(self) -> OptimizerSpec:
        return self.optimizer

    @property
    def patience(self) -> int | None:
        return self.early_stop

    @property
    def divergence_hint(self) -> str:
        return f"Lower learning_rate (it is {self.optimizer.learning_rate:g})."

    @model_validator(mode="after")
    def _own_learning_rate(self) -> "DescentSpec":  # not Self, which beartype refuses outside a class decorator
        if self.optimizer.learning_rate is None:
            rate = self.default_learning_rates()[self.optimizer.name]
            object.__setattr__(self, "optimizer", OptimizerSpec(name=self.optimizer.name, learning_rate=rate))
        return self

    @model_validator(mode="after")
    def _schedule_s_own_settings(self) -> "DescentSpec":
        """Checks that what a schedule needs is there and what it has no use for is not: two trials that differ in nothing have one id."""
        goes = self.rate_schedule not in ("constant", "steps")
        object.__setattr__(self, "rate_end", (self.rate_end or RATE_END) if goes else None)
        object.__setattr__(self, "rate_until", (self.rate_until or RATE_UNTIL) if goes else None)
        object.__setattr__(self, "rate_drops", (self.rate_drops or PAPER_DROPS) if self.rate_schedule == "steps" else None)
        shares = [drop.at for drop in self.rate_drops or ()]
        if shares != sorted(set(shares)):
            raise ValueError(f"rate_drops: their 'at' is {shares}; each must come after the one before")
        return self


class NoisedSpec(AnySpec):
    """What engines have in common that denoise: from noise alone, or from a picture with noise on it (SDEdit, Meng et al., 2022)."""

    start: Literal["noise", "thing"] = "noise"
    """Noise alone, or on it a picture of the thing that the prompt names, or whose name is nearest to it, as the BigGAN draws it (starter
    weights); on a walk, of each prompt's own thing."""
    init_strength: Share = 0.7
    """How much of a picture to start from is given up to noise; 1 keeps nothing of it."""

    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        SettingRule(
            "start",
            lambda spec, weights: weights == "starter" or spec.start == "noise",
            "only 'weights: starter' know pictures of things; with published ones, leave it out",
            in_each=True,
        ),
        ONE_START,
    )

    @property
    def noise_share(self) -> float:
        """Share of the denoising steps, of those from noise alone, that are done; less than 1 where it starts from a picture."""
        return self.init_strength if self.start == "thing" else 1.0


class FramesSpec(AnySpec):
    """What engines have in common whose iterations are pictures of their own."""

    NOT_IDENTITY: ClassVar[frozenset[str]] = frozenset({"frames_at_once"})
    easing: Easing = "linear"
    """From one prompt to the next: `smooth` goes slowly near each and fast between them."""
    frames_at_once: PositiveInt = 4
    """Pictures of each trial that are denoised together; fewer need less memory, and draw the same pictures but for rounding."""

    draws_frames: ClassVar[bool] = True

    @property
    def walk_easing(self) -> Easing:
        return self.easing

    @property
    def divergence_hint(self) -> str:
        return "Its picture holds no numbers: try another seed, or fewer steps."
