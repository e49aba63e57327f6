"""Marks the starter weights on styles and sentences that they were never trained on; the model card's figures come from here."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from dreamsweep.compute.images import to_bytes
from dreamsweep.compute.randomness import generator
from dreamsweep.engines import make_engine
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.targets import shrink
from dreamsweep.models.dvae import load_dvae
from dreamsweep.models.starter_segmenter import load_starter_segmenter
from dreamsweep.models.unclip import Unclip, load_unclip
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.spec import (
    BigSleepSpec,
    DalleSpec,
    EngineSpec,
    GuidedDiffusionSpec,
    InterpolationSpec,
    Prompt,
    StrokesSpec,
    Trial,
    UnclipSpec,
)
from dreamsweep.training.art import Art
from dreamsweep.training.captions import HELD_OUT_TEMPLATE
from dreamsweep.training.card import Marks
from dreamsweep.training.scene_marks import segmenter_marks
from dreamsweep.training.train_clip import HeldOut, retrieval_among
from dreamsweep.training.train_dvae import ArtOnWhite, psnr_through
from dreamsweep.weights.starter import thing_names

GUIDED_NAMES = (
    "red heart", "red apple", "strawberry", "sun", "pizza", "rocket", "cat face", "dog face", "rainbow", "snowman",
    "tropical fish", "mushroom", "hot beverage", "basketball", "Christmas tree", "banana", "fire", "ghost", "umbrella", "crescent moon",
)  # fmt: skip
"""The twenty prompts of the guided floor, chosen before any weights were trained: everyday things of many kinds."""
OTHERS = 80
MARKED: tuple[EngineSpec, ...] = (
    DalleSpec(num_iter=200), StrokesSpec(num_iter=200), BigSleepSpec(num_iter=100), GuidedDiffusionSpec(num_iter=50),
    InterpolationSpec(num_iter=2), UnclipSpec(num_iter=1), UnclipSpec(num_iter=1, prior="autoregressive"),
)  # fmt: skip
"""What each engine is marked with."""


def evaluate(art: Art, folder: Path) -> list[Marks]:
    """Returns every figure of the model card; draws every engine's pictures on a sheet in `folder` (PNG)."""
    marks = []
    for name in ("starter-guide", "starter-judge"):
        perceptor = load_perceptor(name, "cpu")
        assert isinstance(perceptor, StarterPerceptor)
        for style in ("twemoji", "openmoji"):
            similarity = HeldOut(art, style, perceptor.resolution).similarities(perceptor.model, perceptor.vocabulary)
            for count in (100, len(similarity)):
                first_rate, top_five = retrieval_among(similarity, count)
                marks.append(
                    Marks(f"{name}: text → picture, held-out {style}, {count} names", f"top-1 {first_rate:.1%}, top-5 {top_five:.1%}")
                )
    dvae = load_dvae("starter", "cpu")
    for style in ("twemoji", "openmoji"):
        pictures = ArtOnWhite(art, np.flatnonzero(art.style_of == art.styles.index(style))[::3]).pictures(None)
        decibels = psnr_through(dvae.encoder, dvae.decoder, pictures)
        marks.append(
            Marks(f"starter-dvae: PSNR through encoder and decoder, held-out {style}, {len(pictures)} pictures", f"{decibels:.2f} dB")
        )
    for spec in MARKED:
        prior = "-autoregressive" if getattr(spec, "prior", None) == "autoregressive" else ""
        ranks = np.array(drawn_ranks(spec, folder / f"{spec.engine}{prior}.png"))
        label = f"{spec.engine}{prior}, 20 prompts, seed 0: own name in the judge's top 5 of 100, and first"
        marks.append(Marks(label, f"{np.mean(ranks <= 5):.0%}, {np.mean(ranks == 1):.0%}"))
    segmenter = load_starter_segmenter("cpu")
    marks += [mark for style in ("twemoji", "openmoji") for mark in segmenter_marks(art, segmenter, style)]
    return marks + prior_marks(art, load_unclip("starter", UnclipSpec().model, "cpu"))


@torch.no_grad()
def prior_marks(art: Art, unclip: Unclip, style: str = "twemoji", batch: int = 64) -> list[Marks]:
    """Returns how near the priors' embeddings, told a held-out sentence, come to those of pictures in a held-out style.

    Beside them, what needs no prior: the sentence's own embedding, and one and the same for every sentence, the training pictures' mean.
    """
    held_out = HeldOut(art, style, unclip.image_encoder.resolution)
    pictures = torch.cat([unclip.embed_pictures(part) for part in held_out.pictures.split(batch)])
    sentences = [HELD_OUT_TEMPLATE.format(name.lower()) for name in held_out.names]
    captions = [unclip.read(sentences[start : start + batch]) for start in range(0, len(sentences), batch)]
    sources = {"the sentence's own": torch.cat([caption.embedding for caption in captions])}
    sources["the mean of training pictures"] = unclip.pipeline.prior.clip_mean.expand(len(sentences), -1)
    for spec in (UnclipSpec(), UnclipSpec(prior="autoregressive")):
        rngs = iter([generator(number, "prior-marks") for number in range(len(sentences))])
        drawn = [unclip.imagine(caption, list(itertools.islice(rngs, len(caption.mask))), spec) for caption in captions]
        sources[f"the {spec.prior} prior's"] = torch.cat(drawn)
    marks = []
    for source, embeddings in sources.items():
        near = F.normalize(embeddings.float(), dim=1) @ F.normalize(pictures.float(), dim=1).T
        first, _ = retrieval_among(near, min(100, len(near)))
        label = f"starter-unclip: {source} embedding, to held-out {style}, {len(near)} names"
        marks.append(Marks(label, f"cosine {near.diagonal().mean():.3f}, its own picture first of 100 {first:.0%}"))
    return marks


