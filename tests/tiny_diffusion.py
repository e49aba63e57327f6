"""A Stable Diffusion in the real format with next to nothing in it: random, 60 kB, drawing 16 px from texts of small letters."""

import json
import string
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from dreamsweep.torchvision_ops import declare_missing_ops

START, END = "<|startoftext|>", "<|endoftext|>"


def write_tiny_diffusion(folder: Path, seed: int = 3) -> None:
    """Saves the pipeline as diffusers does: a folder a part, safetensors, configurations."""
    declare_missing_ops()
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        import diffusers
        from diffusers.utils import logging as of_diffusers
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
        from transformers.utils import logging as of_transformers

        of_diffusers.disable_progress_bar()
        of_transformers.disable_progress_bar()  # type: ignore[no-untyped-call]
        untyped: Any = diffusers
        torch.manual_seed(seed)
        letters = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase), START, END]
        vocabulary = {piece: row for row, piece in enumerate(letters)}
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "vocab.json").write_text(json.dumps(vocabulary))
            (Path(scratch) / "merges.txt").write_text("#version: 0.2\n")
            tokenizer = CLIPTokenizer.from_pretrained(scratch, model_max_length=16)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                max_position_embeddings=16, bos_token_id=vocabulary[START], eos_token_id=vocabulary[END], pad_token_id=vocabulary[END],
            )
        )  # fmt: skip
        unet = untyped.UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16,
            attention_head_dim=8, norm_num_groups=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        vae = untyped.AutoencoderKL(
            3, 3, ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2, (8, 8), latent_channels=4, norm_num_groups=4, sample_size=16
        )
        for network in (unet, text_encoder):  # random ones hardly look at the text; these do
            for name, parameter in network.named_parameters():
                if parameter.ndim > 1 and ("attn" in name or "embedding" in name):
                    parameter.data.mul_(3)
        scheduler = untyped.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        )
        pipeline = untyped.StableDiffusionPipeline(
            vae, text_encoder, tokenizer, unet, scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        pipeline.save_pretrained(folder)
