"""Marks the starter weights on styles and sentences that they were never trained on; the model card's figures come from here."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from dreamsweep.codes import load_dvae
from dreamsweep.engines import make_engine
from dreamsweep.guidance import ClipGuide, Judge
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.pictures import to_bytes
from dreamsweep.spec import DalleSpec, Prompt, Trial
from dreamsweep.starter.art import Art
from dreamsweep.starter.captions import HELD_OUT_TEMPLATE
from dreamsweep.starter.files import thing_names
from dreamsweep.starter.train_clip import HeldOut, retrieval_among
from dreamsweep.starter.train_dvae import ArtOnWhite, psnr_through

GUIDED_NAMES = (
    "red heart", "red apple", "strawberry", "sun", "pizza", "rocket", "cat face", "dog face", "rainbow", "snowman",
    "tropical fish", "mushroom", "hot beverage", "basketball", "Christmas tree", "banana", "fire", "ghost", "umbrella", "crescent moon",
)  # fmt: skip
"""The twenty prompts of the guided floor, chosen before any weights were trained: everyday things of many kinds."""
OTHERS = 80


@dataclass(frozen=True)
class Marks:
    """One line of the model card."""

    what: str
    figure: str


def evaluate(art: Art, sheet: Path) -> list[Marks]:
    """Every figure of the model card; draws the guided pictures on `sheet` (PNG)."""
    marks = []
    for name in ("starter-guide", "starter-judge"):
        perceptor = load_perceptor(name, "cpu")
        assert isinstance(perceptor, StarterPerceptor)
        for style in ("twemoji", "openmoji"):
            similarity = HeldOut(art, style, perceptor.resolution).similarities(perceptor.model, perceptor.vocabulary)
            for count in (100, len(similarity)):
                one, five = retrieval_among(similarity, count)
                marks.append(Marks(f"{name}: text → picture, held-out {style}, {count} names", f"top-1 {one:.1%}, top-5 {five:.1%}"))
    dvae = load_dvae("starter", "cpu")
    for style in ("twemoji", "openmoji"):
        pictures = ArtOnWhite(art, np.flatnonzero(art.style_of == art.styles.index(style))[::3]).pictures(None)
        decibels = psnr_through(dvae.encoder, dvae.decoder, pictures)
        marks.append(
            Marks(f"starter-dvae: PSNR through encoder and decoder, held-out {style}, {len(pictures)} pictures", f"{decibels:.2f} dB")
        )
    ranks = guided_ranks(DalleSpec(num_iter=200), sheet)
    marks.append(Marks("guided dVAE, 20 prompts, seed 0: own name in the judge's top 5 of 100", f"{np.mean(np.array(ranks) <= 5):.0%}"))
    marks.append(Marks("the same, first of 100", f"{np.mean(np.array(ranks) == 1):.0%}"))
    return marks


def guided_ranks(spec: DalleSpec, sheet: Path, names: tuple[str, ...] = GUIDED_NAMES, batch: int = 10) -> list[int]:
    """The judge's rank of each guided picture's own name among 100 (its twenty and eighty drawn by seed 0)."""
    hundred = hundred_names(names)
    judge_model = load_perceptor("starter-judge", "cpu")
    texts = judge_model.embed_texts([HELD_OUT_TEMPLATE.format(name.lower()) for name in hundred])
    pictures, ranks, nearest = [], [], []
    for start in range(0, len(names), batch):
        trials = [guided_trial(name, spec) for name in names[start : start + batch]]
        engine = make_engine(spec, "starter", "cpu")
        guide = ClipGuide(load_perceptor("starter-guide", "cpu"), trials, thing_names())
        drawn = None
        for step in engine.generate(trials, guide):
            drawn = step
        assert drawn is not None
        shown = drawn.draw()
        _, embedded = Judge(judge_model, trials).mark(shown)
        similarity = embedded @ texts.T
        for i in range(len(trials)):
            own = similarity[i, start + i]
            ranks.append(int((similarity[i] > own).sum()) + 1)
            nearest.append(hundred[int(similarity[i].argmax())])
        pictures.append(shown)
    draw_sheet(torch.cat(pictures), [f"{n} ({r})" for n, r in zip(names, ranks, strict=True)], nearest, sheet)
    return ranks


def guided_trial(name: str, spec: DalleSpec, seed: int = 0) -> Trial:
    """A trial of the held-out sentence for a name."""
    return Trial(
        prompt=Prompt(text=HELD_OUT_TEMPLATE.format(name.lower())),
        engine=spec,
        seed=seed,
        guide="starter-guide",
        judge="starter-judge",
        weights="starter",
        snapshot_every=0,
        judge_every=10,
    )


def hundred_names(names: tuple[str, ...] = GUIDED_NAMES) -> list[str]:
    """The names and eighty others, drawn once and for all."""
    others = [name for name in thing_names() if name.lower() not in {n.lower() for n in names}]
    return [*names, *random.Random(0).sample(others, OTHERS)]


def draw_sheet(pictures: torch.Tensor, captions: list[str], nearest: list[str], path: Path, columns: int = 5) -> None:
    """The pictures twice as large, each with its name, its rank and what the judge took it for."""
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