def drawn_ranks(spec: EngineSpec, sheet: Path, names: tuple[str, ...] = GUIDED_NAMES, batch: int = 10) -> list[int]:
    """Returns the judge's rank of each name's own picture among 100 (its twenty and eighty drawn by seed 0); draws the pictures on `sheet`.

    Of an interpolation, both end frames count: it goes from each name at an even place to the one after it.
    """
    pictures = [drawn(spec, names[start : start + batch]) for start in range(0, len(names), batch)]
    marks = judged(pictures, names)
    captions = [f"{name} ({mark.rank})" for name, mark in zip(names, marks, strict=True)]
    draw_sheet(torch.cat(pictures), captions, [mark.nearest for mark in marks], sheet)
    return [mark.rank for mark in marks]


@dataclass(frozen=True)
class Judged:
    """What the judge says of one picture."""

    rank: int
    """Of its own name among 100, from 1."""
    similarity: float
    """To its own name's sentence."""
    nearest: str
    """The name that it takes the picture for."""


@torch.no_grad()
def judged(pictures: Sequence[torch.Tensor], names: tuple[str, ...]) -> list[Judged]:
    """Returns the judge's word on pictures `n 3 h w`, in parts, of names in order."""
    hundred = hundred_names(names)
    judge = load_perceptor("starter-judge", "cpu")
    texts = judge.embed_texts([HELD_OUT_TEMPLATE.format(name.lower()) for name in hundred])
    similarity = torch.cat([judge.embed_pictures(shrink(part, judge.resolution)) for part in pictures]) @ texts.T
    own = similarity.diagonal()
    ranks = (similarity > own[:, None]).sum(1) + 1
    rows = zip(ranks.tolist(), own.tolist(), similarity.argmax(1).tolist(), strict=True)
    return [Judged(rank, near, hundred[nearest]) for rank, near, nearest in rows]


def drawn(spec: EngineSpec, names: tuple[str, ...]) -> torch.Tensor:
    """Returns what an engine draws for names, `n 3 h w`, all from seed 0."""
    pairs = spec.takes_to == "required"
    prompts = zip(names[::2], names[1::2], strict=True) if pairs else ((name,) for name in names)
    trials = [marked_trial(prompt, spec) for prompt in prompts]
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    steps = make_engine(spec, "starter", "cpu").generate(trials, guide)
    kept = [step.draw() for step in steps if pairs or step.iteration == spec.num_iter]
    return torch.stack(kept, 1).flatten(0, 1)


def marked_trial(names: Sequence[str], spec: EngineSpec, seed: int = 0) -> Trial:
    """Returns a trial of the held-out sentence for a name, or from one name to the next."""
    texts = [HELD_OUT_TEMPLATE.format(name.lower()) for name in names]
    return Trial(
        prompt=Prompt(text=texts[0], to=texts[1:]),
        engine=spec,
        seed=seed,
        guide="starter-guide",
        weights="starter",
    )


def hundred_names(names: tuple[str, ...] = GUIDED_NAMES) -> list[str]:
    """Returns the names and eighty others, drawn once and for all."""
    others = [name for name in thing_names() if name.lower() not in {n.lower() for n in names}]
    return [*names, *random.Random(0).sample(others, OTHERS)]


def draw_sheet(pictures: torch.Tensor, captions: list[str], nearest: list[str], path: Path, columns: int = 5) -> None:
    """Draws the pictures twice as large, each with its name, its rank and what the judge took it for."""
    side, below, font = 192, 40, ImageFont.load_default(size=14)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + 16), rows * (side + below + 16)), "white")
    pen = ImageDraw.Draw(sheet)
    shown = F.interpolate(pictures, size=(side, side), mode="nearest")
    for i, picture in enumerate(to_bytes(shown)):
        x, y = (i % columns) * (side + 16) + 8, (i // columns) * (side + below + 16) + 8
        sheet.paste(Image.fromarray(picture.permute(1, 2, 0).numpy()), (x, y))
        pen.text((x, y + side + 2), captions[i], "black", font)
        pen.text((x, y + side + 19), f"judge: {nearest[i]}"[:28], "grey", font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
