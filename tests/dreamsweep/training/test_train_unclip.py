"""The recipe of unCLIP: embeddings in, a stock pipeline out, resumable."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from dreamsweep.models.unclip import load_unclip
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.starter import ClipShape, StarterPerceptor, build_clip
from dreamsweep.spec import UnclipSpec
from dreamsweep.training import train_unclip
from dreamsweep.training.training import Run
from tests.dreamsweep.training.made_art import made_art

ART = made_art()
RUN = Run(steps=2, batch=4, learning_rate=1e-3, every=1)


@pytest.fixture
def guide(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> StarterPerceptor:
    """A guide whose embeddings are wider than its texts, as the real one's are; small networks to learn beside it."""
    monkeypatch.setattr(train_unclip, "SMALL", 8)
    monkeypatch.setattr(train_unclip, "LARGE", 32)
    monkeypatch.setattr(train_unclip, "DECODER_CHANNELS", (32, 32, 32))
    monkeypatch.setattr(train_unclip, "UPSAMPLER_CHANNELS", (16, 16))
    monkeypatch.setattr(train_unclip, "PRIOR_HEADS", 1)
    monkeypatch.setattr(train_unclip, "PRIOR_LAYERS", 1)
    monkeypatch.setattr(train_unclip, "COMPONENTS", 3)
    monkeypatch.setattr(train_unclip, "AUTOREGRESSIVE_WIDTH", 16)
    tiny = load_perceptor("starter-guide", "cpu")
    assert isinstance(tiny, StarterPerceptor)
    shape = ClipShape(
        embed=24, resolution=32, vision_layers=(1, 1, 1, 1), vision_width=8, context=12, text_width=16, text_heads=2, text_layers=1
    )
    torch.manual_seed(0)
    return StarterPerceptor("wide", build_clip(shape, len(tiny.vocabulary)), tiny.vocabulary, "", "cpu")


def test_embeddings_keep_what_the_guide_told_apart(guide: StarterPerceptor, tmp_path: Path) -> None:
    looked = train_unclip.look(ART, guide, tmp_path)
    assert looked.small.shape[:2] == looked.embeddings.shape[:2] == (train_unclip.VIEWS, len(looked.name_of))
    assert looked.projection.shape == (16, 24)
    gram = looked.projection @ looked.projection.T / 16
    assert torch.allclose(gram, torch.eye(16), atol=1e-4)
    assert float(looked.embeddings.norm(dim=2).mean()) == pytest.approx(16**0.5, rel=0.05)
    again = train_unclip.look(ART, guide, tmp_path)
    assert torch.equal(again.embeddings, looked.embeddings)


def test_captions_are_read_in_the_same_components(guide: StarterPerceptor, tmp_path: Path) -> None:
    projection = train_unclip.look(ART, guide, tmp_path).projection
    reader = train_unclip.CaptionReader(ART, guide, projection, "cpu")
    text, hidden, mask = reader.read(["red disc", ""])
    assert text.shape == (2, 16) and hidden.shape == (2, 12, 16) and mask[0].sum() > mask[1].sum()
    own = guide.embed_texts(["red disc"]) @ projection.T
    assert float(F.cosine_similarity(text[:1], own)) == pytest.approx(1, abs=1e-4)
    assert float(reader.read(list(ART.names))[0].norm(dim=1).mean()) == pytest.approx(4, rel=1e-3)


def test_from_art_to_a_pipeline_that_the_engine_opens(guide: StarterPerceptor, tmp_path: Path) -> None:
    checkpoints = [
        train_unclip.train_prior(ART, guide, RUN, tmp_path),
        train_unclip.train_decoder(ART, guide, RUN, tmp_path),
        train_unclip.train_autoregressive_prior(ART, guide, RUN, tmp_path),
        train_unclip.train_upsampler(ART, RUN, tmp_path),
    ]
    for path in checkpoints:
        record = torch.load(path, weights_only=True)
        assert record["step"] == 2 and all(torch.isfinite(v).all() for v in record["average"].values())
    variance = torch.load(checkpoints[1], weights_only=True)["network"]["network.conv_out.weight"][3:]
    assert not variance.any()  # the variance stays half-way, whatever is learned

    train_unclip.save_unclip(ART, guide, tmp_path, tmp_path / "made")
    assert load_file(tmp_path / "made" / "image_projection.safetensors")["weight"].shape == (16, 24)
    model = load_unclip("published", str(tmp_path / "made"), "cpu")
    assert model.image_size == 32
    caption = model.read(["red disc"])
    rng = [torch.Generator().manual_seed(0)]
    for prior in ("diffusion", "autoregressive"):
        embedding = model.imagine(caption, rng, UnclipSpec(prior=prior, prior_steps=2))
        drawn = model.draw(embedding, caption, rng, steps=2, guidance_scale=2.0, upsample_steps=2)
        assert drawn.shape == (1, 3, 32, 32) and torch.isfinite(drawn).all()


def test_the_decoder_listens_to_the_embedding_or_not(guide: StarterPerceptor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = train_unclip.Decoder(16)
    noise, time = torch.randn(1, 3, 8, 8).expand(2, -1, -1, -1), torch.tensor([500, 500])
    caption = (torch.zeros(2, 16), torch.zeros(2, 16, 16), torch.ones(2, 16, dtype=torch.bool))
    embeddings = torch.randn(2, 16)
    output = decoder(noise, time, embeddings, torch.tensor([False, False]), caption)
    untold = decoder(noise, time, embeddings, torch.tensor([True, True]), caption)
    assert not torch.allclose(output[0], output[1], atol=1e-4) and torch.allclose(untold[0], untold[1], atol=1e-5)


def test_noise_is_weighed_by_how_much_of_it_there_is() -> None:
    clean = torch.randn(64, 4)
    seen, time, weight = train_unclip.noised(clean, RUN, 0)
    assert torch.equal(seen, train_unclip.noised(clean, RUN, 0)[0]) and not torch.equal(seen, train_unclip.noised(clean, RUN, 1)[0])
    assert weight.min() >= 1 and weight.max() <= 5
    assert weight[time.argmin()] > weight[time.argmax()]
    assert train_unclip.weighted(clean, clean, weight) == 0
