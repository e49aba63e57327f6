"""Tally of a running sweep, put together from its events: how far it is, how fast, and how much time is left."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dreamsweep.generation.events import Learning, Planned, RemoteProgress, ShardDone, ShardFailed, ShardLost, ShardProgress, SweepEvent
from dreamsweep.results.handoff import Progress
from dreamsweep.text import counted, fitting_list, format_seconds

BETWEEN = " · "
"""Separator of the parts of a line."""
PACE_SECONDS = 20.0
"""Seconds that the pace is measured over: a shard's first steps may cost more than the rest."""


@dataclass
class Tally:
    """State of a running sweep."""

    trials: int = 0
    done: int = 0
    """Trials whose shards are over, those of earlier runs included."""
    left: dict[str, int] = field(default_factory=dict)
    """Iterations left by engine, without those of running shards."""
    costs: dict[str, float] = field(default_factory=dict)
    """Seconds an iteration by engine: expected first, then measured."""
    best: float | None = None
    """Best score by the judge of all trials that this run has drawn; it never falls."""
    pace: float = 0.0
    """Trial iterations a second."""
    running: dict[str, Progress] = field(default_factory=dict)
    """Progress of running shards: here, all; elsewhere, those that have written theirs to the store."""
    remote: RemoteProgress | None = None
    """The last look at shards that others make."""
    clock: Callable[[], float] = time.monotonic
    _begun: set[str] = field(default_factory=set)
    """Shards whose iterations are no longer counted in `left`."""
    _measured: set[str] = field(default_factory=set)
    """Engines whose costs are measured."""
    _recent: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    """Times, and the trial iterations that each shard that runs here had made by then."""
    _paces: dict[str, float] = field(default_factory=dict)
    """Trial iterations a second of each shard that runs here."""

    def take(self, event: SweepEvent) -> None:
        """Counts an event."""
        match event:
            case Planned():
                self.trials, self.done = event.plan.trials, event.done
                self.left, self.costs = dict(event.iterations_left), dict(event.seconds_an_iteration)
            case ShardProgress():
                self._run_here(event.progress)
            case RemoteProgress():
                self._run_elsewhere(event)
            case ShardDone():
                self._begin(event.shard_id, event.engine, event.iterations * event.trials)
                self.running.pop(event.shard_id, None)
                self.done = event.done
            case ShardLost():
                self.running.pop(event.shard_id, None)
            case ShardFailed() if self.remote is None:
                self.running.clear()

    def _run_here(self, progress: Progress) -> None:
        self._begin(progress.shard_id, progress.engine, progress.iterations * progress.trials)
        self._mark(progress)
        if progress.shard_id not in self.running:  # begun, or begun anew
            self._recent[progress.shard_id] = deque()
        self.running[progress.shard_id] = progress
        if pace := self._recent_pace(progress):
            self._paces = {shard: known for shard, known in self._paces.items() if shard in self.running} | {progress.shard_id: pace}
            self.pace = sum(self._paces.values())
            self._measure(progress.engine, 1 / pace)

    def _run_elsewhere(self, look: RemoteProgress) -> None:
        self.remote = look
        for progress in look.shards:
            self._begin(progress.shard_id, progress.engine, progress.iterations * progress.trials)
            self._mark(progress)
            self.running[progress.shard_id] = progress
            if progress.iterations_per_second > 0:
                self._measure(progress.engine, 1 / progress.iterations_per_second)
        self.pace = sum(progress.iterations_per_second for progress in self.running.values()) or self.pace

    def _begin(self, shard_id: str, engine: str, iterations: int) -> None:
        if shard_id not in self._begun:
            self._begun.add(shard_id)
            self.left[engine] = self.left.get(engine, 0) - iterations

    def _mark(self, progress: Progress) -> None:
        if progress.best is not None:
            self.best = progress.best if self.best is None else max(self.best, progress.best)

    def _recent_pace(self, progress: Progress) -> float | None:
        """Returns trial iterations a second, lately; None before there are two looks to compare."""
        if progress.iteration == 0:
            return None
        now, iterations, recent = self.clock(), progress.iteration * progress.trials, self._recent[progress.shard_id]
        recent.append((now, iterations))
        while len(recent) > 2 and recent[1][0] < now - PACE_SECONDS:
            recent.popleft()
        then, before = recent[0]
        return (iterations - before) / (now - then) if iterations > before and now > then else None

    def _measure(self, engine: str, cost: float) -> None:
        """Notes an engine's cost; engines not met yet are expected to differ from what was expected of them as this one does."""
        ratio = cost / self.costs.get(engine, cost)
        self._measured.add(engine)
        self.costs = {name: old if name in self._measured else old * ratio for name, old in self.costs.items()}
        self.costs[engine] = cost

    @property
    def progress(self) -> float:
        """Trials done, the running shards' shares included."""
        return self.done + sum(shard.trials * shard.iteration / max(1, shard.iterations) for shard in self.running.values())

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end, as if as many shards ran at once as do now; None before anything was measured."""
        if not self.pace:
            return None
        running = self.running.values()
        rest = sum((shard.iterations - shard.iteration) * shard.trials * self._cost(shard.engine) for shard in running)
        rest += sum(max(0, count) * self._cost(name) for name, count in self.left.items())
        return rest / max(1, len(running))

    def _cost(self, engine: str) -> float:
        return self.costs.get(engine, max(1, len(self.running)) / self.pace)

    def text(self) -> str:
        """Returns `4/12 trials · 45% drawn · 1 min left · 38.2 iterations/s · best 0.412`; with several shards, how many run and wait."""
        parts = [f"{self.done}/{self.trials} trials"]
        unfinished = self.done < self.trials
        if unfinished and self.progress > self.done:
            parts.append(f"{self.progress / self.trials:.0%} drawn")
        if unfinished and self.remote and (self.remote.running or self.remote.waiting):
            parts.append(_remote_text(self.remote))
        elif unfinished and len(self.running) > 1:
            parts.append(f"{len(self.running)} shards at once")
        left = self.seconds_left
        if left is not None and unfinished:
            parts.append(f"{format_seconds(left)} left")
        if self.pace:
            parts.append(f"{self.pace:.1f} iterations/s")
        if self.best is not None:
            parts.append(f"best {self.best:.3f}")
        return BETWEEN.join(parts)

    def drawing(self, width: int) -> str:
        """Returns the engines and prompts that are being drawn, within a width in cells (see `drawing_text`); empty for none."""
        return drawing_text([*self.running.values()], width)


def learning_text(event: Learning) -> str:
    """Returns `learning <moomin> for starter-guide, 45%` and, of several lessons, which one it is."""
    several = f" ({event.number} of {event.lessons})" if event.lessons > 1 else ""
    return f"learning {event.token} for {event.perceptor}{several}, {event.share:.0%}"


def drawing_text(shards: Sequence[Progress], width: int) -> str:
    """Returns `strokes: 'a red heart', 'a rocket' and 4 other prompts` of running shards, each engine in its share of a width."""
    texts = []
    engines = list(dict.fromkeys(shard.engine for shard in shards))
    for engine in engines:
        drawn = [shard for shard in shards if shard.engine == engine]
        prompts = list(dict.fromkeys(prompt for shard in drawn for prompt in shard.prompts))
        room = (width - len(BETWEEN) * (len(engines) - 1)) // len(engines) - len(f"{engine}: ")
        listed = fitting_list(prompts, sum(shard.other_prompts for shard in drawn), "other prompt", room)
        texts.append(f"{engine}: {listed}" if listed else engine)
    return BETWEEN.join(texts)


def _remote_text(look: RemoteProgress) -> str:
    if not look.running:
        return f"{counted(look.waiting, 'shard')} waiting for a worker"
    running = f"{counted(look.running, 'shard')} running"
    return f"{running}, {look.waiting:,} waiting" if look.waiting else running
