"""From the recipe's checkpoints to the files that ship."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.judges.auditor import Head, save_auditor
from dreamsweep.models.biggan import save_biggan
from dreamsweep.models.dvae import build_decoder, build_encoder, encode_logits, save_dvae
from dreamsweep.models.efficientnet_lite import LITE2
from dreamsweep.models.starter_segmenter import save_segmenter
from dreamsweep.perceptors.starter import StarterPerceptor, load_starter, save_starter
from dreamsweep.perceptors.vocabulary import Vocabulary
from dreamsweep.spec.judges import AUDITOR, SEGMENTER
from dreamsweep.training import train_auditor, train_biggan, train_clip, train_diffusion, train_dvae, train_segmenter, train_unclip
from dreamsweep.training.art import OBJECT_GROUPS, Art
from dreamsweep.training.captions import Captions
from dreamsweep.training.segment_classes import SEGMENT_CLASSES, SegmentClass
from dreamsweep.training.training import averaged
from dreamsweep.weights.starter import expected_sha256, list_folder

SEEDS = {"guide": 2, "judge": 1}
"""What tells the two perceptors apart: they are trained alike."""


def export_all(art: Art, folder: Path, target: Path) -> Iterator[str]:
    """Exports whatever has been trained in `folder`, in an order in which each finds what it needs; yields names as they are written."""
    for role, seed in SEEDS.items():
        if (folder / f"clip-{seed}.pt").exists():
            export_clip(art, folder / f"clip-{seed}.pt", target / f"starter-{role}.safetensors")
            yield f"starter-{role}"
    if (folder / "auditor.pt").exists():
        export_auditor(folder, target / f"{AUDITOR}.safetensors")
        yield AUDITOR
    if (folder / "segmenter.pt").exists():
        export_segmenter(folder / "segmenter.pt", target / f"{SEGMENTER}.safetensors")
        yield SEGMENTER
    if (folder / "dvae.pt").exists():
        export_dvae(art, folder / "dvae.pt", target / "starter-dvae.safetensors")
        yield "starter-dvae"
    if (folder / "biggan.pt").exists():
        export_biggan(art, folder / "biggan.pt", target / "starter-biggan.safetensors")
        yield "starter-biggan"
    if (folder / "diffusion.pt").exists():
        export_diffusion(art, folder, target / "starter-diffusion")
        yield "starter-diffusion"
    if all((folder / f"unclip-{part}.pt").exists() for part in ("prior", "prior-autoregressive", "decoder", "upsampler")):
        export_unclip(art, folder, target / "starter-unclip")
        yield "starter-unclip"


def export_clip(art: Art, checkpoint: Path, target: Path) -> None:
    """Exports the running average of a perceptor's weights."""
    record = torch.load(checkpoint, weights_only=True)
    vocabulary = Vocabulary.of(Captions(art).every_text(), train_clip.SHAPE.context)
    save_starter(target, train_clip.SHAPE, vocabulary, record["average"])


def export_auditor(folder: Path, target: Path) -> None:
    """Writes the network that learned photographs and the head that learned drawings, in one file."""
    record = torch.load(folder / "auditor.pt", weights_only=True)
    tower, head = train_auditor.load_tower(folder).state_dict(), Head(**record["head"])
    save_auditor(target, LITE2, tower, head, record["names"], train_auditor.CALIBRATION)


def export_segmenter(checkpoint: Path, target: Path, classes: Sequence[SegmentClass] = SEGMENT_CLASSES) -> None:
    """Writes the running average of the decoder's weights, and which words name its things."""
    things, words = [named.name for named in classes], [named.spoken for named in classes]
    save_segmenter(target, train_segmenter.shape_for(classes), averaged(checkpoint), things, words, expected_sha256(AUDITOR))


