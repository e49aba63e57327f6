"""What a person sees while a sweep runs: one progress display on a terminal, a plain line now and then elsewhere."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from dreamsweep.words import counted, told_seconds

if TYPE_CHECKING:
    from dreamsweep.expand import Plan
    from dreamsweep.planned import Elsewhere, Lost
    from dreamsweep.planned import Progress as ShardProgress

PLAIN_SECONDS = 15.0
"""Between lines where there is no terminal."""
PACE_SECONDS = 20.0
"""The pace is that of the last so many seconds: a shard's first steps may cost more than the rest."""


@dataclass
class Tally:
    """How far a sweep is, put together from what its shards tell."""

    trials: int = 0
    made: int = 0
    """Trials whose shards are over, those of earlier runs included."""
    left: dict[str, int] = field(default_factory=dict)
    """Iterations left, by engine, without the shards that run."""
    costs: dict[str, float] = field(default_factory=dict)
    """Seconds an iteration by engine: expected first, then measured."""
    best: float | None = None
    pace: float = 0.0
    """Trial iterations a second."""
    running: "dict[str, ShardProgress]" = field(default_factory=dict)
    """One here; elsewhere as many as have told of themselves."""
    elsewhere: "Elsewhere | None" = None
    """The last look at shards that others make."""
    clock: Callable[[], float] = time.monotonic
    _begun: set[str] = field(default_factory=set)
    """Shards that have left `left`."""
    _measured: set[str] = field(default_factory=set)
    """Engines whose costs are known."""
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    """When the running shard had made how many trial iterations."""

    def plan(self, plan: "Plan", made: int, left: dict[str, int], costs: dict[str, float]) -> None:
        """The sweep as a whole, before its first shard."""
        self.trials, self.made, self.left, self.costs = plan.trials, made, dict(left), dict(costs)

    def take(self, progress: "ShardProgress") -> None:
        """Progress of a shard that is made here, alone; or that one is made, by whomever."""
        self._begin(progress)
        if progress.status == "already done":
            self.running.pop(progress.shard_id, None)
            self.made += progress.trials
            return
        if progress.shard_id not in self.running:
            self._recent.clear()
        self.running = {progress.shard_id: progress}
        if pace := self._recent_pace(progress):
            self.pace = pace
            self._measure(progress.engine, 1 / pace)
        if progress.status == "done":
            self.running.clear()
            self.made += progress.trials

    def look(self, elsewhere: "Elsewhere") -> None:
        """Progress of shards that others make at the same time."""
        self.elsewhere = elsewhere
        for progress in elsewhere.told:
            self._begin(progress)
            self.running[progress.shard_id] = progress
            if progress.iterations_per_second > 0:
                self._measure(progress.engine, 1 / progress.iterations_per_second)
        self.pace = sum(progress.iterations_per_second for progress in self.running.values()) or self.pace

    def lose(self, shard_id: str) -> None:
        """A shard that did not come to its end elsewhere."""
        self.running.pop(shard_id, None)

    def _begin(self, progress: "ShardProgress") -> None:
        if progress.shard_id not in self._begun:
            self._begun.add(progress.shard_id)
            self.left[progress.engine] = self.left.get(progress.engine, 0) - progress.iterations * progress.trials
        if progress.best is not None:
            self.best = progress.best if self.best is None else max(self.best, progress.best)

    def _recent_pace(self, progress: "ShardProgress") -> float | None:
        """Trial iterations a second, lately; None before there are two to compare."""
        if progress.iteration == 0:
            return None
        now, made = self.clock(), progress.iteration * progress.trials
        self._recent.append((now, made))
        while len(self._recent) > 2 and self._recent[1][0] < now - PACE_SECONDS:
            self._recent.popleft()
        then, before = self._recent[0]
        return (made - before) / (now - then) if made > before and now > then else None

    def _measure(self, engine: str, cost: float) -> None:
        """Engines not met yet are expected to differ from what was expected of them as this one does."""
        ratio = cost / self.costs.get(engine, cost)
        self._measured.add(engine)
        self.costs = {name: old if name in self._measured else old * ratio for name, old in self.costs.items()}
        self.costs[engine] = cost

    @property
    def done(self) -> float:
        """Trials done, the running shards' shares included."""
        return self.made + sum(one.trials * one.iteration / max(1, one.iterations) for one in self.running.values())

    @property
    def seconds_left(self) -> float | None:
        """As if as many shards ran at once until the end as do now; None before anything was measured."""
        if not self.pace:
            return None
        running = self.running.values()
        rest = sum((one.iterations - one.iteration) * one.trials * self._cost(one.engine) for one in running)
        rest += sum(max(0, count) * self._cost(name) for name, count in self.left.items())
        return rest / max(1, len(running))

    def _cost(self, engine: str) -> float:
        return self.costs.get(engine, max(1, len(self.running)) / self.pace)

    def told(self) -> str:
        """`5/12 trials · 38.2 iterations/s · best 0.412 · 1 min 20 s left`; elsewhere also how many shards run and wait."""
        parts = [f"{int(self.done + 1e-6)}/{self.trials} trials"]
        unfinished = self.made < self.trials
        if unfinished and (look := self.elsewhere) and (look.running or look.waiting):
            parts.append(_told_elsewhere(look))
        if self.pace:
            parts.append(f"{self.pace:.1f} iterations/s")
        if self.best is not None:
            parts.append(f"best {self.best:.3f}")
        left = self.seconds_left
        if left is not None and unfinished:
            parts.append(f"{told_seconds(left)} left")
        return " · ".join(parts)


