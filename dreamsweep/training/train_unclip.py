"""Trains the starter unCLIP in the stock classes: a decoder of embeddings at 32 px, an upsampler to 128 px, and a diffusion prior.

Beside them, the autoregressive prior, for which there is no stock class.

Ramesh et al. (DALL-E 2, 2022), small. Embeddings are the leading principal components of the guide's, for the stock classes want them
as wide as the text tower. Networks predict the picture, or the embedding, itself: with few steps of training that fails more gently
than predicting the noise.
"""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamsweep.compute.precision import autocast_where_fast
from dreamsweep.models.autoregressive_prior import FILE, AutoregressivePrior, PriorShape, nearness, save_prior
from dreamsweep.models.caption import Caption
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.training.art import Art
from dreamsweep.training.captions import Captions, name_weights
from dreamsweep.training.text_encoder import text_encoder_of
from dreamsweep.training.train_dvae import ArtOnWhite, random_crops
from dreamsweep.training.training import Run, averaged, fit
from dreamsweep.weights.hashes import PROJECTION

SMALL, LARGE = 32, 128
"""Pixels on a side of what the decoder and the upsampler draw."""
DECODER_CHANNELS = (32, 64, 128)
UPSAMPLER_CHANNELS = (24, 40, 56)
PRIOR_HEADS, PRIOR_LAYERS = 5, 3
COMPONENTS, BUCKETS = 16, 64
"""Of the autoregressive prior. The guide's pictures lie in a space of some fifteen dimensions: this loses 0.3 % of the squared error."""
AUTOREGRESSIVE_WIDTH, AUTOREGRESSIVE_HEADS, AUTOREGRESSIVE_LAYERS = 144, 4, 3
PAIRS = 4096
"""Pictures, each with a caption, that say how near the two usually are."""
VIEWS = 3
"""Of each picture: plain, and moved, resized and sometimes mirrored."""
DROPPED_EMBEDDING, DROPPED_CAPTION = 0.1, 0.5
"""Shares of a batch without the one or the other (the paper's §2.1)."""
DECODER_RUN = Run(steps=4000, batch=64, learning_rate=8e-4)
UPSAMPLER_RUN = Run(steps=1200, batch=12, learning_rate=1e-3)
PRIOR_RUN = Run(steps=2000, batch=128, learning_rate=6e-4)
AUTOREGRESSIVE_RUN = Run(steps=2000, batch=128, learning_rate=1e-3)


@dataclass(frozen=True)
class Looked:
    """The training pictures as unCLIP sees them; `v` views of `n` pictures."""

    small: Tensor
    """uint8 `v n 3 32 32`"""
    embeddings: Tensor
    """`v n d`, see `projection`"""
    name_of: Tensor
    """`n`"""
    projection: Tensor
    """`d e`: the guide's unit embeddings to the leading principal components, whose typical length is √d."""


