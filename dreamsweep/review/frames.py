"""The pictures that were kept of a trial on the way, for stepping through a whole wall."""

import re
from dataclasses import dataclass

from dreamsweep.store import Store, keys

MOST_FRAMES = 24
"""Maximum number of pictures of a trial that a wall steps through, evenly thinned."""
SNAPSHOT = re.compile(r"([0-9]{6,})\.png")


@dataclass(frozen=True)
class Frames:
    """Pictures of a trial, two or more, or none."""

    iterations: list[int]
    """Ascending."""
    keys: list[str]


def frames_of(store: Store, sweep: str, trial: str, iterations_done: int) -> Frames:
    """Returns the pictures of a trial that are in its folder: the snapshots, and the last picture where it is later than those."""
    names = [key.rpartition("/")[2] for key in store.keys(keys.picture(sweep, trial, ""))]
    pictures = {int(match[1]): name for name in names if (match := SNAPSHOT.fullmatch(name))}
    if pictures and keys.FINAL in names and max(pictures) < iterations_done:
        pictures[iterations_done] = keys.FINAL
    chosen = _thinned(sorted(pictures)) if len(pictures) > 1 else []
    return Frames(chosen, [keys.picture(sweep, trial, pictures[iteration]) for iteration in chosen])


def _thinned(iterations: list[int]) -> list[int]:
    """Returns at most as many iterations as a wall steps through, the first and the last among them."""
    most = min(len(iterations), MOST_FRAMES)
    return [iterations[round(n * (len(iterations) - 1) / (most - 1))] for n in range(most)]
