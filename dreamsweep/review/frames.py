"""The pictures that were kept of each trial on the way, for stepping through a whole wall."""

from dataclasses import dataclass

from dreamsweep.report.query import Session, answer
from dreamsweep.store import Store, keys

MOST_FRAMES = 24
"""Maximum number of pictures of a trial that a wall steps through, evenly thinned."""


@dataclass(frozen=True)
class Frames:
    """Iterations of which each trial has a picture; trials with the same ones share a series."""

    series: list[list[int]]
    """Ascending iterations."""
    trials: dict[str, int]
    """Number of the series of each trial that has two pictures or more, by its id."""


@dataclass(frozen=True)
class Kept:
    """The frames of a sweep, and where they lie."""

    frames: Frames
    finals: frozenset[str]
    """Trials whose last frame is the final picture and no snapshot."""

    def keys_of(self, sweep: str, trial: str) -> list[str]:
        """Returns the keys of a trial's frames; none where it has too few."""
        iterations = self.frames.series[self.frames.trials[trial]] if trial in self.frames.trials else []
        names = [keys.snapshot_name(iteration) for iteration in iterations]
        return [keys.picture(sweep, trial, name) for name in ([*names[:-1], keys.FINAL] if trial in self.finals else names)]


def kept_frames(store: Store, sweep: str) -> Kept:
    """Returns the frames of a published sweep. Raises StoreError where there is none of that name."""
    return answer(store, _kept, sweep)


def _kept(session: Session) -> Kept:
    rows = session.rows(
        "SELECT trial_id, list(iteration ORDER BY iteration) AS snapshots, iterations_done AS done, final_uri IS NOT NULL AS has_final "
        "FROM scores JOIN trials USING (sweep, trial_id) WHERE snapshot_uri IS NOT NULL GROUP BY ALL ORDER BY trial_id"
    )
    numbers: dict[tuple[int, ...], int] = {}
    trials, finals = dict[str, int](), set[str]()
    for row in rows:
        iterations = row["snapshots"]
        if row["has_final"] and iterations[-1] < row["done"]:
            iterations = [*iterations, row["done"]]
            finals.add(row["trial_id"])
        if len(iterations) > 1:
            trials[row["trial_id"]] = numbers.setdefault(_thinned(iterations), len(numbers))
    return Kept(Frames([list(series) for series in numbers], trials), frozenset(finals))


def _thinned(iterations: list[int]) -> tuple[int, ...]:
    """Returns at most as many iterations as a wall steps through, the first and the last among them."""
    most = min(len(iterations), MOST_FRAMES)
    return tuple(iterations[round(n * (len(iterations) - 1) / (most - 1))] for n in range(most))
