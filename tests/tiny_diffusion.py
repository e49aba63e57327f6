"""Pipelines in the real formats with next to nothing in them: random, some 60 kB, drawing 16 px from texts of small letters."""

import json
import string
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.models.autoregressive_prior import FILE, AutoregressivePrior, PriorShape, save_prior

START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase), START, END]
WIDTH = 16


def write_tiny_diffusion(folder: Path, seed: int = 3) -> None:
    """A Stable Diffusion, saved as diffusers does: a folder a part, safetensors, configurations."""
    with _quiet(seed) as untyped:
        from transformers import CLIPTextModel

        text_encoder = CLIPTextModel(_text_config())
        unet = untyped.UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=WIDTH,
            attention_head_dim=8, norm_num_groups=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        vae = untyped.AutoencoderKL(
            3, 3, ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2, (8, 8), latent_channels=4, norm_num_groups=4, sample_size=16
        )
        for network in (unet, text_encoder):
            _listen(network)
        scheduler = untyped.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
        )
        pipeline = untyped.StableDiffusionPipeline(
            vae, text_encoder, _tokenizer(), unet, scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        pipeline.save_pretrained(folder)


def write_tiny_unclip(folder: Path, seed: int = 5) -> None:
    """An unCLIP with the CLIP that sees for it: priors, decoder of 8 px, upsamplers to 16 px, and an image encoder beside them."""
    with _quiet(seed) as untyped:
        from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel
        from transformers import CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

        text_encoder = CLIPTextModelWithProjection(_text_config())
        prior = untyped.PriorTransformer(
            num_attention_heads=2, attention_head_dim=8, num_layers=1, embedding_dim=WIDTH, num_embeddings=16, additional_embeddings=4
        )
        prior.clip_std.data.fill_(1)
        decoder = untyped.UNet2DConditionModel(
            sample_size=8, in_channels=3, out_channels=6, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=WIDTH,
            attention_head_dim=4, norm_num_groups=4, resnet_time_scale_shift="scale_shift", class_embed_type="identity",
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        )  # fmt: skip
        upsamplers = [
            untyped.UNet2DModel(
                sample_size=16, in_channels=6, out_channels=3, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
                down_block_types=("ResnetDownsampleBlock2D",) * 2, up_block_types=("ResnetUpsampleBlock2D",) * 2,
            )
            for _ in range(2)
        ]  # fmt: skip
        projection: Any = UnCLIPTextProjModel
        text_proj = projection(clip_embeddings_dim=WIDTH, time_embed_dim=32, cross_attention_dim=WIDTH)
        for network in (text_encoder, prior, decoder, text_proj):
            _listen(network)
        kinds = (("fixed_small_log", "sample", 5.0), ("learned_range", "epsilon", 1.0), ("fixed_small_log", "epsilon", 1.0))
        schedulers = [
            untyped.UnCLIPScheduler(variance_type=variance, prediction_type=kind, clip_sample_range=span) for variance, kind, span in kinds
        ]
        pipeline = untyped.UnCLIPPipeline(
            prior=prior, decoder=decoder, text_encoder=text_encoder, tokenizer=_tokenizer(), text_proj=text_proj,
            super_res_first=upsamplers[0], super_res_last=upsamplers[1],
            prior_scheduler=schedulers[0], decoder_scheduler=schedulers[1], super_res_scheduler=schedulers[2],
        )  # fmt: skip
        pipeline.save_pretrained(folder)
        vision = CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            projection_dim=WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        )
        CLIPVisionModelWithProjection(vision).save_pretrained(folder / "image_encoder")
        save_prior(folder / FILE, tiny_autoregressive_prior())


def tiny_autoregressive_prior() -> AutoregressivePrior:
    """A prior of four components in eight buckets that listens to the text."""
    shape = PriorShape(embed=WIDTH, text=WIDTH, context=16, components=4, buckets=8, width=16, heads=2, layers=1)
    spread = torch.linspace(2, 0.5, WIDTH)
    prior = AutoregressivePrior.fit(shape, torch.randn(400, WIDTH) * spread, torch.rand(50))
    for network in (prior.hidden_in, prior.embedding_in, prior.code_out):
        network.weight.data.mul_(6)
    return prior


@contextmanager
def _quiet(seed: int) -> Iterator[Any]:
    declare_missing_ops()
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        import diffusers
        from diffusers.utils import logging as of_diffusers
        from transformers.utils import logging as of_transformers

        of_diffusers.set_verbosity_error()
        of_diffusers.disable_progress_bar()
        of_transformers.disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.manual_seed(seed)
        yield diffusers


def _listen(network: Any) -> None:
    """Random networks hardly look at the text; with larger weights they do."""
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and any(part in name for part in ("attn", "embedding", "proj")):
            parameter.data.mul_(3)


def _text_config() -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(LETTERS), hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=WIDTH,
        max_position_embeddings=16, bos_token_id=LETTERS.index(START), eos_token_id=LETTERS.index(END), pad_token_id=LETTERS.index(END),
    )  # fmt: skip


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "vocab.json").write_text(json.dumps({piece: row for row, piece in enumerate(LETTERS)}))
        (Path(scratch) / "merges.txt").write_text("#version: 0.2\n")
        return CLIPTokenizer.from_pretrained(scratch, model_max_length=16)
