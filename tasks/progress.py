"""Progress on Prefect's pages, as artifacts; and to the command that started the flow run in its own process, as events."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from dreamsweep.generation.events import Learning, Noted, Planned, ShardDone, ShardLost, ShardProgress, SweepEvent
from dreamsweep.generation.tally import drawing_text
from dreamsweep.planning.expand import Shard
from dreamsweep.results.handoff import Progress
from dreamsweep.retry import PROGRESS
from dreamsweep.spec import Sweep
from dreamsweep.tasks.log_lines import done_line, lost_line, shard_line, sweep_line
from dreamsweep.text import counted

ARTIFACT_SECONDS = 10.0
"""Seconds before a shard's progress shows on its flow run's page, and between its changes there: each is a request to the server."""
WIDTH = 120
"""Characters for what is being drawn."""
_display: ContextVar[Callable[[SweepEvent], None] | None] = ContextVar("display", default=None)


@contextmanager
def shown_by(display: Callable[[SweepEvent], None]) -> Iterator[None]:
    """Has the events of flow runs within the block shown by a display as well."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def show(event: SweepEvent) -> None:
    """Gives an event to the display, where there is one in this process."""
    if display := _display.get():
        display(event)


def artifact_key(name: str) -> str:
    """Returns a sweep's or shard's name as an artifact's key may be: small letters, digits and dashes."""
    return name.replace(".", "-").replace("_", "-")


def show_sweep(sweep: Sweep, events: Iterable[SweepEvent]) -> Iterator[SweepEvent]:
    """Passes a sweep's events on, and shows them: in the flow run's log, and how many trials are done also as its artifact."""
    bar, trials, log = _Bar(sweep.name), 1, get_run_logger()
    for event in events:
        show(event)
        match event:
            case Planned():
                trials = max(1, event.plan.trials)
                log.info(sweep_line(sweep, event))
            case Noted():
                for note in event.notes:
                    log.warning(note)
            case Learning() if event.share == 1:
                log.info("%s has learned %s", event.perceptor, event.token)
            case ShardDone():
                log.info(done_line(event, trials))
                bar.show(event.done / trials, f"{event.done:,} of {trials:,} trials", last=event.done == trials)
            case ShardLost():
                log.warning(lost_line(event))
        yield event


def show_shard(shard: Shard, steps: Iterable[Progress]) -> Iterator[Progress]:
    """Passes a shard's progress on, and shows it: in the log of its flow run, and also as an artifact there."""
    get_run_logger().info(shard_line(shard))
    bar = _Bar(f"{shard.sweep}-{shard.shard_id}")
    status = ""
    for step in steps:
        if step.status != status:  # in the logs of its container
            status = step.status
            drawn = drawing_text([step], WIDTH)
            PROGRESS.info("shard %s: %s, iteration %d/%d, %s", step.shard_id, status, step.iteration, step.iterations, drawn)
        show(ShardProgress(step))
        bar.show(step.iteration / step.iterations, _described(step), last=step.status == "done")
        yield step


class _Bar:
    """Progress artifact on the page of the flow run around it. A server that does not answer holds nothing up."""

    def __init__(self, name: str) -> None:
        self.key = artifact_key(name)
        self.artifact: UUID | None = None
        self.shown_at = time.monotonic()

    def show(self, share: float, text: str, last: bool) -> None:
        """Writes the artifact now and then; the last time only where there was another before."""
        if time.monotonic() - self.shown_at <= ARTIFACT_SECONDS and not (last and self.artifact):
            return
        self.shown_at = time.monotonic()
        with suppress(httpx.HTTPError, PrefectException):
            if self.artifact is None:
                self.artifact = create_progress_artifact(100 * share, key=self.key, description=text)  # type: ignore[assignment] # no event loop
            else:
                update_progress_artifact(self.artifact, 100 * share, description=text)


def _described(step: Progress) -> str:
    best = "" if step.best is None else f", the judge's best mark is {step.best:.3f}"
    pace = f"{step.iterations_per_second:.1f} trials × iterations a second"
    return f"{drawing_text([step], WIDTH)}; {counted(step.trials, 'trial')}, iteration {step.iteration} of {step.iterations}{best}; {pace}"
