"""In which arithmetic networks compute. What is not a network's (losses, optimizers, geometry, marks) stays in float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

import torch

from dreamsweep.spec import Precision

T = TypeVar("T")

_chosen: ContextVar[Precision] = ContextVar("precision", default="default")


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Networks called in here, on this thread, compute in this precision."""
    token = _chosen.set(precision)
    try:
        yield
    finally:
        _chosen.reset(token)


def iterate_with_precision(precision: Precision, items: Iterator[T]) -> Iterator[T]:
    """Yields the items of an iterator, each computed in a precision; whoever takes them is not affected."""
    while True:
        with computing_in(precision):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def of_network(device: str | torch.device) -> AbstractContextManager[object]:
    """Casts within a network's call to bfloat16 where that was chosen, for what is safe in it (`torch.autocast`)."""
    if _chosen.get() == "default":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)
