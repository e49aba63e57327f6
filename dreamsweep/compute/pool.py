"""The pool of loaded networks: each is loaded once a process, and the least recently used leave when a device's budget is exceeded."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from functools import wraps
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn

from dreamsweep.environment import gibibytes

P = ParamSpec("P")
T = TypeVar("T")
SHARE = 0.5
"""Share of a device's memory that loaded networks may take, where DREAMSWEEP_MODEL_BUDGET names none."""
ASSUMED_MEMORY = 8 * 2**30
"""Bytes that are assumed of a device that does not say how much memory it has."""


class Pool:
    """Networks by key, for each device in the order of their last use. Safe to use from several threads.

    An evicted network is freed when those who still use it are done; the newest one always stays, whatever its size.
    """

    def __init__(self, budget: Callable[[str], int]) -> None:
        self._budget = budget
        self._networks: OrderedDict[Hashable, tuple[str, Any, int]] = OrderedDict()
        self._lock = threading.RLock()  # loaders draw from global generators and set global switches, so one loads at a time

    def get(self, key: Hashable, device: str, load: Callable[[], T]) -> T:
        """Returns the network of a key, loaded if it is not here; then the least recently used of that device leave, as the budget asks."""
        with self._lock:
            if key not in self._networks:
                network = load()
                self._networks[key] = (device, network, network_bytes(network))
                self._evict(device)
            self._networks.move_to_end(key)
            return cast(T, self._networks[key][1])

    def bytes_on(self, device: str) -> int:
        """Returns bytes of the networks of a device."""
        with self._lock:
            return sum(size for where, _, size in self._networks.values() if where == device)

    def clear(self) -> None:
        """Forgets every network."""
        with self._lock:
            self._networks.clear()

    def __len__(self) -> int:
        return len(self._networks)

    def _evict(self, device: str) -> None:
        budget = self._budget(device)
        oldest = [key for key, (where, _, _) in self._networks.items() if where == device]
        for key in oldest[:-1]:
            if self.bytes_on(device) <= budget:
                return
            del self._networks[key]


def default_budget(device: str) -> int:
    """Bytes for a device's networks: DREAMSWEEP_MODEL_BUDGET, in GiB, or half of its memory. Raises UserError where it is no number."""
    named = gibibytes("DREAMSWEEP_MODEL_BUDGET")
    return named if named is not None else int(SHARE * memory_of(device))


def memory_of(device: str) -> int:
    """Returns bytes of memory that a device has."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[1])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return ASSUMED_MEMORY


POOL = Pool(default_budget)


def pooled(load: Callable[P, T]) -> Callable[P, T]:
    """Makes a loader, whose last argument is the device, take its networks from the pool."""

    @wraps(load)
    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        values = (*args, *kwargs.values())
        key = (f"{load.__module__}.{load.__qualname__}", *args, *sorted(kwargs.items()))
        return POOL.get(key, str(values[-1]), lambda: load(*args, **kwargs))

    return get


def network_bytes(network: object) -> int:
    """Returns bytes of all tensors that an object holds, found through modules, attributes, plain containers and closures."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in _tensors(network, set())}.values())


def _tensors(value: object, seen: set[int]) -> Iterator[Tensor]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
        yield from value.buffers()
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner, seen)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner, seen)
    elif isinstance(value, FunctionType):
        yield from _tensors([cell.cell_contents for cell in value.__closure__ or ()], seen)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from _tensors(vars(value), seen)
