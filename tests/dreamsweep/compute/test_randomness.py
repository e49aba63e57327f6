"""Draws: the published generator, the same on every path, frozen, and distributed as they should be."""

import math

import numpy as np
import pytest
import torch

from dreamsweep.compute import randomness
from dreamsweep.compute.randomness import INTEGER_BITS, NORMAL_BITS, UNIFORM_BITS, Draws, _bits, _cpu_bits, _keys, philox

VECTORS = (
    ((0, 0, 0, 0), (0, 0), "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    (((1 << 64) - 1,) * 4, ((1 << 64) - 1,) * 2, "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
)
"""Counter, key and answer of philox4x64-10 in the known-answer tests of Random123 1.14 (D. E. Shaw Research)."""


def signed(words: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.array(words, np.uint64).view(np.int64))


@pytest.mark.parametrize(("counter", "key", "answer"), VECTORS)
def test_the_tensors_arithmetic_gives_the_published_answers(counter: tuple[int, ...], key: tuple[int, ...], answer: str) -> None:
    words = philox(signed(key)[None], tuple(signed(counter)))
    assert [f"{int(word) % (1 << 64):016x}" for word in words] == answer.split()


@pytest.mark.parametrize("count", [1, 7, 8, 70_001])
@pytest.mark.parametrize("kept", [UNIFORM_BITS, NORMAL_BITS, INTEGER_BITS])
def test_the_tensors_arithmetic_gives_numpy_s_bits(count: int, kept: int) -> None:
    seeds = (0, 5, -3, 2**63 - 1)
    ours = _bits(_keys(seeds, "test", torch.device("cpu")), 3, -(-count // 8), kept)[:, :count]
    for row, seed in zip(ours, seeds, strict=True):
        assert torch.equal(row, torch.cat([bits for _, bits in _cpu_bits(seed, "test", 3, count, kept)]))


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(), (7,), (3, 5, 11), (70_001,)])
def test_a_gpu_draws_what_the_cpu_draws(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomness, "BLOCKS_AT_ONCE", 20_000)
    here, device = Draws([0, 5, -3], 3), Draws([0, 5, -3], 3, "cuda")
    assert torch.equal(here.uniform("test", *shape), device.uniform("test", *shape).cpu())
    assert torch.equal(here.normal("test", *shape), device.normal("test", *shape).cpu())
    assert torch.equal(here.integers("test", 1000, *shape), device.integers("test", 1000, *shape).cpu())


def test_a_number_follows_from_its_seed_stream_iteration_and_position_alone() -> None:
    draws = Draws([4, 5], 7).uniform("test", 100_000)
    assert torch.equal(draws[1], Draws([5], 7).uniform("test", 100_000)[0])
    assert torch.equal(draws[:, :10], Draws([4, 5], 7).uniform("test", 10))
    others = [Draws([4], 8).uniform("test", 10), Draws([4], 7).uniform("other", 10), Draws([6], 7).uniform("test", 10), draws[1:, :10]]
    assert all((draws[0, :10] != other[0]).all() for other in others)


def test_draws_are_frozen() -> None:
    """Other numbers here are other pictures in every sweep: do not change them."""
    draws = Draws([0, -1], 2)
    torch.testing.assert_close(draws.uniform("codes", 2), torch.tensor(UNIFORM), atol=0, rtol=0)
    torch.testing.assert_close(draws.normal("codes", 2), torch.tensor(NORMAL), atol=0, rtol=0)
    assert draws.integers("codes", 10, 4).tolist() == INTEGERS


UNIFORM = [[0.015118539333343506, 0.19786155223846436], [0.5241645574569702, 0.591839075088501]]
NORMAL = [[-2.1669816970825195, -0.8492856025695801], [0.06060894951224327, 0.23227892816066742]]
INTEGERS = [[0, 1, 1, 4], [5, 5, 4, 7]]


def test_draws_are_distributed_as_they_should_be() -> None:
    """Kolmogorov's statistic, at a level of one in a thousand (1.95 / √n), mean and variance; integers by counts."""
    count = 200_000
    uniform, normal = Draws([1]).uniform("test", count)[0].double(), Draws([1]).normal("test", count)[0].double()
    assert uniform.min() >= 0 and uniform.max() < 1
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    for drawn in (uniform, torch.special.ndtr(normal)):
        assert (drawn.sort().values - shares).abs().max() < 1.95 / math.sqrt(count)
    assert abs(float(normal.var()) - 1) < 0.02 and 4 < normal.abs().max() < 5
    counts = Draws([1]).integers("test", 7, count)[0].bincount(minlength=7)
    assert len(counts) == 7 and ((counts - count / 7).abs() < 5 * math.sqrt(count / 7)).all()


def test_neighbours_are_not_alike() -> None:
    """Seeds, streams, iterations and positions beside each other: no correlation beyond five deviations of chance."""
    count = 100_000
    rows = [Draws([seed], iteration).normal(stream, count)[0] for seed in (0, 1) for iteration in (0, 1) for stream in ("a", "b")]
    correlations = torch.corrcoef(torch.stack([*rows, rows[0].roll(1)])) - torch.eye(len(rows) + 1)
    assert correlations.abs().max() < 5 / math.sqrt(count)
