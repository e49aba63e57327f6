"""Export from Python: a selection into a file or folder."""

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import get_args

from dreamsweep.errors import UserError
from dreamsweep.export.again import Way, sweep_of
from dreamsweep.export.chosen import chosen
from dreamsweep.export.formats import FORMATS, FormatName, export
from dreamsweep.export.selection import Conditions, make_selection
from dreamsweep.planning.sweep_file import parse_text
from dreamsweep.spec import Sweep
from dreamsweep.store import Store
from dreamsweep.text import counted, did_you_mean


def export_to(store: Store, sweeps: Sequence[str], to: str | PathLike[str], format: FormatName, conditions: Conditions) -> Path:
    """Writes a selection and returns its path. Raises UserError, also for an unknown format or condition."""
    if format not in FORMATS:
        raise UserError(f"format {format!r}: there is none of that name{did_you_mean(format, FORMATS)}")
    target = Path(to)
    missing = 0
    for progress in export(store, make_selection(sweeps=sweeps, **conditions), format, target):
        missing = progress.missing
    if missing:
        warnings.warn(f"{counted(missing, 'picture')} missing or damaged in the store and left out.", stacklevel=3)
    return target


def sweep_from(
    store: Store, sweeps: Sequence[str], way: Way, name: str | None, prompts: Sequence[str], seeds: int | None, conditions: Conditions
) -> Sweep:
    """Returns a sweep that draws more of a selection. Raises UserError."""
    if way not in get_args(Way):
        raise UserError(f"way {way!r}: there is none of that name{did_you_mean(way, get_args(Way))}")
    with chosen(store, make_selection(sweeps=sweeps, **conditions)) as trials:
        new = sweep_of(trials, way, name, prompts, seeds)
    return parse_text(new.text, Path.cwd(), "the new sweep")
