"""Recorded iterations: what is done with a recording, here with one that a CPU can make, and on a GPU with CUDA's."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamsweep.compute.graphs import WARM_UP, RecordedStep, are_alike


class Counter:
    """A state of two numbers, and an iteration that moves them."""

    def __init__(self, device: str = "cpu") -> None:
        self.total, self.last = torch.zeros(2, device=device), torch.zeros((), device=device)
        self.calls = 0

    def step(self, iteration: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        self.total += iteration * torch.ones_like(self.total)
        self.last.copy_(iteration)
        return (self.total * 2,)

    def tensors(self) -> list[Tensor]:
        return [self.total, self.last]


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Callable[[Counter, float], RecordedStep]:
    """Makes recorded steps whose graph computes anew, the result times a factor, and whose recording, as CUDA's, leaves all as it was."""

    def make(counter: Counter, factor: float = 1.0) -> RecordedStep:
        recorded = RecordedStep(counter.step, counter.tensors, "cpu")

        class Graph:
            def replay(self) -> None:
                (answer,) = counter.step(recorded.iteration)
                counter.calls -= 1
                recorded.answer[0].copy_(answer * factor)

        @contextmanager
        def graph(graph: Graph, **_: object) -> Iterator[None]:
            before = [tensor.clone() for tensor in counter.tensors()]
            yield
            for tensor, value in zip(counter.tensors(), before, strict=True):
                tensor.copy_(value)

        class Stream:
            def wait_stream(self, other: object) -> None: ...

        for name, value in {"CUDAGraph": Graph, "graph": graph, "current_stream": Stream, "synchronize": lambda: None}.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        recorded.records, recorded.stream = True, Stream()  # type: ignore[assignment]
        return recorded

    return make


def run(step: RecordedStep, iterations: int = 8) -> list[float]:
    return [float(step(iteration)[0][0]) for iteration in range(1, iterations + 1)]


EXPECTED = [2.0 * sum(range(iteration + 1)) for iteration in range(1, 9)]


def test_without_a_gpu_the_iteration_is_called() -> None:
    counter = Counter()
    assert run(RecordedStep(counter.step, counter.tensors, "cpu")) == EXPECTED and counter.calls == 8


def test_a_recording_is_replayed_once_it_has_computed_the_same(recording: Any) -> None:
    counter = Counter()
    assert run(recording(counter)) == EXPECTED
    assert counter.calls == WARM_UP + 2, "the warm-up, the recording and the one to compare with"


def test_a_recording_that_computes_something_else_is_not_replayed(recording: Any, caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter()
    with caplog.at_level(logging.WARNING):
        assert run(recording(counter, 1.1)) == EXPECTED
    assert counter.calls == 8 + 1 and "does not compute what they compute" in caplog.text


def test_an_iteration_that_cannot_be_recorded_is_computed(recording: Any, caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter()
    step = recording(counter)
    plain = counter.step

    def waits(iteration: Tensor) -> tuple[Tensor, ...]:
        if not step.records and counter.calls == WARM_UP:
            counter.calls += 1
            raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors …")
        return plain(iteration)

    step.step = waits
    with caplog.at_level(logging.WARNING):
        assert run(step) == EXPECTED
    assert caplog.messages == ["iterations are not recorded as a CUDA graph: operation not permitted when stream is capturing"]


def test_what_is_alike() -> None:
    nan = torch.tensor([1.0, float("nan")])
    assert are_alike([nan], [nan * 1.001]) and not are_alike([nan], [nan * 1.1]) and not are_alike([nan], [torch.ones(2)])


@pytest.mark.gpu
def test_a_gpu_replays() -> None:
    counter = Counter("cuda")
    step = RecordedStep(counter.step, counter.tensors, "cuda")
    assert run(step) == EXPECTED and step.graph is not None


@pytest.mark.gpu
def test_an_iteration_that_waits_for_the_gpu_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter("cuda")

    def waits(iteration: Tensor) -> tuple[Tensor, ...]:
        return counter.step(iteration * (1 + 0 * int(iteration)))

    step = RecordedStep(waits, counter.tensors, "cuda")
    with caplog.at_level(logging.WARNING):
        assert run(step) == EXPECTED
    assert step.graph is None and "not recorded" in caplog.text
