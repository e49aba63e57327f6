"""Random numbers that follow from (seed, stream, iteration, position) and from nothing else: Philox 4×64-10.

The generator is counter-based (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): it has no state that
a checkpoint would need, and each trial of a batch, each part of a resumed run and each device draws the same numbers, to the last bit.
On the CPU it is NumPy's; elsewhere the same integer arithmetic, in tensors, on the device.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dreamsweep.compute.devices import is_compiling
from dreamsweep.compute.graphs import Count

MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
"""Multipliers of the first and the third word of the counter in each round."""
WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
"""Weyl constants: increments of the two words of the key between rounds (Salmon et al., 2011)."""
ROUNDS = 10
UNIFORM_BITS, NORMAL_BITS, INTEGER_BITS = 24, 20, 31
BLOCKS_AT_ONCE = 1 << 22
"""Blocks of eight numbers that a device computes together: each of some twelve intermediate tensors then takes 32 MiB."""
CHUNK = 1 << 16
"""Numbers that the CPU turns from bits into floats at a time, so that they stay in its cache."""


@dataclass(frozen=True)
class Draws:
    """Numbers for the trials of a batch in one iteration (0: before the first), each row from its own seed.

    Each purpose has a stream of its own, by name: the same stream twice is the same numbers.
    """

    seeds: Sequence[int]
    iteration: Count = 0
    device: str | torch.device = "cpu"

    def uniform(self, stream: str, *shape: int) -> Float[Tensor, "b *shape"]:
        """Returns multiples of 2⁻²⁴ in [0, 1)."""
        return self._drawn(stream, shape, UNIFORM_BITS, torch.float32, lambda bits: bits * 2.0**-UNIFORM_BITS)

    def normal(self, stream: str, *shape: int) -> Float[Tensor, "b *shape"]:
        """Returns standard normal numbers: 2²⁰ quantiles from a table, for logarithms and cosines differ between devices."""
        quantiles = _normal_quantiles(torch.device(self.device))
        return self._drawn(
            stream, shape, NORMAL_BITS, torch.float32, lambda bits: quantiles.index_select(0, bits.flatten()).view(bits.shape)
        )

    def integers(self, stream: str, high: int, *shape: int) -> Int[Tensor, "b *shape"]:
        """Returns integers from 0 to below `high`, all as likely as each other to within high / 2³¹."""
        return self._drawn(stream, shape, INTEGER_BITS, torch.int64, lambda bits: bits.long() * high >> INTEGER_BITS)

    def _drawn(
        self, stream: str, shape: Sequence[int], kept: int, dtype: torch.dtype, number: Callable[[Int[Tensor, "..."]], Tensor]
    ) -> Tensor:
        """Returns what `number` makes of the highest `kept` bits of 32 random ones, for each row and position."""
        count, seeds = math.prod(shape), tuple(self.seeds)
        if torch.device(self.device).type == "cpu":
            drawn = torch.empty(len(seeds), count, dtype=dtype)
            for row, seed in zip(drawn, seeds, strict=True):
                for start, bits in _cpu_bits(seed, stream, int(self.iteration), count, kept):
                    row[start : start + len(bits)] = number(bits)
        else:
            keys, blocks = _keys(seeds, stream, torch.device(self.device)), -(-count // 8)
            rows = max(1, BLOCKS_AT_ONCE // max(1, blocks))
            drawn = torch.cat([number(_bits(some, self.iteration, blocks, kept)[:, :count]) for some in keys.split(rows)])
        return drawn.unflatten(1, tuple(shape)) if shape else drawn[:, 0]


def generator(seed: int, stream: str, iteration: int = 0) -> torch.Generator:
    """Returns a CPU generator for libraries that take nothing else, such as diffusers' schedulers."""
    return torch.Generator().manual_seed(_key(seed, f"{stream}/{iteration}")[0])


