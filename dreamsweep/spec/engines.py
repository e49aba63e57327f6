"""What draws: an engine's settings, each fully determined."""

from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, StringConstraints, model_validator

from dreamsweep.spec.base import Curve, OptimizerName, RateSchedule, SchedulerName, Share, Spec, short_for


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
"""Of the points' learning rate in CLIPDraw."""


IMAGE_FIELDS = ("init_image", "to_image")
"""Fields of engines that name pictures on the user's disk."""


class ImageFile(Spec):
    """A picture to start from. Its content, not its path, is part of a trial's identity."""

    path: str
    sha256: str = ""
    """Filled in when the sweep file is read."""

    _plain_path = short_for("path")


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
