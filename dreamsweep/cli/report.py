"""`dreamsweep report`: what a sweep shows, as one page."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import copy_to, place, say

if TYPE_CHECKING:
    from dreamsweep.store import Store


def report(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A published sweep's name.", show_default=False)],
    store: StoreUri = "runs",
    to: Annotated[Path | None, typer.Option(help="A folder to put copies in.", show_default=False)] = None,
) -> None:
    """Write a report on a published sweep: one HTML page with tables, plots and films, to look at or to send, and its plots as PNG.

    What the sections that the sweep file asks for need, and no judge has said yet, is judged first.
    """
    from dreamsweep.report.study.page import write_report
    from dreamsweep.results.manifest import published_manifest
    from dreamsweep.store import open_store

    opened = open_store(store)
    published_manifest(opened, sweep)
    _judge_what_is_shown(opened, sweep)
    written = write_report(opened, sweep)
    for key in (written.page, *written.plots):
        say(place(opened, key))
        if to is not None:
            say(str(copy_to(opened, key, to / f"{sweep}-{key.rsplit('/', 1)[1]}")))


def _judge_what_is_shown(store: "Store", sweep: str) -> None:
    """Has sets judged for the section `sets`, and for `between` each frame by the labels that the sweep file names."""
    from dreamsweep.report.study.page import asked_label_lists, asked_report

    sections = asked_report(store, sweep).sections
    of_frames = asked_label_lists(store, sweep) if "between" in sections else []
    if "sets" not in sections and not of_frames:
        return
    from dreamsweep.cli.judge import show_judging
    from dreamsweep.generation.judging import judge_sweep
    from dreamsweep.generation.set_judging import judge_sets
    from dreamsweep.spec.judges import DIVERSITY

    of_sets = [DIVERSITY] if "sets" in sections else []
    show_judging(chain(judge_sweep(store, sweep, of_frames, ["snapshots"]), judge_sets(store, sweep, of_sets)))
