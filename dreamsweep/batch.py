"""What is known of a batch while it runs: its curves, its best pictures, and where each trial stopped."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dreamsweep.engines.protocol import State, Step
from dreamsweep.pictures import to_bytes

_PREFIX = "log."


@dataclass
class BatchLog:
    """Rows so far and best pictures of b trials over n iterations; all of it tensors, so that a checkpoint holds it whole."""

    loss: Tensor
    """`b n`; NaN where not reached."""
    guide: Tensor
    """`b n`"""
    judge: Tensor
    """`b n`; NaN where not marked."""
    learning_rate: Tensor
    """`n`"""
    elapsed: Tensor
    """`n`, seconds since the batch first started, pauses left out."""
    snapshot: Tensor
    """`b n`, whether a picture of that iteration was kept."""
    stopped_at: Tensor
    """`b`, the last iteration of each trial; n unless it diverged or stopped early."""
    diverged: Tensor
    """`b`"""
    best_mark: Tensor
    """`b`"""
    best_iteration: Tensor
    """`b`"""
    best: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    """`b 3 h w`, 8-bit."""
    final: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    """`b 3 h w`, 8-bit: the last picture of each trial that is whole."""
    embedding: Tensor = field(default_factory=lambda: torch.empty(0))
    """`b d`, the judge's, of the best picture."""
    each: Tensor = field(default_factory=lambda: torch.empty(0))
    """`b n m`, similarity by the guide to each prompt that a trial passes; empty where each has one only."""

    @classmethod
    def empty(cls, trials: int, iterations: int) -> "BatchLog":
        nan = torch.full((trials, iterations), math.nan)
        return cls(
            loss=nan.clone(),
            guide=nan.clone(),
            judge=nan.clone(),
            learning_rate=torch.full((iterations,), math.nan),
            elapsed=torch.full((iterations,), math.nan, dtype=torch.float64),
            snapshot=torch.zeros(trials, iterations, dtype=torch.bool),
            stopped_at=torch.full((trials,), iterations),
            diverged=torch.zeros(trials, dtype=torch.bool),
            best_mark=torch.full((trials,), -math.inf),
            best_iteration=torch.zeros(trials, dtype=torch.int64),
        )

    def running(self, iteration: int) -> Tensor:
        """Which trials, `b`, still run in this iteration."""
        return self.stopped_at >= iteration

    def add(self, step: Step, elapsed: float) -> None:
        """One row a running trial; a trial whose loss is not finite ends here, diverged."""
        at, running = step.iteration - 1, self.running(step.iteration)
        loss = step.loss.float().cpu()
        self.loss[running, at] = loss[running]
        self.guide[running, at] = step.similarity.float().cpu()[running]
        if step.each is not None:
            if not len(self.each):
                self.each = torch.full((*self.loss.shape, step.each.shape[1]), math.nan)
            self.each[running, at] = step.each.float().cpu()[running]
        self.learning_rate[at], self.elapsed[at] = step.learning_rate, elapsed
        fell = running & ~torch.isfinite(loss)
        self.diverged |= fell
        self.stopped_at[fell] = step.iteration

    def mark(self, iteration: int, pictures: Tensor, marks: Tensor, embeddings: Tensor, early_stop: int | None) -> None:
        """The judge's marks `b` of pictures `b 3 h w`: keeps the best, and stops trials that no longer rise."""
        going = self.running(iteration) & ~self.diverged
        marks, shown = marks.float().cpu(), to_bytes(pictures)
        self.judge[going, iteration - 1] = marks[going]
        if len(self.best) == 0:
            self.best, self.final, self.embedding = shown.clone(), shown.clone(), embeddings.float().cpu().clone()
        self.final[going] = shown[going]
        better = going & (marks > self.best_mark)
        self.best[better], self.embedding[better] = shown[better], embeddings.float().cpu()[better]
        self.best_mark[better], self.best_iteration[better] = marks[better], iteration
        if early_stop is not None:
            stale = going & (iteration - self.best_iteration >= early_stop)
            self.stopped_at[stale] = iteration

    def state(self) -> State:
        """Everything, under flat names."""
        return {f"{_PREFIX}{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: State) -> "BatchLog":
        """What `state` took."""
        return cls(**{name.removeprefix(_PREFIX): value.clone() for name, value in state.items() if name.startswith(_PREFIX)})


def is_due(iteration: int, every: int, iterations: int) -> bool:
    """Whether something done every so often is done now; the last iteration always is. `every` 0 means never."""
    return every > 0 and (iteration % every == 0 or iteration == iterations)
