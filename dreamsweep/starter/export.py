"""From the recipe's checkpoints to the files that ship."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.codes import build_decoder, build_encoder, encode_logits, save_dvae
from dreamsweep.perceptors.starter import save_starter
from dreamsweep.perceptors.vocabulary import Vocabulary
from dreamsweep.starter import train_clip, train_dvae
from dreamsweep.starter.art import Art
from dreamsweep.starter.captions import Captions


def export_clip(art: Art, checkpoint: Path, target: Path) -> None:
    """The running average of a perceptor's weights."""
    record = torch.load(checkpoint, weights_only=True)
    vocabulary = Vocabulary.of(Captions(art).every_text(), train_clip.SHAPE.context)
    save_starter(target, train_clip.SHAPE, vocabulary, record["average"])


def export_dvae(art: Art, checkpoint: Path, target: Path) -> None:
    """The dVAE's weights, and how often each of its codes stands where in the training pictures."""
    record = torch.load(checkpoint, weights_only=True)
    encoder, decoder = build_encoder(train_dvae.SHAPE), build_decoder(train_dvae.SHAPE)
    encoder.load_state_dict(record["encoder"])
    decoder.load_state_dict(record["decoder"])
    save_dvae(target, train_dvae.SHAPE, encoder, decoder, code_log_frequency(art, encoder))


@torch.no_grad()
def code_log_frequency(art: Art, encoder: torch.nn.Module, every: int = 3) -> Tensor:
    """`c y x`: log frequency of each code at each place, blurred over neighbouring places, with one made-up sighting each."""
    pictures = train_dvae.ArtOnWhite(art, art.of_styles("train")[::every]).pictures(None)
    counts = torch.zeros(train_dvae.SHAPE.codes, train_dvae.SIDE // 8, train_dvae.SIDE // 8)
    for part in pictures.split(64):
        for some in (part, part.flip(3)):
            counts += F.one_hot(encode_logits(encoder, some).argmax(1), train_dvae.SHAPE.codes).permute(0, 3, 1, 2).sum(0)
    overall = counts.mean((1, 2), keepdim=True)
    blurred = F.avg_pool2d(F.pad(counts[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    smoothed = blurred + 0.3 * overall + 0.05
    return (smoothed / smoothed.sum(0)).log()
