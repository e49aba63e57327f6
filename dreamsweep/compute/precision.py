"""In which arithmetic networks compute. What is not a network's (losses, optimizers, geometry, marks) stays in float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

import torch

from dreamsweep.spec import Precision

T = TypeVar("T")

_chosen: ContextVar[Precision] = ContextVar("precision", default="default")


def fast_precision(device: str | torch.device) -> Precision:
    """Returns `bfloat16` where a device computes in it, and `default` where it would only be imitated, several times slower than float32.

    Which processors do is PyTorch's own check: Intel's and AMD's with AVX-512, and ARM's with instructions for it.
    """
    is_imitated = torch.device(device).type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "default" if is_imitated else "bfloat16"


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
    return _autocast(device, _chosen.get())


def autocast_where_fast(device: str | torch.device) -> AbstractContextManager[object]:
    """Casts to bfloat16 (`torch.autocast`) on a device that computes in it: for training, where either precision will do."""
    return _autocast(device, fast_precision(device))


def _autocast(device: str | torch.device, precision: Precision) -> AbstractContextManager[object]:
    return nullcontext() if precision == "default" else torch.autocast(torch.device(device).type, torch.bfloat16)
