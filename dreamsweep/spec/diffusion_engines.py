"""Specs of the engines that denoise: settings, fully determined, and facts."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from dreamsweep.spec.base import SchedulerName, Share, WeightsName
from dreamsweep.spec.engine_base import CUTOUT_SECONDS, FramesSpec, ImageFile, NoisedSpec, SteeredSpec
from dreamsweep.spec.facts import SettingRule, Sides, Steering, TakesTo, TurnedViews
from dreamsweep.spec.prompts import Prompt

NEEDS_A_THING = SettingRule("init_strength", lambda spec, _: spec.start == "thing", "it needs 'start: thing'")


def _with_things(start: str, model: str) -> tuple[str, ...]:
    """Returns the names of the weights of a model and of what draws the things that it starts from."""
    return (model, "starter-biggan") if start == "thing" else (model,)


class InterpolationSpec(NoisedSpec, FramesSpec):
    """Stable Diffusion from one prompt to the next: the same noise in every frame, the text's embedding moved between the two, and the
    pictures of things with it, where it starts from such.
    """

    engine: Literal["interpolation"] = "interpolation"
    num_iter: PositiveInt = 50
    """Frames, the first and last of which are the prompts' own pictures."""
    image_size: Annotated[int, Field(ge=32, le=2048, multiple_of=8)] | None = None
    """Pixels on a side; without it, what the model was trained on."""
    steps: PositiveInt = 25
    """Denoising steps of a frame from noise; from a picture, the share of them that `init_strength` says."""
    guidance_scale: NonNegativeFloat = 7.5
    """Classifier-free guidance (Ho & Salimans, 2022); 1 and less is none."""
    scheduler: SchedulerName = "ddim"
    path: Literal["lerp", "slerp"] = "lerp"
    """Move along a straight line, or along the sphere that the embeddings lie near."""
    model: str = "stable-diffusion-1.5"
    """With published weights: a name of `dreamsweep weights list`, a folder in the format of diffusers, or a hub's `owner/name`."""

    builder: ClassVar[str] = "dreamsweep.engines.interpolation:make_interpolation"
    form_settings: ClassVar[tuple[str, ...]] = ("num_iter", "path", "easing", "guidance_scale")
    takes_to: ClassVar[TakesTo] = "required"
    setting_rules: ClassVar[tuple[SettingRule, ...]] = (*NoisedSpec.setting_rules, NEEDS_A_THING)

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        return _with_things(self.start, "starter-diffusion" if weights == "starter" else self.model)

    def seconds_an_iteration(self) -> float:
        return 0.008 * ((self.image_size or 128) / 128) ** 2 * self.steps * self.noise_share  # a denoising step at 128 px


class GuidedDiffusionSpec(NoisedSpec, SteeredSpec):
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

    builder: ClassVar[str] = "dreamsweep.engines.guided_diffusion:make_guided_diffusion"
    form_settings: ClassVar[tuple[str, ...]] = ("guide_strength", "guidance_scale", "eta", "num_iter", "start")
    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        *NoisedSpec.setting_rules,
        SettingRule(
            "init_strength",
            lambda spec, _: spec.init_image is not None or spec.start == "thing",
            "it needs an 'init_image' or 'start: thing'",
        ),
    )

    @property
    def noise_share(self) -> float:
        return self.init_strength if self.init_image is not None else super().noise_share

    @property
    def steering(self) -> Steering:
        sides = Sides(self.cutout_mean, self.cutout_std, self.cutout_min, self.cutout_max)
        return Steering(TurnedViews(self.cutouts, sides, self.rotation, self.noise), self.contrast)

    @property
    def knows_concepts(self) -> bool:
        return False  # the diffusion model reads the prompt as well, by a text encoder of its own

    @property
    def divergence_hint(self) -> str:
        return f"Lower guide_strength (it is {self.guide_strength:g})."

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        return _with_things(self.start, "starter-diffusion" if weights == "starter" else self.model)

    def seconds_an_iteration(self) -> float:
        return 0.06 * ((self.image_size or 128) / 128) ** 2 + CUTOUT_SECONDS * self.cutouts


class UnclipSpec(NoisedSpec, FramesSpec):
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
    """Steps (from a thing's picture, the share of them that `init_strength` says) and classifier-free guidance of the decoder. These, and
    the prior's, suit the starter weights; karlo's own are 4 and 8."""
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

    builder: ClassVar[str] = "dreamsweep.engines.unclip:make_unclip"
    form_settings: ClassVar[tuple[str, ...]] = ("num_iter", "conditioning", "prior", "prior_samples")
    takes_to: ClassVar[TakesTo] = "optional"
    setting_rules: ClassVar[tuple[SettingRule, ...]] = (
        *NoisedSpec.setting_rules,
        NEEDS_A_THING,
        SettingRule(
            "components", lambda spec, _: spec.init_image is not None, "it chooses among the components of an 'init_image'; name one"
        ),
        SettingRule(
            "prior",
            lambda spec, _: spec.init_image is None and spec.start == "noise" and spec.conditioning == "prior",
            "a prior draws only with 'conditioning: prior', and without 'init_image' and 'start: thing'",
        ),
    )

    def is_walk(self, prompt: Prompt) -> bool:
        return bool(prompt.to) or self.to_image is not None

    def contradiction(self, weights: WeightsName) -> str | None:
        if self.to_image is not None and self.init_image is None:
            return "has a 'to_image' but no 'init_image' to walk from; name both"
        return None

    @property
    def embeds_pictures(self) -> bool:
        return self.init_image is not None or self.start == "thing"

    def weight_names(self, weights: WeightsName) -> tuple[str, ...]:
        return _with_things(self.start, "starter-unclip" if weights == "starter" else self.model)

    def seconds_an_iteration(self) -> float:
        return 0.016 * self.steps + 0.035 * self.upsample_steps  # a step of the decoder, and of the upsampler
