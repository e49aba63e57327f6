"""Sweeps from Python: read or built, and run in this process."""

import warnings
from collections.abc import Mapping
from datetime import UTC, date, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from dreamsweep.api.progress import showing
from dreamsweep.api.results import SweepResults
from dreamsweep.generation.events import Noted
from dreamsweep.generation.run_sweep import run_sweep
from dreamsweep.planning.expand import day_at, of_day
from dreamsweep.planning.prompt_notes import prompt_notes
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep, with_real_paths
from dreamsweep.results.publishing import Choice
from dreamsweep.spec import Sweep
from dreamsweep.store import open_store


def load(path: str | PathLike[str]) -> Sweep:
    """Reads a sweep file; paths in it are relative to its folder. Raises SweepFileError with a line for each mistake."""
    return load_sweep(Path(path))


def parse(words: Mapping[str, Any]) -> Sweep:
    """Builds a sweep from the words of a sweep file; paths in it are relative to the working directory.

    >>> import dreamsweep as ds
    >>> sweep = ds.parse({"name": "hearts", "prompts": ["a red heart"], "engines": ["dalle"], "seeds": [0, 1]})
    >>> sweep.name
    'hearts'
    >>> ds.parse({"name": "hearts", "prompts": ["a red heart"], "engines": ["dallee"]})
    Traceback (most recent call last):
    dreamsweep.errors.SweepFileError: the sweep: engines[0]: no engine 'dallee'; did you mean 'dalle'?

    Raises SweepFileError with a line for each mistake.
    """
    return parse_sweep(dict(words), Path.cwd(), "the sweep")


def run(
    sweep: Sweep | Mapping[str, Any] | str | PathLike[str],
    store: str = "runs",
    *,
    device: str = "auto",
    choice: Choice = "refuse",
    at_once: int | None = None,
    day: date | None = None,
    progress: bool = True,
) -> SweepResults:
    """Makes what the store lacks of a sweep, publishes it, and returns its results.

    The sweep is a path of a sweep file, its words as a mapping, or a `Sweep`. An interrupted call saves a checkpoint every 15 seconds,
    publishes what is done, and goes on when it is called again. `choice` says what becomes of other trials that are published under
    the same name: `refuse` (raises), `add` (keeps them) or `replace`. `at_once` is the number of shards that are made at once, each in a
    process of its own, by default as many as pay on this machine. `day` is that of a sweep with `{date}` in its name, by default today.
    Prompts that other programs read otherwise, such as `(red:1.2)`, and words that a guide or the judge never learned are warned of
    (UserWarning).

    >>> import dreamsweep as ds
    >>> strokes = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    >>> results = ds.run({"name": "hearts", "prompts": ["a red heart"], "engines": [strokes], "iterations": 2}, progress=False)
    >>> results.trials().num_rows, results.scores().num_rows
    (1, 2)

    Raises UserError for what the user can fix, TransientError for an outage that lasted too long, and IncompleteSweepError when some
    shards failed; what the others made is published then.
    """
    read = _sweep(sweep)
    dated = of_day(read, day or day_at(read, datetime.now(UTC)))
    for note in prompt_notes(dated):
        warnings.warn(note, stacklevel=2)
    opened = open_store(store)
    with showing(dated.name, progress) as show:
        for event in run_sweep(dated, opened, device=device, choice=choice, at_once=at_once, on_fetch=show):
            if isinstance(event, Noted):
                for note in event.notes:
                    warnings.warn(note, stacklevel=2)
            else:
                show(event)
    return SweepResults(opened, dated.name)


def _sweep(sweep: Sweep | Mapping[str, Any] | str | PathLike[str]) -> Sweep:
    match sweep:
        case Sweep():
            return with_real_paths(sweep, Path.cwd())
        case Mapping():
            return parse(sweep)
        case _:
            return load(sweep)
