"""Iterations as CUDA graphs: all kernels of an iteration recorded once and then started together, without Python in between.

A small network's iteration is some thousand kernels, which the CPU starts one by one more slowly than a GPU computes them.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dreamsweep.environment import is_on
from dreamsweep.retry import PROGRESS

Count = int | Tensor
"""An iteration, counted from 1: a number, or an integer tensor without dimensions on the device, as a recorded iteration needs it."""
WARM_UP = 3
"""Iterations before the recording: libraries choose their kernels and caches are filled."""
RELATIVE, ABSOLUTE = 1e-2, 1e-3
"""By how much the first replayed iteration may differ from the same one, computed kernel by kernel: other sums in other orders."""


def are_graphs_on() -> bool:
    """Returns whether iterations are to be recorded (DREAMSWEEP_GRAPHS)."""
    return is_on("DREAMSWEEP_GRAPHS")


class RecordedStep:
    """An iteration that reads and writes tensors in place, replayed from its recording on a GPU; on a CPU it is merely called.

    `step` must take its iteration as a tensor and leave everything that lasts in `tensors`, which stay where they are in memory. What it
    returns belongs to the recording: it is copied. The first replay is compared with the same iteration computed plainly. Where the
    recording fails, or the two differ, iterations are computed plainly, after a warning that says why.
    """

    def __init__(self, step: Callable[[Tensor], tuple[Tensor, ...]], tensors: Callable[[], Sequence[Tensor]], device: str) -> None:
        self.step, self.tensors = step, tensors
        self.iteration = torch.zeros((), dtype=torch.int64, device=device)
        self.records = torch.device(device).type == "cuda"
        self.stream = torch.cuda.Stream() if self.records else None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.answer: tuple[Tensor, ...] = ()
        self.calls = 0

    def __call__(self, iteration: int) -> tuple[Tensor, ...]:
        """Computes an iteration, counted from 1; returns what `step` returns."""
        self.iteration.fill_(iteration)
        self.calls += 1
        if self.stream is None:
            return self.step(self.iteration)
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            answer = self._on_stream()
        torch.cuda.current_stream().wait_stream(self.stream)
        return answer

    def _on_stream(self) -> tuple[Tensor, ...]:
        if self.graph is not None:
            self.graph.replay()
            return tuple(value.clone() for value in self.answer)
        if self.records and self.calls > WARM_UP:
            return self._recorded()
        return self.step(self.iteration)

    def _recorded(self) -> tuple[Tensor, ...]:
        """Records the iteration and compares its replay with the plain one, whose results are kept."""
        self.records = False  # one attempt
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self.answer = self.step(self.iteration)
        except (RuntimeError, KeyError) as error:  # whatever a kernel, a library or a wait for the device makes of it
            torch.cuda.synchronize()
            PROGRESS.warning("iterations are not recorded as a CUDA graph: %s", str(error).strip().partition("\n")[0])
            return self.step(self.iteration)
        before = [tensor.detach().clone() for tensor in self.tensors()]
        graph.replay()
        replayed = [value.detach().clone() for value in (*self.answer, *self.tensors())]
        with torch.no_grad():
            for tensor, value in zip(self.tensors(), before, strict=True):
                tensor.copy_(value)
        answer = self.step(self.iteration)
        if are_alike(replayed, [*answer, *self.tensors()]):
            self.graph = graph
        else:
            PROGRESS.warning("iterations are not replayed from a CUDA graph: it does not compute what they compute")
        return answer


def are_alike(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Returns whether all tensors are alike, to within RELATIVE or ABSOLUTE; what is not a number is like itself."""
    return all(torch.allclose(a.double(), b.double(), RELATIVE, ABSOLUTE, equal_nan=True) for a, b in zip(some, others, strict=True))
