"""The autoregressive prior: components and buckets there and back, one component after the other, a file that is whole or refused."""

import math
from pathlib import Path

import pytest
import torch

from dreamsweep.errors import WeightsError
from dreamsweep.models.autoregressive_prior import AutoregressivePrior, PriorShape, load_prior, save_prior
from dreamsweep.models.caption import Caption

SHAPE = PriorShape(embed=12, text=10, context=5, components=4, buckets=16, width=32, heads=2, layers=2)
EMBEDDINGS = torch.randn(600, 12, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.linspace(3, 0.1, 12)) + 0.5


@pytest.fixture
def prior() -> AutoregressivePrior:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return AutoregressivePrior.fit(SHAPE, EMBEDDINGS, torch.linspace(-1, 1, 100))


def caption_of(count: int, seed: int = 2) -> Caption:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.arange(5) < torch.randint(2, 6, (count, 1), generator=rng)
    return Caption(torch.randn(count, 12, generator=rng), torch.randn(count, 5, 10, generator=rng), mask)


def rngs(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def not_dropped(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.bool)


def test_components_fall_and_all_of_them_rebuild_the_embedding(prior: AutoregressivePrior) -> None:
    spread = ((EMBEDDINGS - prior.mean) @ prior.directions.T).var(0)
    assert (spread[1:] <= spread[:-1]).all()
    errors = [float((prior.rebuild(EMBEDDINGS, n) - EMBEDDINGS).pow(2).sum(1).mean()) for n in range(1, 13)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-8
    assert errors[3] == pytest.approx(float(spread[4:].sum()), rel=0.01)


def test_there_and_back_stays_within_a_bucket(prior: AutoregressivePrior) -> None:
    codes = prior.quantise(EMBEDDINGS)
    counts = torch.stack([torch.bincount(column, minlength=16) for column in codes.T])
    assert counts.min() >= 600 // 16 - 2 and counts.max() <= 600 // 16 + 3  # equally many in each
    back = prior.dequantise(codes)
    assert torch.equal(prior.quantise(back), codes)
    assert torch.allclose(prior.rebuild(back, 4), back, atol=1e-4)
    far = prior.mean + 100 * prior.directions[0] - 100 * prior.directions[1]
    assert prior.quantise(far[None])[0, :2].tolist() == [15, 0]


def test_fewer_embeddings_than_buckets() -> None:
    prior = AutoregressivePrior.fit(SHAPE, EMBEDDINGS[:5], torch.rand(3))
    back = prior.dequantise(torch.arange(16)[:, None].expand(-1, 4))
    assert torch.isfinite(back).all()
    assert torch.allclose(prior.dequantise(prior.quantise(EMBEDDINGS[:5])), prior.rebuild(EMBEDDINGS[:5], 4), atol=1e-4)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_component_is_told_of_those_before_it_alone(prior: AutoregressivePrior, frozen: bool) -> None:
    if frozen:  # torch computes a frozen transformer otherwise
        prior.eval().requires_grad_(False)
    caption, near, codes = caption_of(1), torch.tensor([3]), torch.tensor([[5, 6, 7]])
    said = prior(caption, near, codes, not_dropped(1))
    assert said.shape == (1, 4, 16)
    later = prior(caption, near, torch.tensor([[5, 6, 12]]), not_dropped(1))
    assert torch.allclose(said[:, :3], later[:, :3], atol=1e-5) and not torch.allclose(said[:, 3], later[:, 3], atol=1e-3)
    shorter = prior(caption, near, codes[:, :1], not_dropped(1))
    assert torch.allclose(said[:, :2], shorter, atol=1e-5)


def test_the_caption_counts_as_far_as_it_is_one_and_unless_it_is_dropped(prior: AutoregressivePrior) -> None:
    caption, near, codes = caption_of(1), torch.tensor([3]), torch.empty(1, 0, dtype=torch.long)
    padded = Caption(caption.embedding, torch.where(caption.mask[..., None], caption.hidden, 9.0), caption.mask)
    other = caption_of(1, seed=3)
    said = prior(caption, near, codes, not_dropped(1))
    assert torch.allclose(said, prior(padded, near, codes, not_dropped(1)), atol=1e-5)
    assert not torch.allclose(said, prior(other, near, codes, not_dropped(1)), atol=1e-3)
    assert not torch.allclose(said, prior(caption, torch.tensor([9]), codes, not_dropped(1)), atol=1e-3)
    dropped = prior(caption, near, codes, ~not_dropped(1))
    assert torch.allclose(dropped, prior(other, torch.tensor([9]), codes, ~not_dropped(1)), atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_seed_decides_alone_or_in_a_batch(prior: AutoregressivePrior, scale: float) -> None:
    prior.eval().requires_grad_(False)
    caption = caption_of(3)
    batch = prior.sample(caption, rngs(4, 5, 6), scale)
    alone = prior.sample(Caption(caption.embedding[1:2], caption.hidden[1:2], caption.mask[1:2]), rngs(5), scale)
    assert batch.shape == (3, 12) and torch.allclose(batch[1], alone[0], atol=1e-5)
    assert torch.equal(batch, prior.sample(caption, rngs(4, 5, 6), scale))
    assert not torch.allclose(batch, prior.sample(caption, rngs(7, 8, 9), scale))
    (rng,) = rngs(5)
    first, second = (prior.sample(caption_of(1), [rng], scale) for _ in range(2))
    assert not torch.allclose(first, second)  # a generator goes on


def test_it_learns_which_picture_a_text_has(prior: AutoregressivePrior) -> None:
    prior.near_in.weight.data.zero_()  # of so few, how near they are to their texts would tell them apart
    prior.near_in.requires_grad_(False)
    caption, pictures = caption_of(8), EMBEDDINGS[:8]
    optimizer = torch.optim.Adam(prior.parameters(), 3e-3)
    losses = []
    for step in range(80):
        loss = prior.loss(caption, pictures, torch.rand(8, generator=rngs(step)[0]) < 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(16), rel=0.2) and losses[-1] < 0.3
    prior.eval().requires_grad_(False)
    drawn = prior.sample(caption, rngs(*range(8)), 2.0)
    nearest = torch.cdist(drawn, prior.rebuild(pictures, 4)).argmin(1)
    assert (nearest == torch.arange(8)).sum() >= 7


def test_a_file_brings_it_back(prior: AutoregressivePrior, tmp_path: Path) -> None:
    save_prior(tmp_path / "a" / "model.safetensors", prior)
    again = load_prior(tmp_path / "a" / "model.safetensors", "cpu")
    assert again.shape == SHAPE and torch.equal(again.directions, prior.directions)
    assert not any(parameter.requires_grad for parameter in again.parameters())
    weight = again.state_dict()["code_out.weight"]
    assert weight.dtype == torch.float32 and torch.allclose(weight, prior.code_out.weight, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "missing", "another", "plain"])
def test_a_damaged_file_is_one_sentence(prior: AutoregressivePrior, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    save_prior(path, prior)
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-100])
        case "missing":
            path.unlink()
        case "another":
            path.write_bytes(path.read_bytes().replace(b'\\"buckets\\": 16', b'\\"buckets\\": 17'))
        case "plain":
            path.write_text("no safetensors")
    with pytest.raises(
        WeightsError, match=r"model\.safetensors': it holds no autoregressive prior that can be read \([^\n]*\); restore it\.$"
    ):
        load_prior(path, "cpu")
