"""Log of a running batch: its score curves, its best pictures, and the iteration at which each trial stopped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dreamsweep.compute.images import to_bytes
from dreamsweep.engines.protocol import State, Step

_PREFIX = "log."
ENDLESS = torch.iinfo(torch.int64).max
"""Iterations of a run that has no last one."""


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
        """Returns which trials, `b`, still run in this iteration."""
        return self.stopped_at >= iteration

    def add(self, rows: Sequence["Row"]) -> None:
        """Adds rows of consecutive iterations, read from the device at once; a trial whose loss is not finite ends there, diverged."""
        losses, similarities = (_on_cpu(values) for values in ([row.loss for row in rows], [row.similarity for row in rows]))
        each = _on_cpu([row.each for row in rows if row.each is not None])
        for number, row in enumerate(rows):
            at, running, loss = row.iteration - 1, self.running(row.iteration), losses[number]
            self.loss[running, at] = loss[running]
            self.guide[running, at] = similarities[number][running]
            if len(each):
                if not len(self.each):
                    self.each = torch.full((*self.loss.shape, each.shape[2]), math.nan)
                self.each[running, at] = each[number][running]
            self.learning_rate[at], self.elapsed[at] = row.learning_rate, row.elapsed
            fell = running & ~torch.isfinite(loss)
            self.diverged |= fell
            self.stopped_at[fell] = row.iteration

    def mark(self, iteration: int, pictures: Tensor, marks: Tensor, embeddings: Tensor) -> None:
        """Takes the judge's scores `b` of pictures `b 3 h w`, and keeps the best."""
        going = self.running(iteration) & ~self.diverged
        marks, shown = marks.float().cpu(), to_bytes(pictures)
        self.judge[going, iteration - 1] = marks[going]
        if len(self.best) == 0:
            self.best, self.final, self.embedding = shown.clone(), shown.clone(), embeddings.float().cpu().clone()
        self.final[going] = shown[going]
        better = going & (marks > self.best_mark)
        self.best[better], self.embedding[better] = shown[better], embeddings.float().cpu()[better]
        self.best_mark[better], self.best_iteration[better] = marks[better], iteration

    def stop_stale(self, iteration: int, judge_every: int, patience: int) -> None:
        """Stops trials whose score has not risen for `patience` iterations.

        Counts the scores of the judge's own iterations alone: those of snapshots in between depend on what is kept, and must decide no
        pixels.
        """
        judged = torch.tensor([at for at in range(1, iteration + 1) if is_judged(at, judge_every, self.judge.shape[1])])
        scores = self.judge[:, judged - 1].nan_to_num(-math.inf)
        best = torch.where(scores.isfinite().any(1), judged[scores.argmax(1)], 0)
        stale = self.running(iteration) & ~self.diverged & (iteration - best >= patience)
        self.stopped_at[stale] = iteration

    def without_end(self) -> "BatchLog":
        """Copies the log, as it is in its last iteration, for a run that has no last one."""
        log = BatchLog.from_state(self.state())
        log.stopped_at[(log.stopped_at == len(log.elapsed)) & ~log.diverged] = ENDLESS
        return log

    def with_end(self, iterations: int) -> "BatchLog":
        """Copies a log without end for a run of so many iterations: those that follow are empty, and trials that run end at the last."""
        log = BatchLog.from_state(self.state())
        log.stopped_at[log.stopped_at == ENDLESS] = iterations
        log.loss, log.guide, log.judge, log.snapshot = (_padded(x, iterations, 1) for x in (log.loss, log.guide, log.judge, log.snapshot))
        log.learning_rate, log.elapsed = (_padded(x, iterations, 0) for x in (log.learning_rate, log.elapsed))
        if len(log.each):
            log.each = _padded(log.each, iterations, 1)
        return log

    def state(self) -> State:
        """Returns all tensors under flat names, for a checkpoint."""
        return {f"{_PREFIX}{name}": value for name, value in vars(self).items()}

    @staticmethod
    def owns(name: str) -> bool:
        """Returns whether a checkpoint's tensor of this name is a log's."""
        return name.startswith(_PREFIX)

    @classmethod
    def from_state(cls, state: State) -> "BatchLog":
        """Restores the log that `state` returned."""
        return cls(**{name.removeprefix(_PREFIX): value.clone() for name, value in state.items() if cls.owns(name)})


@dataclass(frozen=True)
class Row:
    """What the log takes of one iteration, still on the device: to read it there would make the CPU wait for the iteration."""

    iteration: int
    loss: Tensor
    """`b`"""
    similarity: Tensor
    """`b`"""
    each: Tensor | None
    """`b m`"""
    learning_rate: float
    elapsed: float

    @classmethod
    def of(cls, step: Step, elapsed: float) -> "Row":
        """Returns the row of a step, without what else a step holds on to."""
        return cls(step.iteration, step.loss, step.similarity, step.each, step.learning_rate, elapsed)


def _on_cpu(values: Sequence[Tensor]) -> Tensor:
    """Stacks tensors of one shape on the CPU, read in one go."""
    return torch.stack(list(values)).float().cpu() if values else torch.empty(0)


def _padded(values: Tensor, length: int, axis: int) -> Tensor:
    """Fills up values along an axis: with NaN, or False."""
    missing = [length - size if at == axis else size for at, size in enumerate(values.shape)]
    return torch.cat([values, values.new_full(missing, math.nan if values.is_floating_point() else False)], axis)


def is_due(iteration: int, every: int, iterations: int) -> bool:
    """Returns whether an iteration is due at an interval `every`; the last one always is. 0 means never."""
    return every > 0 and (iteration % every == 0 or iteration == iterations)


def is_judged(iteration: int, every: int, iterations: int) -> bool:
    """Returns whether the judge scores an iteration: the first, the last, and those at its interval."""
    return iteration == 1 or is_due(iteration, every, iterations)
