"""Trains a starter perceptor: a small stock CLIP, made robust by attacks so that descending it draws shapes.

Contrastive learning after Radford et al. (CLIP, 2021), with the adversarial fine-tuning of Engstrom et al. (Adversarial
Robustness as a Prior for Learned Representations, 2019) folded into the second half of the run.
"""

import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamsweep.compute.precision import autocast_where_fast, computing_in, fast_precision
from dreamsweep.perceptors.starter import ClipShape, build_clip, embed_pictures
from dreamsweep.perceptors.vocabulary import UNKNOWN, Vocabulary
from dreamsweep.training.art import OBJECT_GROUPS, Art
from dreamsweep.training.augment import augment, place_on_white, shuffle_patches
from dreamsweep.training.captions import HELD_OUT_TEMPLATE, Captions, name_weights

SHAPE = ClipShape(
    embed=256, resolution=64, vision_layers=(2, 2, 2, 2), vision_width=24, context=24, text_width=128, text_heads=4, text_layers=2
)
BATCH_NAMES = 128
PICTURES_A_NAME = 2
SHUFFLED = 32


@dataclass(frozen=True)
class ClipRun:
    """How one perceptor is trained; everything that decides its weights, given the art and torch's version."""

    seed: int
    steps: int = 9000
    restart: tuple[int, float] | None = None
    """A step, and the share of the learning rate that a second cosine falls from: how a run that has ended is gone on with."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    bank_from: float = 0.25
    """Share of the run after which pictures are told apart from every name's last text embedding, not only the batch's
    (from the start it made all embeddings collapse into one)."""
    plain_from: float = 0.75
    """Share of the run after which part of each batch is hardly augmented, as the pictures are that a perceptor meets in use."""
    plain: float = 0.6
    """Which part."""
    attack_from: float = 0.4
    """Share of the run after which part of each batch is attacked; past 1, never. A judge need not be robust: nobody descends it."""
    attacked: float = 0.33
    """Which part."""
    attack_radius: float = 3.2
    """Largest L2 norm of an attack on a picture of 64 × 64 in [0, 1]."""


class Pictures:
    """The training pictures at the perceptor's resolution, premultiplied, and where each name's pictures are."""

    def __init__(self, art: Art, chosen: np.ndarray, side: int) -> None:
        self.rgba = torch.empty(len(chosen), 4, side, side, dtype=torch.uint8)
        for start in range(0, len(chosen), 1024):
            part = torch.from_numpy(art.rgba[chosen[start : start + 1024]]).permute(0, 3, 1, 2).float() / 255
            part = torch.cat([part[:, :3] * part[:, 3:], part[:, 3:]], 1)
            self.rgba[start : start + 1024] = (F.adaptive_avg_pool2d(part, side) * 255).round().to(torch.uint8)
        self.of_name: dict[int, list[int]] = {}
        for i, name in enumerate(art.name_of[chosen]):
            self.of_name.setdefault(int(name), []).append(i)

    def take(self, index: list[int]) -> Tensor:
        """Returns premultiplied RGBA in [0, 1], `n 4 h w`."""
        return self.rgba[torch.tensor(index)].float() / 255

    def on_white(self) -> Tensor:
        """Returns all of them composed on white, `n 3 h w`."""
        rgba = self.rgba.float() / 255
        return rgba[:, :3] + (1 - rgba[:, 3:])


def train_clip(art: Art, run: ClipRun, folder: Path) -> Path:
    """Trains one perceptor, going on from `folder`'s checkpoint where there is one; returns the checkpoint's path."""
    checkpoint = folder / f"clip-{run.seed}.pt"
    captions = Captions(art)
    vocabulary = Vocabulary.of(captions.every_text(), SHAPE.context)
    data = Pictures(art, art.of_styles("train"), SHAPE.resolution)
    held_out = HeldOut(art, "twemoji", SHAPE.resolution)
    state = TrainState(run, vocabulary, names=len(art.names))
    if checkpoint.exists():
        state.load(torch.load(checkpoint, weights_only=True))
        print(f"goes on from step {state.step} of {run.steps}", flush=True)  # noqa: T201
    started, began_at = time.monotonic(), state.step
    while state.step < run.steps:
        losses = train_step(state, run, art, data, captions, vocabulary)
        if state.step % 250 == 0 or state.step == run.steps:
            state.save(checkpoint)
        if state.step % 100 == 0:
            pace = (time.monotonic() - started) / (state.step - began_at)
            print(f"step {state.step}/{run.steps} {losses} {pace:.2f} s/step", flush=True)  # noqa: T201
        if state.step % 500 == 0:
            print(f"  held-out Twemoji: {held_out.marks(state.averaged(), vocabulary)}", flush=True)  # noqa: T201
    return checkpoint


class TrainState:
    """The network, its optimizer, its running average and the bank of every name's last text embedding."""

    def __init__(self, run: ClipRun, vocabulary: Vocabulary, names: int) -> None:
        torch.manual_seed(run.seed)
        self.run, self.vocabulary, self.step = run, vocabulary, 0
        self.model = build_clip(SHAPE, len(vocabulary))
        self.model.visual.to(memory_format=torch.channels_last)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.bank = torch.zeros(names, SHAPE.embed)
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": run.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=run.learning_rate, betas=(0.9, 0.98), eps=1e-6)

    def update_average(self) -> None:
        decay = min(0.999, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)

    def averaged(self) -> nn.Module:
        model = build_clip(SHAPE, len(self.vocabulary))
        model.load_state_dict(self.average)
        return model.eval()  # type: ignore[no-any-return]

    def save(self, path: Path) -> None:
        record = {
            "step": self.step, "model": self.model.state_dict(), "average": self.average, "bank": self.bank,
            "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(record, partial)
        partial.replace(path)

    def load(self, record: dict[str, Any]) -> None:
        self.step = record["step"]
        self.model.load_state_dict(record["model"])
        self.optimizer.load_state_dict(record["optimizer"])
        self.average, self.bank = record["average"], record["bank"]


def train_step(state: TrainState, run: ClipRun, art: Art, data: Pictures, captions: Captions, vocabulary: Vocabulary) -> str:
    """Returns one step, drawn from the seed and the step's number alone, so that a resumed run is the same run."""
    rng = torch.Generator().manual_seed(run.seed * 1_000_003 + state.step)
    py_rng = random.Random(run.seed * 1_000_003 + state.step)
    plain = run.plain if state.step >= run.plain_from * run.steps else 0.0
    names, pictures, drawn = _draw_batch(art, data, captions, rng, py_rng, plain)
    tokens = torch.from_numpy(vocabulary.tokenize([caption.text for caption in drawn]))
    forgotten = (torch.rand(tokens.shape, generator=rng) < 0.03) & (tokens > 0) & (tokens < len(vocabulary) - 2)
    tokens = tokens.masked_fill(forgotten, UNKNOWN)
    for group in state.optimizer.param_groups:
        group["lr"] = run.learning_rate * learning_rate_share(state.step, run)
    state.model.train()
    with autocast_where_fast("cpu"):
        texts = F.normalize(state.model.encode_text(tokens).float(), dim=1)
    target = torch.arange(BATCH_NAMES).repeat(PICTURES_A_NAME)
    allowed = _allowed(names, drawn, len(art.names))
    if state.step >= run.attack_from * run.steps:
        half = torch.randperm(len(pictures), generator=rng)[: int(len(pictures) * run.attacked)]
        pictures[half] = _attack(state, run, pictures[half], texts.detach(), target[half], rng)
    wrong = shuffle_patches(pictures[:SHUFFLED], rng)
    with computing_in(fast_precision("cpu")):
        embedded = embed_pictures(state.model, torch.cat([pictures, wrong]))
    loss, parts = _losses(state, embedded, texts, names, target, allowed, with_bank=state.step >= run.bank_from * run.steps)
    state.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    with torch.no_grad():
        state.model.logit_scale.clamp_(max=math.log(60))
        own = torch.tensor([not caption.also for caption in drawn])  # what fits other names too is no wrong answer for them
        state.bank[names[own]] = texts.detach()[own]
    state.step += 1
    state.update_average()
    return parts


def _draw_batch(art: Art, data: Pictures, captions: Captions, rng: torch.Generator, py_rng: random.Random, plain: float):  # type: ignore[no-untyped-def]
    known = [i for i in range(len(art.names)) if i in data.of_name]
    weights = torch.from_numpy(name_weights(art.groups))[known]
    names = torch.tensor(known)[torch.multinomial(weights, BATCH_NAMES, generator=rng)]
    chosen = []
    for name in names.tolist():
        have = data.of_name[name]
        chosen.append(py_rng.sample(have, 2) if len(have) > 1 else have * 2)
    index = [pair[k] for k in range(PICTURES_A_NAME) for pair in chosen]
    drawn = [captions.draw(name, py_rng) for name in names.tolist()]
    rgba = data.take(index)
    pictures = augment(rgba, rng)
    if plain:
        hardly = torch.rand(len(rgba), 1, 1, 1, generator=rng) < plain
        pictures = torch.where(hardly, place_on_white(rgba, rng), pictures)
    return names, pictures, drawn


def _allowed(names: Tensor, drawn: list[Any], total: int) -> Tensor:
    """Returns `t n`: whether name n is a fair wrong answer for caption t (a keyword caption fits other names as well)."""
    allowed = torch.ones(len(drawn), total, dtype=torch.bool)
    for i, caption in enumerate(drawn):
        if caption.also:
            allowed[i, list(caption.also)] = False
    allowed[torch.arange(len(drawn)), names] = True
    return allowed


def _attack(state: TrainState, run: ClipRun, clean: Tensor, texts: Tensor, target: Tensor, rng: torch.Generator) -> Tensor:
    """Returns one normalised gradient step away from the right text, from a random start."""
    radius = torch.rand(len(clean), 1, 1, 1, generator=rng) * run.attack_radius
    noise = torch.randn(clean.shape, generator=rng)
    start = (clean + noise / noise.flatten(1).norm(dim=1)[:, None, None, None] * radius * 0.3).requires_grad_()
    with computing_in(fast_precision("cpu")):
        embedded = embed_pictures(state.model, start)
    loss = F.cross_entropy(state.model.logit_scale.exp().detach() * embedded @ texts.T, target)
    (gradient,) = torch.autograd.grad(loss, start)
    norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
    return (start + gradient / norm * radius).detach().clamp(0, 1)  # type: ignore[no-any-return]


def _losses(
    state: TrainState, embedded: Tensor, texts: Tensor, names: Tensor, target: Tensor, allowed: Tensor, with_bank: bool
) -> tuple[Tensor, str]:
    scale = state.model.logit_scale.exp()
    count = len(target)
    to_text = scale * embedded[:count] @ texts.T
    # caption t fits name n as well: a picture of n must not be pushed away from t
    clash = ~allowed[:, names].T.repeat(PICTURES_A_NAME, 1)
    to_text = to_text.masked_fill(clash, -1e4)
    if with_bank:
        bank = state.bank.clone()
        bank[names] = 0
        filled = bank.abs().sum(1) > 0
        to_text = torch.cat([to_text, (scale * embedded[:count] @ bank.T).masked_fill(~filled, -1e4)], 1)
    picture_loss = F.cross_entropy(to_text, target)
    to_picture = scale * texts @ embedded.T
    fair = torch.cat([allowed[:, names].repeat(1, PICTURES_A_NAME), torch.ones(len(texts), len(embedded) - count, dtype=torch.bool)], 1)
    log_share = to_picture.masked_fill(~fair, -1e4).log_softmax(1)
    text_loss = -_own(log_share).mean()
    both = embedded[:count].reshape(PICTURES_A_NAME, BATCH_NAMES, -1)
    style_loss = F.cross_entropy(10 * both[0] @ both[1].T, torch.arange(BATCH_NAMES))
    loss = picture_loss + text_loss + 0.2 * style_loss
    right = (to_text.argmax(1) == target).float().mean()
    return loss, f"picture {picture_loss:.3f} text {text_loss:.3f} style {style_loss:.3f} top-1 of batch {right:.2f}"


def _own(log_share: Tensor) -> Tensor:
    """Returns each text's log share on its own pictures, `k t`."""
    index = torch.arange(BATCH_NAMES)
    return torch.stack([log_share[index, index + k * BATCH_NAMES] for k in range(PICTURES_A_NAME)])


def learning_rate_share(step: int, run: ClipRun) -> float:
    """Returns a cosine with warm-up, or the second one (Loshchilov & Hutter, SGDR, 2017)."""
    if run.restart and step >= run.restart[0]:
        begun, peak = run.restart
        return peak * 0.5 * (1 + math.cos(math.pi * (step - begun) / (run.steps - begun)))
    return min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / run.steps))