def _told_elsewhere(look: "Elsewhere") -> str:
    if not look.running:
        return f"{counted(look.waiting, 'shard')} waiting for a worker"
    running = f"{counted(look.running, 'shard')} under way"
    return f"{running}, {look.waiting:,} waiting" if look.waiting else running


class Display(logging.Handler):
    """Shows the records of `dreamsweep.progress`; one display, from the first word to the last."""

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(logging.INFO)
        self.console, self.title = console, name
        self.tally = Tally()
        self._started = time.monotonic()
        self._over = threading.Event()
        self._bar: Progress | None = None
        self._doing = "starting…"
        """Before the first trial."""

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
            self._say("starting…")
            threading.Thread(target=self._say_now_and_then, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        logging.getLogger("dreamsweep.progress").removeHandler(self)
        self._over.set()
        if self._bar is not None:
            self._bar.stop()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record's plan or progress, and shows where things are."""
        found = vars(record)
        first = "plan" in found
        if first:
            self.tally.plan(found["plan"], found["made"], found["left"], found["costs"])
        elif "progress" in found:
            self.tally.take(found["progress"])
        elif "elsewhere" in found:
            self.tally.look(found["elsewhere"])
        elif "lost" in found:
            lost: Lost = found["lost"]
            self.tally.lose(lost.shard_id)
            then = "It is given up." if lost.attempt is None else f"It is tried again (attempt {lost.attempt})."
            self._say(f"{lost.reason.split('. ')[0].rstrip('.')}. {then}")  # its first sentence; the whole of it is told at the end
        elif "fetching" in found:
            self._doing = found["fetching"]
            if self._bar is not None:
                self._bar.update(self._row, description=self._doing)
            return
        else:
            return
        if self._bar is not None:
            self._bar.update(self._row, description=self.tally.told(), total=max(1, self.tally.trials), completed=self.tally.done)
        elif first:
            self._say(self.tally.told())

    def _say_now_and_then(self) -> None:
        while not self._over.wait(PLAIN_SECONDS):
            told = self.tally.told() if self.tally.trials else self._doing
            self._say(f"{told} ({told_seconds(time.monotonic() - self._started)})")

    def _say(self, text: str) -> None:
        self.console.print(f"{self.title}: {text}", highlight=False, soft_wrap=True, markup=False)