def philox(keys: Int[Tensor, "b 2"], counter: Sequence[Int[Tensor, "..."]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the four 64-bit words of each block, as signed integers; a counter has four words, of shapes that broadcast with `b 1`."""
    (a, b, c, d), (k, m) = counter, (keys[:, :1], keys[:, 1:])
    for number in range(ROUNDS):
        if number:
            k, m = k + _signed(WEYL[0]), m + _signed(WEYL[1])
        (high_a, low_a), (high_c, low_c) = _product(MULTIPLIERS[0], a), _product(MULTIPLIERS[1], c)
        a, b, c, d = high_c ^ b ^ k, low_c, high_a ^ d ^ m, low_a
    return a, b, c, d


def _product(constant: int, word: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the high and the low 64 bits of an unsigned product, from products of 32 bits each: tensors have no 128-bit integers."""
    high, low = constant >> 32, constant & 0xFFFFFFFF
    word_high, word_low = word >> 32 & 0xFFFFFFFF, word & 0xFFFFFFFF
    low_low, low_high, high_low = low * word_low, low * word_high, high * word_low
    middle = (low_low >> 32 & 0xFFFFFFFF) + (low_high & 0xFFFFFFFF) + (high_low & 0xFFFFFFFF)
    return high * word_high + (low_high >> 32 & 0xFFFFFFFF) + (high_low >> 32 & 0xFFFFFFFF) + (middle >> 32), _signed(constant) * word


def _signed(word: int) -> int:
    """Returns an unsigned 64-bit word as the signed one of the same bits."""
    return word - (1 << 64) if word >> 63 else word


def _bits(keys: Int[Tensor, "b 2"], iteration: Count, blocks: int, kept: int) -> Int[Tensor, "b n"]:
    """Returns the highest `kept` bits of each 32, eight a block, as NumPy orders them: blocks count from 1, low halves come first."""
    block = torch.arange(1, blocks + 1, device=keys.device)[None]
    zero = torch.zeros((), dtype=torch.int64, device=keys.device)
    words = torch.stack(_philox()(keys, (block, zero + iteration, zero, zero)), -1)  # b n 4
    halves = torch.stack([words & 0xFFFFFFFF, words >> 32 & 0xFFFFFFFF], -1) >> (32 - kept)
    return halves.int().flatten(1)


@lru_cache(1)
def _philox() -> Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Returns `philox`, compiled into one kernel where networks are compiled."""
    return torch.compile(philox, dynamic=True) if is_compiling() else philox


def _cpu_bits(seed: int, stream: str, iteration: int, count: int, kept: int) -> Iterator[tuple[int, Int[Tensor, " n"]]]:
    """Yields the highest `kept` bits of each 32 of one row, some at a time, each with the position of its first."""
    key = np.array([word % (1 << 64) for word in _key(seed, stream)], np.uint64)
    source = np.random.Philox(key=key, counter=np.array([0, iteration, 0, 0], np.uint64))
    for start in range(0, count, CHUNK):
        some = min(CHUNK, count - start)
        halves = source.random_raw(-(-some // 2)).astype("<u8", copy=False).view("<u4")[:some]
        yield start, torch.from_numpy((halves >> np.uint32(32 - kept)).view(np.int32))


@lru_cache(1024)
def _key(seed: int, stream: str) -> tuple[int, int]:
    """Returns the two signed words of a key."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True), int.from_bytes(digest[8:16], "little", signed=True)


@lru_cache(64)
def _keys(seeds: tuple[int, ...], stream: str, device: torch.device) -> Int[Tensor, "b 2"]:
    return torch.tensor([_key(seed, stream) for seed in seeds], dtype=torch.int64).to(device)


@lru_cache(8)
def _normal_quantiles(device: torch.device) -> Float[Tensor, " n"]:
    shares = (torch.arange(1 << NORMAL_BITS, dtype=torch.float64) + 0.5) / (1 << NORMAL_BITS)
    quantiles: Tensor = torch.special.ndtri(shares)
    return quantiles.float().to(device)
