"""Trials of whole sets of weights: a picture by each engine that uses them, and whether they do what trained weights do."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.compute.precision import iterate_with_precision
from dreamsweep.engines import make_engine
from dreamsweep.errors import WeightsError
from dreamsweep.generation.sanity import (
    LEAST_GAIN,
    THINGS,
    Recognition,
    class_pictures,
    decibels,
    fault_of,
    finds_things,
    index_of,
    names_things,
    ranks,
    recognised,
    recognises_things,
    shown_pictures,
)
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.targets import shrink
from dreamsweep.judges.auditor import load_auditor
from dreamsweep.models.biggan import load_biggan
from dreamsweep.models.dvae import decode, encode_logits, load_dvae
from dreamsweep.models.image_encoder import load_image_encoder
from dreamsweep.models.starter_segmenter import load_starter_segmenter
from dreamsweep.models.unclip import load_unclip
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import (
    BigSleepSpec,
    DalleSpec,
    EngineSpec,
    GuidedDiffusionSpec,
    InterpolationSpec,
    PerceptorName,
    Prompt,
    StrokesSpec,
    Trial,
    UnclipSpec,
    WeightsName,
)
from dreamsweep.weights import fetch
from dreamsweep.weights.starter import STARTER_FOLDERS, STARTER_NAMES

Verdict = Literal["sane", "not sane", "unsure"]
Kind = Literal["perceptor", "auditor", "segmenter", "dvae", "biggan", "stable-diffusion", "unclip", "image-encoder"]
OnShare = Callable[[float], None]
"""Function that receives how much of a set of weights is done, from 0 to 1."""
PROMPTS = ("a red heart", "a rocket")
"""Prompts to draw: two things that every set of weights with a text encoder should know."""
STARTER_KINDS: dict[str, Kind] = {
    "starter-guide": "perceptor", "starter-judge": "perceptor", "starter-auditor": "auditor", "starter-segmenter": "segmenter",
    "starter-dvae": "dvae", "starter-biggan": "biggan", "starter-diffusion": "stable-diffusion", "starter-unclip": "unclip",
}  # fmt: skip
IMAGENET = {"zebra": 340, "giant panda": 388, "pizza": 963, "daisy": 985}
"""Classes of the published BigGANs that a perceptor is shown, by their places in ImageNet's list."""
TRUNCATION = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of trying one set of weights."""

    name: str
    verdict: Verdict
    reason: str
    """A sentence without its full stop."""
    pictures: dict[str, Tensor] = field(default_factory=dict)
    """Pictures in [0, 1], `n 3 h w`, by what drew them: an engine's name, or `rebuilt` and `classes` of the network alone."""


def kind_of(name: str) -> Kind | None:
    """Returns what a set of weights is, by its name and its cached files; None where no engine uses it."""
    if name in STARTER_KINDS:
        return STARTER_KINDS[name]
    if name in get_args(PerceptorName):
        return "perceptor"
    if name == "dall-e":
        return "dvae"
    if name.startswith("biggan-deep-"):
        return "biggan"
    if name == "karlo-image-encoder":
        return "image-encoder"
    if "model_index.json" not in fetch.entry(name).files:
        return None
    pipeline = json.loads((fetch.folder(name) / "model_index.json").read_bytes()).get("_class_name", "")
    return "unclip" if pipeline == "UnCLIPPipeline" else "stable-diffusion"


def try_weights(names: Sequence[str], device: str, on_share: Callable[[str, float], None] = lambda name, share: None) -> Iterator[Outcome]:
    """Tries sets of weights, perceptors first: the first published one that is sane judges what published networks draw.

    Starter weights by the names of their files; published ones, which must be in the cache, by the registry's. Weights that cannot be
    read are not sane.
    """
    kinds = {name: kind for name in names if (kind := kind_of(name))}
    judge: PerceptorName | None = None
    for name in sorted(kinds, key=lambda name: (kinds[name] != "perceptor", names.index(name))):
        tried = _Tried(name, _owner(name), device, judge, partial(on_share, name))
        try:
            outcome = TRIALS[kinds[name]](tried)
        except WeightsError as error:
            outcome = Outcome(name, "not sane", str(error).rstrip("."))
        if kinds[name] == "perceptor" and outcome.verdict == "sane" and judge is None and _owner(name) == "published":
            judge = cast(PerceptorName, name)
        yield outcome


