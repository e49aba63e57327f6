"""The BigGAN draws what the stock class draws, layer by layer, and only from weights that fit."""

import json
from pathlib import Path

import pytest
import torch
from pytorch_pretrained_biggan import BigGAN, BigGANConfig

from dreamsweep import weights as published
from dreamsweep.compute.pool import POOL
from dreamsweep.compute.randomness import generator
from dreamsweep.errors import WeightsError
from dreamsweep.models.biggan import draw, frozen, load_biggan, plain, with_spectral_norm
from tests.tiny_weights import BIGGAN


@pytest.fixture
def stock() -> BigGAN:
    """A stock generator with attention and five truncations."""
    model = plain(BigGANConfig.from_dict({**BIGGAN.to_dict(), "n_stats": 5}), seed=1)
    rng = generator(0, "statistics")
    for name, tensor in [*model.named_buffers(), *model.named_parameters()]:
        if name.endswith("gamma"):
            tensor.data.fill_(0.5)
        if name.endswith(("running_means", "running_vars")):
            tensor.data += 0.3 * torch.rand(tensor.shape, generator=rng)
    wrapped = BigGAN(model.config)
    wrapped.load_state_dict(with_spectral_norm(model))
    return wrapped.eval().requires_grad_(False)


def vectors(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 8, generator=generator(0, "z")), torch.rand(count, 6, generator=generator(0, "c"))


def test_one_condition_for_all_layers_is_the_stock_forward(stock: BigGAN) -> None:
    z, c = vectors()
    for truncation in (0.25, 0.5, 1.0):  # stored ones
        wanted = (stock(z, c, truncation) + 1) / 2
        drawn = draw(stock, z[:, None].expand(-1, 6, -1), c[:, None].expand(-1, 6, -1), truncation)
        torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=0)


def test_between_two_truncations_the_nearer_one_weighs_more(stock: BigGAN) -> None:
    z, c = (x[:, None].expand(-1, 6, -1) for x in vectors())
    at = {truncation: draw(stock, z, c, truncation) for truncation in (0.5, 0.51, 0.74, 0.75)}
    assert (at[0.51] - at[0.5]).abs().mean() < 0.2 * (at[0.75] - at[0.5]).abs().mean()
    assert (at[0.74] - at[0.75]).abs().mean() < 0.2 * (at[0.75] - at[0.5]).abs().mean()


def test_frozen_it_draws_the_same_and_asks_for_no_gradient(stock: BigGAN) -> None:
    z, c = (x[:, None].expand(-1, 6, -1) for x in vectors())
    before = draw(stock, z, c)
    model = frozen(stock)
    torch.testing.assert_close(draw(model, z, c), before, atol=1e-5, rtol=0)
    assert not any(p.requires_grad for p in model.parameters())
    assert model.generator.conv_to_rgb.weight.shape[0] == 3


def test_each_layer_has_a_condition_of_its_own(stock: BigGAN) -> None:
    z, c = (x[:1, None].expand(-1, 6, -1) for x in vectors())
    plainly = draw(stock, z, c)
    for layer in range(6):
        moved = z.clone()
        moved[:, layer] *= -2
        assert (draw(stock, moved, c) - plainly).abs().max() > 1e-3


@pytest.mark.usefixtures("tiny_weights")
def test_starter_weights_draw_one_size() -> None:
    assert load_biggan("starter", 128, "cpu").names == tuple(f"thing {n}" for n in range(6))
    with pytest.raises(WeightsError, match=r"image_size is 256, but starter-biggan draws 128; set image_size"):
        load_biggan("starter", 256, "cpu")


def test_published_files_load_strictly(stock: BigGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = stock.state_dict()
    files = {"config.json": tmp_path / "config.json", "pytorch_model.bin": tmp_path / "pytorch_model.bin"}
    files["config.json"].write_text(json.dumps(stock.config.to_dict()))
    monkeypatch.setattr(published, "paths", lambda name: files if name == "biggan-deep-128" else {})
    monkeypatch.setattr(published, "digest", lambda name: "f" * 64)
    torch.save(state, files["pytorch_model.bin"])
    POOL.clear()
    loaded = load_biggan("published", 128, "cpu")
    z, c = (x[:, None].expand(-1, 6, -1) for x in vectors())
    torch.testing.assert_close(draw(loaded.model, z, c), draw(stock, z, c), atol=1e-5, rtol=0)
    assert (loaded.name, loaded.sha256, loaded.names) == ("biggan-deep-128", "f" * 64, ())
    torch.save({key: value for key, value in state.items() if "gamma" not in key}, files["pytorch_model.bin"])
    POOL.clear()
    with pytest.raises(WeightsError, match="not those of a BigGAN of this configuration"):
        load_biggan("published", 128, "cpu")
    POOL.clear()
