"""A sweep from its plan to its published tables, as an iterator of events; the command, notebooks and Prefect's flow all use it.

    check      the store can be written, the name is free for these trials; if anything is left to make: the device, the weights
    plan       counts, and sweep.yaml in the store
    learn      new words that its prompts use, from pictures, where no run of the sweep has before
    make       every shard that is not staged yet, here or by the maker that is handed in
    publish    as shards finish, every few minutes, and at every end: failure, Ctrl-C, and a caller that stops iterating
    summary    contact sheet and curves, where they are not drawn yet

What is done is known from the store alone: a finished sweep imports no torch and loads no weights.
"""

import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

from dreamsweep.environment import publish_seconds
from dreamsweep.errors import DreamsweepError, WeightsError
from dreamsweep.generation.checks import check_machine
from dreamsweep.generation.concepts import learn, lessons
from dreamsweep.generation.events import (
    Fetching,
    Finished,
    Noted,
    Planned,
    Published,
    RemoteProgress,
    ShardDone,
    ShardFailed,
    ShardLost,
    ShardProgress,
    SweepEvent,
)
from dreamsweep.generation.foresight import unread_texts
from dreamsweep.generation.make_at_once import devices_for, make_at_once
from dreamsweep.generation.make_here import Maker, Outcome, never
from dreamsweep.planning.estimate import estimate_seconds, seconds_an_iteration
from dreamsweep.planning.expand import Plan, Shard, engines, plan, trials
from dreamsweep.planning.sweep_file import sweep_text
from dreamsweep.report.summary import ensure_summary
from dreamsweep.results.appended import fold_judged
from dreamsweep.results.handoff import Elsewhere, Lost, Progress
from dreamsweep.results.manifest import Manifest, done_shards
from dreamsweep.results.missing import work
from dreamsweep.results.publishing import Choice, check_name, publish_staged, publish_whole
from dreamsweep.results.sources import Seen
from dreamsweep.retry import NIGHT, outlast
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, keys
from dreamsweep.text import counted
from dreamsweep.weights.progress import report_downloads_to

T = TypeVar("T")


class IncompleteSweepError(Exception):
    """Raised when some shards failed; what the others made is published. Its cause is the first failure."""


@runtime_checkable
class Step(Protocol):
    """Runs one step of a sweep, by its name, and retries it while it raises TransientError."""

    def __call__(self, name: str, call: Callable[[], T], /) -> T: ...


def retried(name: str, call: Callable[[], T]) -> T:
    """Runs a step of that name, and waits for up to a night while the store does not answer."""
    return outlast(call, NIGHT)


def run_sweep(
    sweep: Sweep,
    store: Store,
    *,
    device: str = "auto",
    choice: Choice = "refuse",
    at_once: int | None = None,
    make: Maker | None = None,
    step: Step = retried,
    check_here: bool = True,
    stop: Callable[[], bool] = never,
    on_fetch: Callable[[Fetching], None] | None = None,
) -> Iterator[SweepEvent]:
    """Makes what the store lacks of a sweep, publishes it, and draws its summary.

    `make` generates the shards, by default this machine, `at_once` of them at once (None: as many as pay, see `devices_for`);
    `check_here=False` where other machines do. `choice` says what becomes of other trials that are published under the same name.
    `step` wraps each step with retries. Once `stop` answers yes, each running shard saves a checkpoint and SweepStoppedError is raised.
    Downloads are reported to `on_fetch`, as they hold the iterator up.

    Raises UserError for what the user can fix, and IncompleteSweepError when some shards failed.
    """
    run = _Run(sweep, store, step)
    step("check-store", store.check)
    planned = step("plan", lambda: run.plan(choice))
    yield planned
    if planned.done < planned.plan.trials and check_here:
        with report_downloads_to(on_fetch and (lambda *progress: on_fetch(Fetching(*progress)))):
            step("check-machine", lambda: check_machine(sweep, store, device))
    if planned.done < planned.plan.trials and (notes := _unread_texts(sweep)):
        yield Noted(tuple(notes))
    left = work(sweep, step("find-work", lambda: list(done_shards(store, sweep.name))))
    devices = partial(devices_for, device, at_once, estimate_seconds(sweep, planned.plan))
    maker = make or (lambda shards: make_at_once(shards, store, devices, stop))
    failures: list[BaseException] = []
    try:
        if sweep.concepts and (first := next(left, None)):
            left = itertools.chain((first,), left)
            with report_downloads_to(on_fetch and (lambda *progress: on_fetch(Fetching(*progress)))):
                unlearned = step("find-concepts", lambda: lessons(sweep, store))
            yield from learn(sweep.name, unlearned, store, device if check_here else "auto", stop)
        for event in run.events(maker(left)):
            yield event
            if isinstance(event, ShardFailed):
                failures.append(event.error)
            yield from run.publish_when_due()
    except BaseException:  # Ctrl-C and a caller that stops iterating included
        run.publish_at_once()
        raise
    run.refuse_when_nothing_is_done(failures)
    manifest = step("publish", run.publish_all)
    yield Published(manifest)
    summary = step("summarise", lambda: ensure_summary(store, manifest))
    if failures:
        raise run.incomplete(failures) from failures[0]
    yield Finished(manifest, summary)