class HeldOut:
    """Pictures of a style that was never trained on, and the sentences that name them."""

    def __init__(self, art: Art, style: str, side: int) -> None:
        chosen = np.flatnonzero(art.style_of == art.styles.index(style))
        things = np.isin(np.array(art.groups)[art.name_of[chosen]], OBJECT_GROUPS)
        chosen = chosen[things]
        self.pictures = Pictures(art, chosen, side).on_white()
        self.names = [art.names[i] for i in art.name_of[chosen]]

    @torch.no_grad()
    def similarities(self, model: nn.Module, vocabulary: Vocabulary) -> Tensor:
        """Returns cosine similarity, `texts pictures`, both in the order of `names`."""
        tokens = torch.from_numpy(vocabulary.tokenize([HELD_OUT_TEMPLATE.format(n) for n in self.names]))
        texts = model.encode_text(tokens).float()  # type: ignore[operator]
        pictures = torch.cat([embed_pictures(model, part) for part in self.pictures.split(256)])
        return F.normalize(texts, dim=1) @ pictures.T

    def marks(self, model: nn.Module, vocabulary: Vocabulary) -> str:
        similarity = self.similarities(model, vocabulary)
        hundred = [float(x) * 100 for x in retrieval_among(similarity, 100)]
        every = [float(x) * 100 for x in retrieval_among(similarity, len(self.names))]
        return f"{hundred[0]:.1f}/{hundred[1]:.1f} % of 100, {every[0]:.1f}/{every[1]:.1f} % of {len(self.names)}"


def retrieval_among(similarity: Tensor, count: int, draws: int = 20) -> tuple[float, float]:
    """Returns text → picture top-1 and top-5 shares among `count` names, over `draws` seeded draws of them (one if all)."""
    rng = torch.Generator().manual_seed(0)
    total = len(similarity)
    ones, fives = [], []
    for _ in range(1 if count == total else draws):
        chosen = torch.randperm(total, generator=rng)[:count]
        part = similarity[chosen][:, chosen]
        rank = (part > part.diagonal()[:, None]).sum(1)
        ones.append(float((rank < 1).float().mean()))
        fives.append(float((rank < 5).float().mean()))
    return sum(ones) / len(ones), sum(fives) / len(fives)
