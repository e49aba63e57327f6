"""What a person sees while a sweep runs: one progress display on a terminal, a plain line now and then elsewhere."""

import logging
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from dreamsweep.estimate import told_seconds

if TYPE_CHECKING:
    from dreamsweep.expand import Plan
    from dreamsweep.shard import Progress as ShardProgress

PLAIN_SECONDS = 15.0
"""Between lines where there is no terminal."""


@dataclass
class Tally:
    """How far a sweep is, put together from what its shards tell."""

    trials: int = 0
    made: int = 0
    """Trials whose shards are over, those of earlier runs included."""
    left: dict[str, int] = field(default_factory=dict)
    """Iterations left, by engine, without the shard that runs."""
    costs: dict[str, float] = field(default_factory=dict)
    """Seconds an iteration by engine: expected first, then measured."""
    best: float | None = None
    pace: float = 0.0
    """Trial iterations a second."""
    shard: "ShardProgress | None" = None
    engine: str = ""

    def plan(self, plan: "Plan", made: int, left: dict[str, int], costs: dict[str, float]) -> None:
        """The sweep as a whole, before its first shard."""
        self.trials, self.made, self.left, self.costs = plan.trials, made, dict(left), dict(costs)

    def take(self, progress: "ShardProgress", engine: str) -> None:
        """One shard's progress."""
        if self.shard is None or progress.shard_id != self.shard.shard_id:
            self.left[engine] = self.left.get(engine, 0) - progress.iterations * progress.trials
        self.shard, self.engine = progress, engine
        if progress.best is not None:
            self.best = progress.best if self.best is None else max(self.best, progress.best)
        if progress.iterations_per_second > 0:
            self.pace = progress.iterations_per_second
            self._measured(engine, 1 / self.pace)
        if progress.status in ("done", "already done"):
            self.made += progress.trials
            self.shard = None if progress.status == "already done" else self.shard

    def _measured(self, engine: str, cost: float) -> None:
        """Engines not met yet are expected to differ from what was expected of them as this one does."""
        if engine in self.costs:
            ratio = cost / self.costs[engine]
            self.costs = {name: old * ratio if self.left.get(name, 0) > 0 and name != engine else old for name, old in self.costs.items()}
        self.costs[engine] = cost

    @property
    def done(self) -> float:
        """Trials done, the running shard's share included."""
        running = self.shard
        if running is None or running.status in ("done", "already done"):
            return float(self.made)
        return self.made + running.trials * running.iteration / max(1, running.iterations)

    @property
    def seconds_left(self) -> float | None:
        """None before anything was measured."""
        if not self.pace:
            return None
        running = self.shard
        rest = 0.0
        if running is not None and running.status in ("running", "resumed"):
            rest = (running.iterations - running.iteration) * running.trials * self.costs[self.engine]
        return rest + sum(max(0, count) * self.costs.get(name, 1 / self.pace) for name, count in self.left.items())

    def told(self) -> str:
        """`5/12 trials · 38.2 iterations/s · best 0.412 · 1 min 20 s left`."""
        parts = [f"{int(self.done + 1e-6)}/{self.trials} trials"]
        if self.pace:
            parts.append(f"{self.pace:.1f} iterations/s")
        if self.best is not None:
            parts.append(f"best {self.best:.3f}")
        left = self.seconds_left
        if left is not None and self.made < self.trials:
            parts.append(f"{told_seconds(left)} left")
        return " · ".join(parts)


class Display(logging.Handler):
    """Shows the records of `dreamsweep.progress`; one display, from the first word to the last."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(logging.INFO)
        self.console, self.title = console, name
        self.tally = Tally()
        self._said = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> "Display":
        logger = logging.getLogger("dreamsweep.progress")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        if self.console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.fields[title]}"), BarColumn(24), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._row = self._bar.add_task("starting…", total=None, title=self.title)
            self._bar.start()
        else:
            self.console.print(f"{self.title}: starting…", highlight=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        logging.getLogger("dreamsweep.progress").removeHandler(self)
        if self._bar is not None:
            self._bar.stop()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record's plan or progress, and shows where things are."""
        found = vars(record)
        first = "plan" in found
        if first:
            self.tally.plan(found["plan"], found["made"], found["left"], found["costs"])
        elif "progress" in found:
            self.tally.take(found["progress"], found["engine"])
        else:
            return
        if self._bar is not None:
            self._bar.update(self._row, description=self.tally.told(), total=max(1, self.tally.trials), completed=self.tally.done)
        elif first or time.monotonic() - self._said > PLAIN_SECONDS:
            self._said = time.monotonic()
            self.console.print(f"{self.title}: {self.tally.told()}", highlight=False, soft_wrap=True)