def _owner(name: str) -> WeightsName:
    return "starter" if name in (*STARTER_NAMES, *STARTER_FOLDERS) else "published"


@dataclass(frozen=True)
class _Tried:
    """One set of weights while it is tried."""

    name: str
    weights: WeightsName
    device: str
    published_judge: PerceptorName | None
    on_share: OnShare

    @property
    def judge(self) -> PerceptorName | None:
        """The perceptor that recognises what the network draws: no starter, which know emoji alone, of published networks."""
        return "starter-judge" if self.weights == "starter" else self.published_judge

    @property
    def guide(self) -> PerceptorName:
        """The perceptor that steers where an engine needs one."""
        return "starter-guide" if self.weights == "starter" else self.published_judge or "starter-guide"

    def draw(self, spec: EngineSpec, guide: PerceptorName | None = None, part: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """Draws both prompts by an engine, `2 3 h w`; `part` is what of the bar the drawing takes."""
        guide = guide or self.guide
        trials = [self._trial(spec, guide, texts) for texts in ([PROMPTS] if spec.takes_to != "ignored" else zip(PROMPTS))]
        steps = make_engine(spec, self.weights, self.device).generate(
            trials, make_guide([(load_perceptor(guide, self.device), 1.0)], trials)
        )
        pictures = []
        for step in iterate_with_precision("default", steps):
            if spec.draws_frames or step.iteration == spec.num_iter:
                pictures.append(step.draw().float().cpu())
            self.on_share(part[0] + (part[1] - part[0]) * step.iteration / trials[0].num_iter)
        return torch.cat(pictures)

    def _trial(self, spec: EngineSpec, guide: PerceptorName, texts: Sequence[str]) -> Trial:
        return Trial(prompt=Prompt(text=texts[0], to=tuple(texts[1:])), engine=spec, seed=0, guide=guide, weights=self.weights)

    def outcome(self, right: bool, reason: str, pictures: dict[str, Tensor], shown: Tensor | None = None) -> Outcome:
        """Returns an outcome; whatever was measured, a network that shows blank pictures or noise is not sane."""
        if shown is not None and (fault := fault_of(shown)):
            return Outcome(self.name, "not sane", f"its pictures {fault}; {reason}", pictures)
        return Outcome(self.name, "sane" if right else "not sane", reason, pictures)

    def judged(self, drawn: Tensor, texts: Sequence[str], pictures: dict[str, Tensor]) -> Outcome:
        """Returns an outcome by what the judge recognises; unsure where there is no judge."""
        if self.judge is None:
            outcome = self.outcome(True, "no published CLIP in the cache is sane, so nothing here can say what it drew", pictures, drawn)
            return replace(outcome, verdict="unsure") if outcome.verdict == "sane" else outcome
        seen = recognised(load_perceptor(self.judge, self.device), drawn.to(self.device), texts)
        return self.outcome(seen.enough, f"{self.judge} recognises {seen} pictures among a hundred names", pictures, drawn)


def _try_perceptor(tried: _Tried) -> Outcome:
    name = cast(PerceptorName, tried.name)
    seen = recognises_things(load_perceptor(name, tried.device), shown_pictures(tried.device))
    few = tried.weights == "published" and tried.device == "cpu"  # where the largest take half a minute for an iteration
    spec = StrokesSpec(num_paths=96, num_iter=20, cutouts=4) if few else StrokesSpec(num_paths=96, num_iter=100, cutouts=8)
    pictures = {"strokes": tried.draw(spec, guide=name)}
    return tried.outcome(seen.enough, f"it names {seen} pictures of the starter BigGAN", pictures)


def _try_auditor(tried: _Tried) -> Outcome:
    seen = names_things(load_auditor(tried.device), shown_pictures(tried.device))
    most = 2 * seen.right > seen.count  # of a thousand names, and from pictures less sharp than those that it learned
    return tried.outcome(most, f"it names {seen} pictures of the starter BigGAN", {})


def _try_segmenter(tried: _Tried) -> Outcome:
    seen = finds_things(load_starter_segmenter(tried.device), shown_pictures(tried.device))
    return tried.outcome(2 * seen.right > seen.count, f"it finds the thing in {seen} pictures of the starter BigGAN", {})


def _try_dvae(tried: _Tried) -> Outcome:
    dvae, shown = load_dvae(tried.weights, tried.device), shown_pictures(tried.device)
    with torch.no_grad():
        codes = encode_logits(dvae.encoder, shown).argmax(1)
        rebuilt = decode(dvae.decoder, F.one_hot(codes, dvae.codes).movedim(3, 1).float())
    gained, plain = decibels(shown, rebuilt), decibels(shown, shown.mean((2, 3), keepdim=True).expand_as(shown))
    pictures = {"rebuilt": rebuilt.cpu(), "dalle": tried.draw(DalleSpec(image_size=128, num_iter=30, cutouts=8))}
    reason = f"it rebuilds {len(THINGS)} pictures of the starter BigGAN at {gained:.1f} dB, where one colour each gives {plain:.1f}"
    return tried.outcome(gained >= plain + LEAST_GAIN, reason, pictures, rebuilt.cpu())


def _try_biggan(tried: _Tried) -> Outcome:
    starter = tried.weights == "starter"
    side: Any = 128 if starter else int(tried.name.rpartition("-")[2])
    biggan = load_biggan(tried.weights, side, tried.device)
    texts = [f"a {name}" for name in (THINGS if starter else IMAGENET)]
    places = [index_of(name, biggan.names) for name in THINGS] if starter else list(IMAGENET.values())
    drawn = class_pictures(biggan, places, TRUNCATION, TRUNCATION).cpu()
    start: Literal["classes", "noise"] = "classes" if starter else "noise"  # all of ImageNet's would take minutes to weigh
    pictures = {"classes": drawn, "big-sleep": tried.draw(BigSleepSpec(image_size=side, num_iter=20, start=start))}
    return tried.judged(drawn, texts, pictures)


def _try_stable_diffusion(tried: _Tried) -> Outcome:
    walk = InterpolationSpec(num_iter=len(PROMPTS), model=tried.name, frames_at_once=1)
    pictures = {"interpolation": tried.draw(walk, part=(0.0, 0.5))}
    guided = GuidedDiffusionSpec(num_iter=20, guidance_scale=5.0, cutouts=8, model=tried.name)
    pictures["guided-diffusion"] = tried.draw(guided, part=(0.5, 1.0))
    return tried.judged(pictures["interpolation"], PROMPTS, pictures)


def _try_unclip(tried: _Tried) -> Outcome:
    scales: dict[str, Any] = {} if tried.weights == "starter" else {"prior_scale": 4.0, "guidance_scale": 8.0}
    drawn = tried.draw(UnclipSpec(num_iter=len(PROMPTS), model=tried.name, frames_at_once=1, **scales))
    return tried.judged(drawn, PROMPTS, {"unclip": drawn})


@torch.no_grad()
def _try_image_encoder(tried: _Tried) -> Outcome:
    if fetch.missing_files(fetch.entry("karlo")):
        return Outcome(tried.name, "unsure", "it says nothing without karlo, which is not in the cache")
    texts = load_unclip("published", "karlo", tried.device).read([f"a {name}" for name in THINGS]).embedding
    encoder, shown = load_image_encoder(fetch.folder("karlo"), tried.device), shown_pictures(tried.device)
    embedded = encoder.embed(shrink(shown, encoder.resolution))
    right = (ranks(F.normalize(texts.float(), dim=1), embedded) == 1).sum()
    named = Recognition(int(right), len(THINGS))
    return tried.outcome(named.enough, f"with karlo's text encoder, it names {named} pictures of the starter BigGAN", {})


TRIALS: dict[Kind, Callable[[_Tried], Outcome]] = {
    "perceptor": _try_perceptor,
    "auditor": _try_auditor,
    "segmenter": _try_segmenter,
    "dvae": _try_dvae,
    "biggan": _try_biggan,
    "stable-diffusion": _try_stable_diffusion,
    "unclip": _try_unclip,
    "image-encoder": _try_image_encoder,
}
