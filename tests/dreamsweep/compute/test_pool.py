"""The pool of networks: loaded once, counted in bytes, evicted by age, and safe to use from several threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dreamsweep.compute.pool import POOL, SHARE, Pool, default_budget, memory_of, network_bytes, pooled
from dreamsweep.errors import UserError
from dreamsweep.perceptors import load_perceptor


def network(kilobytes: int) -> nn.Module:
    return nn.Linear(256 * kilobytes, 1, bias=False)


def test_a_network_is_loaded_once_and_the_least_recently_used_leaves() -> None:
    pool, loads = Pool(lambda device: 5 * 1024), list[str]()

    def get(name: str, kilobytes: int = 2, device: str = "cpu") -> nn.Module:
        def load() -> nn.Module:
            loads.append(name)
            return network(kilobytes)

        return pool.get((name, device), device, load)

    first = get("a")
    get("b")
    assert get("a") is first and loads == ["a", "b"]
    get("c")  # 6 KiB: b, not used since, has to go
    assert pool.bytes_on("cpu") == 4 * 1024
    assert get("a") is first and get("c") is not None and loads == ["a", "b", "c"]
    get("b")
    assert loads == ["a", "b", "c", "b"]
    get("large", 50)  # larger than the budget: it stays alone
    assert len(pool) == 1 and pool.bytes_on("cpu") == 50 * 1024
    get("elsewhere", 5, "meta")  # another device has a budget of its own
    assert len(pool) == 2


def test_a_failed_load_leaves_nothing_behind() -> None:
    pool = Pool(lambda device: 1024)

    def broken() -> nn.Module:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        pool.get("a", "cpu", broken)
    assert len(pool) == 0 and pool.get("a", "cpu", lambda: network(1)) is not None


def test_threads_that_want_the_same_network_load_it_once() -> None:
    pool, loads, gate = Pool(lambda device: 1024), list[int](), threading.Barrier(4)

    def load() -> nn.Module:
        loads.append(1)
        return network(1)

    def get() -> nn.Module:
        gate.wait()
        return pool.get("a", "cpu", load)

    with ThreadPoolExecutor(4) as threads:
        networks = [future.result() for future in [threads.submit(get) for _ in range(4)]]
    assert len(loads) == 1 and len({id(network) for network in networks}) == 1


def test_bytes_are_found_in_whatever_holds_a_network() -> None:
    @dataclass
    class Holder:
        parts: dict[str, list[nn.Module]]
        extra: Tensor

    inner, extra = network(3), torch.zeros(256)
    assert network_bytes(inner) == 3 * 1024
    holder = Holder({"a": [inner, inner]}, extra)
    assert network_bytes(holder) == 4 * 1024  # once, though it is there twice
    assert network_bytes((lambda: inner(extra), holder)) == 4 * 1024


def test_the_budget_is_a_share_of_the_device_s_memory_or_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DREAMSWEEP_MODEL_BUDGET", raising=False)
    assert default_budget("cpu") == int(SHARE * memory_of("cpu")) > 2**28
    monkeypatch.setenv("DREAMSWEEP_MODEL_BUDGET", "1.5")
    assert default_budget("cpu") == 3 * 2**29
    monkeypatch.setenv("DREAMSWEEP_MODEL_BUDGET", "much")
    with pytest.raises(UserError, match=r"DREAMSWEEP_MODEL_BUDGET: 'much' is no size in GiB; write a number above 0, such as 6.5"):
        default_budget("cpu")


def test_loaders_of_networks_use_the_pool(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = load_perceptor("starter-guide", "cpu")
    assert load_perceptor("starter-guide", "cpu") is guide and POOL.bytes_on("cpu") > 0
    monkeypatch.setenv("DREAMSWEEP_MODEL_BUDGET", "0.000001")
    judge = load_perceptor("starter-judge", "cpu")
    assert len(POOL) == 1 and load_perceptor("starter-judge", "cpu") is judge
    assert load_perceptor("starter-guide", "cpu") is not guide


def test_a_pooled_loader_is_keyed_by_its_arguments() -> None:
    @pooled
    def load_toy(size: int, device: str) -> nn.Module:
        return network(size)

    POOL.clear()
    assert load_toy(1, "cpu") is load_toy(1, "cpu") and load_toy(2, "cpu") is not load_toy(1, "cpu")
    POOL.clear()
