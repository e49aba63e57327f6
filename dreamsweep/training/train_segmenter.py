"""Trains the starter segmenter: a light decoder on the auditor's frozen network, which learns the masks of drawings in made-up scenes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from dreamsweep.compute.precision import autocast_where_fast
from dreamsweep.guidance.targets import shrink
from dreamsweep.models.starter_segmenter import SIDE, Decoder, Frozen, SegmenterShape, load_frozen
from dreamsweep.training.art import SIDE as ART_SIDE
from dreamsweep.training.art import Art
from dreamsweep.training.scenes import Scenes, drawings_of
from dreamsweep.training.segment_classes import SEGMENT_CLASSES, SegmentClass
from dreamsweep.training.train_auditor import DESCENDED, descended
from dreamsweep.training.training import Run, fit

CHANNELS, WIDTH = (24, 48, 120, 1280), 96
"""Channels of the maps that the decoder reads, a quarter, an eighth, a sixteenth and a thirty-second of the picture's side; its own."""
SEGMENTER_RUN = Run(steps=800, batch=16, learning_rate=3e-3, every=100, average=0.995)
DROPPED = 0.3
"""Share of the features that a step does not see."""
SMOOTHING = 0.02
"""Label smoothing."""


def shape_for(classes: Sequence[SegmentClass]) -> SegmenterShape:
    """Returns the decoder's sizes; the background and everything else are classes, too."""
    return SegmenterShape(CHANNELS, WIDTH, len(classes) + 2)


def train_segmenter(art: Art, run: Run, folder: Path, device: str = "cpu", classes: Sequence[SegmentClass] = SEGMENT_CLASSES) -> Path:
    """Trains the decoder, going on from `folder`'s checkpoint where there is one; returns its path.

    The guide and the auditor must have been exported before. Raises WeightsError where they are missing or damaged.
    """
    scenes = Scenes(art, drawings_of(art, art.of_styles("train"), classes), nothing_pictures(folder))
    frozen = load_frozen([named.spoken for named in classes]).to(device)
    torch.manual_seed(run.seed)
    decoder = Decoder(shape_for(classes)).to(device).train()

    def loss_of(step: int) -> Tensor:
        rng = run.at(step)
        pictures, labels = scenes.draw(run.batch, rng)
        return loss_on(frozen, decoder, pictures, labels, rng)

    return fit(decoder, loss_of, run, folder / "segmenter.pt")


def loss_on(
    frozen: Frozen, decoder: Decoder, pictures: Float[Tensor, "n 3 h w"], labels: Int[Tensor, "n h w"], rng: torch.Generator
) -> Tensor:
    """Returns the cross-entropy of the classes at the places of the decoder's map, of scenes on the CPU."""
    device = decoder.classify.weight.device
    with torch.no_grad(), autocast_where_fast(device):
        sized = shrink(pictures.to(device), SIDE).contiguous(memory_format=torch.channels_last)
        *finer, features = frozen.tower.levels(sized)
        kept = torch.rand(features.shape[:2], generator=rng).to(device) >= DROPPED
        levels = [level.contiguous() for level in (*finer, features * kept[..., None, None] / (1 - DROPPED))]  # faster than channels last
    with torch.no_grad():
        seen = frozen.see(levels)
    with autocast_where_fast(device):
        logits = decoder(seen)
    at_places = F.interpolate(labels[:, None].float(), logits.shape[-2:], mode="nearest-exact")[:, 0].long()
    return F.cross_entropy(logits, at_places.to(device), label_smoothing=SMOOTHING)


def nothing_pictures(folder: Path) -> UInt8[Tensor, "n 3 128 128"]:
    """Returns what engines draw in their first iterations, which shows nothing; draws it into `folder` if it is not there."""
    path = folder / "segmenter-nothing.npy"
    if not path.exists():
        drawn = torch.cat([shrink(descended(spec), ART_SIDE) for spec in DESCENDED])
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, (drawn * 255).round().to(torch.uint8).numpy())
    return torch.from_numpy(np.load(path))