@torch.no_grad()
def look(art: Art, guide: StarterPerceptor, folder: Path) -> Looked:
    """Looks at every training picture with the guide; kept in `folder`."""
    cache = folder / "looked.pt"
    if cache.exists():
        return Looked(**torch.load(cache, weights_only=True))
    chosen = art.of_styles("train")
    small, seen = [], []
    for view in range(VIEWS):
        for number, part in enumerate(torch.arange(len(chosen)).split(64)):
            data = ArtOnWhite(art, chosen[part])
            pictures = data.pictures(None) if view == 0 else data.moved(torch.Generator().manual_seed(view * 100_003 + number))
            small.append((F.adaptive_avg_pool2d(pictures, SMALL).clamp(0, 1) * 255).round().to(torch.uint8))
            seen.append(guide.embed_pictures(F.adaptive_avg_pool2d(pictures, guide.resolution).to(guide.device)).cpu())
    units = torch.cat(seen)
    width = guide.model.transformer.width
    directions = torch.linalg.svd(units[:: max(1, len(units) // 20_000)], full_matrices=False).Vh[:width]
    projection = directions * width**0.5
    views = (VIEWS, len(chosen))
    record = {
        "small": torch.cat(small).unflatten(0, views), "embeddings": (units @ projection.T).unflatten(0, views),
        "name_of": torch.from_numpy(art.name_of[chosen]), "projection": projection,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(record, cache)
    return Looked(**record)


class CaptionReader:
    """The guide's text tower in the stock class, its embeddings moved into the same components and to the same length as the pictures'."""

    def __init__(self, art: Art, guide: StarterPerceptor, projection: Tensor, device: str) -> None:
        self.captions = Captions(art)
        self.encoder, self.tokenizer = text_encoder_of(guide, self.captions.every_text(), projection)
        typical = self.encoder(**self.tokenizer(list(art.names), padding=True, return_tensors="pt")).text_embeds.norm(dim=1).mean()
        self.encoder.text_projection.weight.mul_(projection.shape[0] ** 0.5 / typical)
        self.encoder.to(device)

    def draw(self, names: Tensor, rng: random.Random, dropped: float) -> Any:
        """(text_embeds `n d`, last_hidden_state `n t w`, mask `n t`) of a caption for each name, some of them left empty."""
        texts = ["" if rng.random() < dropped else self.captions.draw(int(name), rng).text for name in names]
        return self.read(texts)

    @torch.no_grad()
    def read(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """(text_embeds `n d`, last_hidden_state `n t w`, mask `n t`)."""
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").to(
            self.encoder.device
        )
        output = self.encoder(tokens.input_ids)
        return output.text_embeds, output.last_hidden_state, tokens.attention_mask.bool()


class Decoder(nn.Module):
    """The stock network and what tells it of embedding and caption, trained together."""

    def __init__(self, width: int) -> None:
        super().__init__()
        import diffusers
        from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

        network: Any = diffusers.UNet2DConditionModel  # untyped
        projection: Any = UnCLIPTextProjModel
        self.network = network(
            sample_size=SMALL, in_channels=3, out_channels=6, block_out_channels=DECODER_CHANNELS, layers_per_block=1,
            cross_attention_dim=width, attention_head_dim=32, norm_num_groups=16, resnet_time_scale_shift="scale_shift",
            class_embed_type="identity", mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            down_block_types=("DownBlock2D", "DownBlock2D", "SimpleCrossAttnDownBlock2D"),
            up_block_types=("SimpleCrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        self.text_proj = projection(clip_embeddings_dim=width, time_embed_dim=4 * DECODER_CHANNELS[0], cross_attention_dim=width)
        nn.init.normal_(self.text_proj.learned_classifier_free_guidance_embeddings)
        with torch.no_grad():  # the last three channels say the variance; at zero it stays half-way between its bounds
            self.network.conv_out.weight[3:] = 0
            self.network.conv_out.bias[3:] = 0

    def forward(self, noised: Tensor, time: Tensor, embeddings: Tensor, dropped: Tensor, caption: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Returns the pictures in [-1, 1], `n 3 32 32`, that noised ones were; `dropped` `n` says whose embedding is not told."""
        text, hidden, mask = caption
        embeddings = torch.where(dropped[:, None], self.text_proj.learned_classifier_free_guidance_embeddings, embeddings)
        hidden, additive = self.text_proj(
            image_embeddings=embeddings, prompt_embeds=text, text_encoder_hidden_states=hidden, do_classifier_free_guidance=False
        )
        mask = F.pad(mask, (self.text_proj.clip_extra_context_tokens, 0), value=True)
        predicted: Tensor = self.network(noised, time, encoder_hidden_states=hidden, class_labels=additive, attention_mask=mask).sample
        return predicted[:, :3]


def build_upsampler() -> Any:
    """Returns the stock network with random weights: noised pictures and blurred ones beside them, `n 6 128 128`, to `n 3 128 128`."""
    import diffusers

    kind: Any = diffusers.UNet2DModel  # untyped
    levels = len(UPSAMPLER_CHANNELS)
    return kind(
        sample_size=LARGE, in_channels=6, out_channels=3, block_out_channels=UPSAMPLER_CHANNELS, layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D",) * levels, up_block_types=("UpBlock2D",) * levels, add_attention=False,
        resnet_time_scale_shift="scale_shift",
    )  # fmt: skip


def build_prior(width: int, context: int) -> Any:
    """Returns the stock network with random weights: noised embeddings `n d` and a caption to embeddings."""
    import diffusers

    kind: Any = diffusers.PriorTransformer  # untyped
    return kind(
        num_attention_heads=PRIOR_HEADS, attention_head_dim=32, num_layers=PRIOR_LAYERS, embedding_dim=width, num_embeddings=context
    )


def scheduler(variance: str, span: float) -> Any:
    """UnCLIP's own scheduler, for networks that predict what was there before the noise."""
    import diffusers

    kind: Any = diffusers.UnCLIPScheduler  # untyped
    return kind(variance_type=variance, prediction_type="sample", clip_sample_range=span)


def noised(clean: Tensor, run: Run, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (noised, time `n`, weight of the loss `n`): v-prediction's weight, at most 5 (Salimans & Ho, 2022; Hang et al., 2023)."""
    rng = run.at(step)
    alphas = scheduler("fixed_small_log", 1.0).alphas_cumprod.to(clean.device)
    time = torch.randint(len(alphas), (len(clean),), generator=rng).to(clean.device)
    kept = alphas[time].reshape(-1, *[1] * (clean.ndim - 1))
    noise = torch.randn(clean.shape, generator=rng).to(clean.device)
    weight = (1 + alphas[time] / (1 - alphas[time])).clamp(max=5)
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise, time, weight


def weighted(predicted: Tensor, clean: Tensor, weight: Tensor) -> Tensor:
    """Returns squared error, weighted by item."""
    loss: Tensor = ((predicted.float() - clean).pow(2).flatten(1).mean(1) * weight).mean()
    return loss


def train_decoder(art: Art, guide: StarterPerceptor, run: Run, folder: Path, device: str = "cpu") -> Path:
    """Trains the decoder, going on from `folder`'s checkpoint where there is one; returns its path."""
    looked = look(art, guide, folder)
    reader = CaptionReader(art, guide, looked.projection, device)
    weights = torch.from_numpy(name_weights(art.groups))[looked.name_of]
    torch.manual_seed(run.seed)
    decoder = Decoder(len(looked.projection)).to(device)

    def loss_of(step: int) -> Tensor:
        rng = run.at(step)
        index = torch.multinomial(weights, run.batch, replacement=True, generator=rng)
        view = torch.randint(VIEWS, (run.batch,), generator=rng)
        dropped = (torch.rand(run.batch, generator=rng) < DROPPED_EMBEDDING).to(device)
        caption = reader.draw(looked.name_of[index], random.Random(run.seed * 1_000_003 + step), DROPPED_CAPTION)
        clean = looked.small[view, index].to(device).float() / 127.5 - 1
        seen, time, weight = noised(clean, run, step)
        with autocast_where_fast(clean.device):
            predicted = decoder(seen, time, looked.embeddings[view, index].to(device), dropped, caption)
        return weighted(predicted, clean, weight)

    return fit(decoder, loss_of, run, folder / "unclip-decoder.pt")


def train_upsampler(art: Art, run: Run, folder: Path, device: str = "cpu") -> Path:
    """Trains the upsampler on pieces of 64 px, going on from `folder`'s checkpoint where there is one; returns its path.

    What it is told is softened and roughened at random, for the decoder's pictures are not as clean as those it learns from.
    """
    data = ArtOnWhite(art, art.of_styles("train"))
    torch.manual_seed(run.seed)
    upsampler = build_upsampler().to(device)

    def loss_of(step: int) -> Tensor:
        rng = run.at(step)
        clean = random_crops(data.pictures(rng, run.batch), LARGE // 2, rng) * 2 - 1
        small = F.adaptive_avg_pool2d(clean, SMALL // 2)
        soft, rough = torch.rand(2, run.batch, 1, 1, 1, generator=rng) * torch.tensor([0.7, 0.15])[:, None, None, None, None]
        small = torch.lerp(small, F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1), soft)
        small = small + rough * torch.randn(small.shape, generator=rng)
        blurred = F.interpolate(small.clamp(-1, 1), size=clean.shape[2:], mode="bicubic", align_corners=False, antialias=True)
        seen, time, weight = noised(clean, run, step)
        with autocast_where_fast(device):
            predicted = upsampler(torch.cat([seen, blurred], 1).to(device), time.to(device)).sample
        return weighted(predicted, clean.to(device), weight.to(device))

    return fit(upsampler, loss_of, run, folder / "unclip-upsampler.pt")


def train_prior(art: Art, guide: StarterPerceptor, run: Run, folder: Path, device: str = "cpu") -> Path:
    """Trains the diffusion prior, going on from `folder`'s checkpoint where there is one; returns its path."""
    looked = look(art, guide, folder)
    reader = CaptionReader(art, guide, looked.projection, device)
    weights = torch.from_numpy(name_weights(art.groups))[looked.name_of]
    torch.manual_seed(run.seed)
    prior = build_prior(len(looked.projection), guide.vocabulary.context).to(device)
    flat = looked.embeddings.flatten(0, 1)
    with torch.no_grad():
        prior.clip_mean.copy_(flat.mean(0, keepdim=True))
        prior.clip_std.copy_(flat.std(0, keepdim=True))
    prior.clip_mean.requires_grad_(False)
    prior.clip_std.requires_grad_(False)

    def loss_of(step: int) -> Tensor:
        rng = run.at(step)
        index = torch.multinomial(weights, run.batch, replacement=True, generator=rng)
        view = torch.randint(VIEWS, (run.batch,), generator=rng)
        text, hidden, mask = reader.draw(looked.name_of[index], random.Random(run.seed * 1_000_003 + step), DROPPED_EMBEDDING)
        clean = (looked.embeddings[view, index].to(device) - prior.clip_mean) / prior.clip_std
        seen, time, weight = noised(clean, run, step)
        with autocast_where_fast(clean.device):
            predicted = prior(seen, time, proj_embedding=text, encoder_hidden_states=hidden, attention_mask=mask).predicted_image_embedding
        return weighted(predicted, clean, weight)

    return fit(prior, loss_of, run, folder / "unclip-prior.pt")


def autoregressive_shape(guide: StarterPerceptor, width: int) -> PriorShape:
    """Returns what the autoregressive prior is like, for embeddings of a width."""
    return PriorShape(
        embed=width, text=guide.model.transformer.width, context=guide.vocabulary.context, components=COMPONENTS, buckets=BUCKETS,
        width=AUTOREGRESSIVE_WIDTH, heads=AUTOREGRESSIVE_HEADS, layers=AUTOREGRESSIVE_LAYERS,
    )  # fmt: skip


def train_autoregressive_prior(art: Art, guide: StarterPerceptor, run: Run, folder: Path, device: str = "cpu") -> Path:
    """Trains the autoregressive prior, going on from `folder`'s checkpoint where there is one; returns its path."""
    looked = look(art, guide, folder)
    reader = CaptionReader(art, guide, looked.projection, device)
    weights = torch.from_numpy(name_weights(art.groups))[looked.name_of]
    torch.manual_seed(run.seed)
    pairs = torch.multinomial(weights, PAIRS, replacement=True, generator=run.at(-1))
    rng = random.Random(run.seed)
    texts = torch.cat([reader.draw(looked.name_of[part], rng, 0.0)[0].cpu() for part in pairs.split(256)])
    shape = autoregressive_shape(guide, len(looked.projection))
    prior = AutoregressivePrior.fit(shape, looked.embeddings.flatten(0, 1), nearness(texts, looked.embeddings[0, pairs])).to(device)

    def loss_of(step: int) -> Tensor:
        rng = run.at(step)
        index = torch.multinomial(weights, run.batch, replacement=True, generator=rng)
        view = torch.randint(VIEWS, (run.batch,), generator=rng)
        dropped = (torch.rand(run.batch, generator=rng) < DROPPED_EMBEDDING).to(device)
        caption = Caption(*reader.draw(looked.name_of[index], random.Random(run.seed * 1_000_003 + step), 0.0))
        with autocast_where_fast(device):
            return prior.loss(caption, looked.embeddings[view, index].to(device), dropped)

    return fit(prior, loss_of, run, folder / "unclip-prior-autoregressive.pt")


def save_unclip(art: Art, guide: StarterPerceptor, folder: Path, target: Path) -> None:
    """Saves the stock pipeline from the checkpoints in `folder`, in half precision, and beside it how pictures are embedded."""
    import diffusers

    looked = look(art, guide, folder)
    width = len(looked.projection)
    reader = CaptionReader(art, guide, looked.projection, "cpu")
    decoder, prior = Decoder(width), build_prior(width, guide.vocabulary.context)
    upsampler = build_upsampler()
    decoder.load_state_dict(averaged(folder / "unclip-decoder.pt"))
    prior.load_state_dict(averaged(folder / "unclip-prior.pt"))
    upsampler.load_state_dict(averaged(folder / "unclip-upsampler.pt"))
    kind: Any = diffusers.UnCLIPPipeline
    pipeline = kind(
        prior=prior, decoder=decoder.network, text_encoder=reader.encoder, tokenizer=reader.tokenizer, text_proj=decoder.text_proj,
        super_res_first=upsampler, super_res_last=upsampler, prior_scheduler=scheduler("fixed_small_log", 5.0),
        decoder_scheduler=scheduler("learned_range", 1.0), super_res_scheduler=scheduler("fixed_small_log", 1.0),
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(target)
    shutil.rmtree(target / "super_res_last")  # the stock pipeline keeps one more network for its last step; here it is the same
    autoregressive = AutoregressivePrior(autoregressive_shape(guide, width))
    autoregressive.load_state_dict(averaged(folder / "unclip-prior-autoregressive.pt"))
    save_prior(target / FILE, autoregressive)
    save_file({"weight": looked.projection.half().contiguous()}, target / PROJECTION)