def _unread_texts(sweep: Sweep) -> list[str]:
    """Returns what networks will not read; nothing on a machine without the starter weights, which leaves the work to others."""
    try:
        return unread_texts(sweep)
    except WeightsError:
        return []


class _Run:
    """A sweep while it runs: the ids that are wanted, what is staged of them, and what was published last."""

    def __init__(self, sweep: Sweep, store: Store, step: Step) -> None:
        self.sweep, self.store, self.step = sweep, store, step
        self.staged: frozenset[str] = frozenset()
        """Trials that earlier runs staged under this name."""
        self.trials = self.done = 0
        """Trials of the sweep, and those of them that are staged now."""
        self.seen = Seen()
        self.publish_every = publish_seconds()
        self.published_at = float("-inf")
        self.unpublished = False

    def plan(self, choice: Choice) -> Planned:
        """Counts the sweep, refuses a name that would lose trials, and writes the sweep as run to `<sweep>/sweep.yaml`."""
        size: Plan = plan(self.sweep)
        self.staged = frozenset(trial for shard in done_shards(self.store, self.sweep.name) for trial in shard.trial_ids)
        ids, left, done = list[str](), Counter[str](), 0
        for trial in trials(self.sweep):
            ids.append(trial.id)
            if trial.id in self.staged:
                done += 1
            else:
                left[trial.engine.engine] += trial.num_iter
        # of what the sweep comes to, not of its file: a prompt file may lie elsewhere, or change under the same path
        self.spec_sha256 = hashlib.sha256("\n".join([self.sweep.name, *ids]).encode()).hexdigest()
        self.wanted = frozenset(check_name(self.store, self.sweep.name, ids, choice))
        self.trials, self.done = size.trials, done
        self.store.write(keys.sweep_file(self.sweep.name), sweep_text(self.sweep).encode(), "application/yaml")
        costs: dict[str, float] = {engine.engine: seconds_an_iteration(engine) for engine in engines(self.sweep)}
        return Planned(size, done, dict(left), costs)

    def events(self, outcomes: Iterator[Outcome]) -> Iterator[SweepEvent]:
        """Translates what a maker yields."""
        for outcome in outcomes:
            match outcome:
                case Progress():
                    yield ShardProgress(outcome)
                case Elsewhere():
                    yield RemoteProgress(outcome.running, outcome.waiting, outcome.progress)
                case Lost():
                    yield ShardLost(outcome.shard_id, outcome.reason, outcome.attempt)
                case Shard():
                    yield self._done(outcome)
                case BaseException():
                    yield ShardFailed(outcome)

    def _done(self, shard: Shard) -> ShardDone:
        first = shard.trials[0]
        self.done += sum(trial.id not in self.staged for trial in shard.trials)
        self.unpublished = True
        return ShardDone(shard.shard_id, first.engine.engine, first.num_iter, len(shard.trials), self.done)

    def publish_when_due(self) -> Iterator[Published]:
        """Publishes what is staged by now, if that is more than last time and the last time is minutes ago."""
        if not self.unpublished or self.done == self.trials or time.monotonic() - self.published_at < self.publish_every:
            return
        if manifest := self.step("publish", self.publish):
            yield Published(manifest)

    def publish(self) -> Manifest | None:
        """Publishes what is staged by now; None where nothing is."""
        manifest = publish_staged(self.store, self.sweep.name, self.wanted, self.spec_sha256, self.seen)
        self.published_at, self.unpublished = time.monotonic(), False
        return manifest

    def publish_at_once(self) -> None:
        """Publishes at an end that nobody planned; a store that fails then does not hide the reason of the end."""
        if self.unpublished:
            with suppress(DreamsweepError, OSError):
                self.publish()

    def publish_all(self) -> Manifest:
        """Gathers everything that is staged into few files, and publishes them."""
        manifest = publish_whole(self.store, self.sweep.name, self.wanted, self.spec_sha256)
        fold_judged(self.store, self.sweep.name, "judgements")
        return manifest

    def refuse_when_nothing_is_done(self, failures: list[BaseException]) -> None:
        """Raises the first failure where there is nothing to publish."""
        if failures and not self.done:
            raise failures[0] if isinstance(failures[0], DreamsweepError) else self.incomplete(failures) from failures[0]

    def incomplete(self, failures: list[BaseException]) -> IncompleteSweepError:
        """Returns the error that says how many shards failed, and why the first did."""
        first = failures[0]
        reason = str(first) if isinstance(first, DreamsweepError) else f"{type(first).__name__}: {first}"
        failed = counted(len(failures), "shard")
        return IncompleteSweepError(f"{failed} failed, {self.done} of {self.trials} trials are published; the first failure was: {reason}")
