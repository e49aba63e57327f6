"""Shards made in this process, one after the other: one batch already uses every core, and Ctrl-C reaches it."""

import time
from collections.abc import Callable, Iterable, Iterator

from dreamsweep.planning.expand import Shard
from dreamsweep.results.handoff import Elsewhere, Lost, Progress
from dreamsweep.retry import NIGHT, outlast_steps
from dreamsweep.store import Store

Outcome = Progress | Elsewhere | Lost | Shard | BaseException
"""Outcomes that makers of shards yield: progress, each shard that is staged, and the reason for each failure."""
Maker = Callable[[Iterator[Shard]], Iterator[Outcome]]


PROGRESS_SECONDS = 0.25
"""Seconds between two looks at a running shard that are passed on."""


class SweepStoppedError(Exception):
    """Raised when a sweep is interrupted on request, after its running shard saved a checkpoint."""


def never() -> bool:
    """Answers that nobody asks for an interruption."""
    return False


def make_here(shards: Iterable[Shard], store: Store, device: str, stop: Callable[[], bool] = never) -> Iterator[Outcome]:
    """Generates the shards; one that fails does not keep the rest from being generated.

    Raises SweepStoppedError once `stop` answers yes.
    """
    for shard in shards:
        if stop():
            raise SweepStoppedError
        yield from _make(shard, store, device, stop)


def _make(shard: Shard, store: Store, device: str, stop: Callable[[], bool]) -> Iterator[Outcome]:
    from dreamsweep.generation.shard import ShardStoppedError, run_shard  # torch, which a finished sweep does without

    def lost(failure: Exception, attempt: int | None) -> Outcome:
        return Lost(shard.shard_id, str(failure), attempt)

    try:
        yield from outlast_steps(lambda: few_a_second(run_shard(shard, store, device, stop)), NIGHT, lost)
    except ShardStoppedError:
        raise SweepStoppedError from None
    except Exception as error:  # noqa: BLE001 - the other shards are made, and the sweep ends with this error
        yield error
    else:
        yield shard


def few_a_second(steps: Iterable[Progress]) -> Iterator[Progress]:
    """Leaves out most of a shard's progress; a change of its status always comes through."""
    shown_at, status = 0.0, ""
    for step in steps:
        if step.status != status or time.monotonic() - shown_at >= PROGRESS_SECONDS:
            shown_at, status = time.monotonic(), step.status
            yield step
