"""Starter weights with next to nothing in them: random, a few kilobytes, the same every time."""

from pathlib import Path

import torch
from pytorch_pretrained_biggan import BigGANConfig

from dreamsweep.judges.auditor import Calibration, Head, save_auditor
from dreamsweep.models.biggan import plain, save_biggan
from dreamsweep.models.dvae import DvaeShape, build_decoder, build_encoder, save_dvae
from dreamsweep.models.efficientnet_lite import EfficientNetLite, LiteShape
from dreamsweep.models.starter_segmenter import Decoder, SegmenterShape, save_segmenter
from dreamsweep.perceptors.starter import ClipShape, build_clip, save_starter
from dreamsweep.perceptors.vocabulary import Vocabulary
from dreamsweep.spec.judges import AUDITOR, SEGMENTER
from dreamsweep.weights.starter import file_sha256, list_folder
from tests.tiny_diffusion import write_tiny_diffusion, write_tiny_unclip

CLIP = ClipShape(
    embed=16, resolution=32, vision_layers=(1, 1, 1, 1), vision_width=8, context=12, text_width=32, text_heads=2, text_layers=1
)
DVAE = DvaeShape(n_hid=8, n_init=8, codes=16)
LITE = LiteShape(stem=4, stages=((1, 4, 1, 3, 2), (2, 8, 1, 3, 2)), features=8)
SEGMENTS = SegmenterShape(channels=(4, 8), width=6, classes=5)
BLOCKS = [(True, 16, 8), (True, 8, 4), (True, 4, 2), (True, 2, 2), (True, 2, 1)]
BIGGAN = BigGANConfig(
    output_dim=128, z_dim=8, class_embed_dim=8, channel_width=4, num_classes=6, layers=BLOCKS, attention_layer_position=3, n_stats=3
)


def write_tiny_weights(folder: Path) -> None:
    """A guide, judge, auditor, segmenter, dVAE, BigGAN and diffusion that load and run like the real ones, and know nothing."""
    vocabulary = Vocabulary.of(["a red heart", "a green apple", "a rocket"], CLIP.context)
    with torch.random.fork_rng():
        for seed, name in enumerate(("starter-guide", "starter-judge")):
            torch.manual_seed(seed)
            save_starter(folder / f"{name}.safetensors", CLIP, vocabulary, build_clip(CLIP, len(vocabulary)).state_dict())
        torch.manual_seed(2)
        frequency, shapes = torch.zeros(DVAE.codes, 16, 16), torch.randint(255, (16, 3, 128, 128), dtype=torch.uint8)
        save_dvae(folder / "starter-dvae.safetensors", DVAE, build_encoder(DVAE), build_decoder(DVAE), frequency, shapes)
        save_biggan(folder / "starter-biggan.safetensors", plain(BIGGAN, seed=4), [f"thing {number}" for number in range(6)])
        torch.manual_seed(5)
        head = Head(torch.randn(6, 8), torch.zeros(6), torch.randn(4, 6), torch.zeros(4))
        names, tower = ["red heart", "green apple", "rocket"], EfficientNetLite(LITE).state_dict()
        save_auditor(folder / f"{AUDITOR}.safetensors", LITE, tower, head, names, Calibration(slope=0.5, intercept=1.0))
        decoder, things = Decoder(SEGMENTS), ["heart", "apple", "rocket"]
        words = [(thing, *more) for thing, more in zip(things, (("red heart",), ("green apple",), ()), strict=True)]
        auditor = file_sha256(folder / f"{AUDITOR}.safetensors", AUDITOR)
        save_segmenter(folder / f"{SEGMENTER}.safetensors", SEGMENTS, decoder.state_dict(), things, words, auditor)
        write_tiny_diffusion(folder / "starter-diffusion")
        write_tiny_unclip(folder / "starter-unclip")
        for name in ("starter-diffusion", "starter-unclip"):
            list_folder(folder / name)