def export_dvae(art: Art, checkpoint: Path, target: Path) -> None:
    """Exports the dVAE's weights, how often each of its codes stands where in the training pictures, and average shapes to start from.

    The guide must have been exported before: its embeddings say which pictures are alike.
    """
    record = torch.load(checkpoint, weights_only=True)
    encoder, decoder = build_encoder(train_dvae.SHAPE), build_decoder(train_dvae.SHAPE)
    encoder.load_state_dict(record["encoder"])
    decoder.load_state_dict(record["decoder"])
    shapes = average_shapes(art, load_starter("starter-guide", "cpu"))
    save_dvae(target, train_dvae.SHAPE, encoder, decoder, code_log_frequency(art, encoder), shapes)


def export_biggan(art: Art, checkpoint: Path, target: Path) -> None:
    """Exports the BigGAN's weights, and what its classes are called."""
    save_biggan(target, *train_biggan.trained(art, checkpoint))


def export_diffusion(art: Art, folder: Path, target: Path) -> None:
    """Exports the stock Stable Diffusion pipeline, a folder a part. The guide must have been exported before: its text tower is in it."""
    shutil.rmtree(target, ignore_errors=True)
    train_diffusion.diffusion_pipeline(art, load_starter("starter-guide", "cpu"), folder).save_pretrained(target)
    list_folder(target)


def export_unclip(art: Art, folder: Path, target: Path) -> None:
    """Exports the stock unCLIP pipeline, likewise."""
    shutil.rmtree(target, ignore_errors=True)
    train_unclip.save_unclip(art, load_starter("starter-guide", "cpu"), folder, target)
    list_folder(target)


@torch.no_grad()
def code_log_frequency(art: Art, encoder: torch.nn.Module, every: int = 12) -> Tensor:
    """Returns `c y x`: log frequency of each code at each place, blurred over neighbouring places, with one made-up sighting each."""
    pictures = train_dvae.ArtOnWhite(art, art.of_styles("train")[::every]).pictures(None)
    counts = torch.zeros(train_dvae.SHAPE.codes, train_dvae.SIDE // 8, train_dvae.SIDE // 8)
    for part in pictures.split(64):
        for some in (part, part.flip(3)):
            counts += F.one_hot(encode_logits(encoder, some).argmax(1), train_dvae.SHAPE.codes).permute(0, 3, 1, 2).sum(0)
    overall = counts.mean((1, 2), keepdim=True)
    blurred = F.avg_pool2d(F.pad(counts[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    smoothed = blurred + 0.3 * overall + 0.05
    return (smoothed / smoothed.sum(0)).log()


SHAPES, SHAPE_SIDE, SMALLEST_CLUSTER = 192, 32, 8


@torch.no_grad()
def average_shapes(art: Art, guide: StarterPerceptor, rounds: int = 25) -> Tensor:
    """Returns average pictures of things that the guide finds alike, uint8 `n 3 32 32`: hearts, discs, faces, vehicles seen from the side…

    k-means over the guide's embeddings and a coarse view of each training picture; an average of fewer than eight is left out,
    for it would be nearly a picture of somebody's.
    """
    chosen = art.of_styles("train")
    chosen = chosen[np.isin(np.array(art.groups)[art.name_of[chosen]], OBJECT_GROUPS)]
    pictures = train_clip.Pictures(art, chosen, guide.resolution).on_white()
    embedded = torch.cat([guide.embed_pictures(part) for part in pictures.split(256)])
    coarse = F.adaptive_avg_pool2d(pictures, 16).flatten(1)
    coarse = coarse - coarse.mean(0)
    features = torch.cat([embedded, 0.7 * coarse / coarse.norm(dim=1).mean()], 1)
    rng = torch.Generator().manual_seed(0)
    centres = features[torch.randperm(len(features), generator=rng)[:SHAPES]].clone()
    for _ in range(rounds):
        winner = torch.cdist(features, centres).argmin(1)
        counts = torch.bincount(winner, minlength=SHAPES)
        sums = torch.zeros_like(centres).index_add_(0, winner, features)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
    small = F.adaptive_avg_pool2d(pictures, SHAPE_SIDE)
    averages = torch.stack([small[winner == k].mean(0) for k in range(SHAPES) if counts[k] >= SMALLEST_CLUSTER])
    return (averages * 255).round().to(torch.uint8)
