"""`dreamsweep judge`: scores of a published sweep's pictures, by judges of one's choice."""

import shlex
from collections.abc import Iterable
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import Device, StoreUri, store_option
from dreamsweep.cli.terminal import say, tell
from dreamsweep.errors import UserError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dreamsweep.generation.judging import Judged
    from dreamsweep.store import Store


RANKED = "SELECT prompt, engine, seed, judge, rank, score FROM ranks JOIN trials USING (sweep, trial_id) ORDER BY ALL"
OF_SETS = "SELECT judge, metric, prompt, engine, setting, value, pictures FROM set_scores ORDER BY ALL"
"""Questions that a run of judges answers: of pictures, and of sets."""


class Pictures(StrEnum):
    """Pictures of a trial."""

    best = "best"
    final = "final"
    snapshots = "snapshots"


def judge(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A published sweep's name.", show_default=False)],
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="JUDGE",
            help="A perceptor, views:PERCEPTOR, starter-auditor, labels:LIST[@PERCEPTOR], segments, segments:voc, aesthetic, diversity, "
            "quality:FOLDER.",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        list[Pictures] | None, typer.Option(help="Which of a trial's pictures; again for more.  [default: best]", show_default=False)
    ] = None,
    overlays: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw what segments sees over each picture, into this folder.", show_default=False),
    ] = None,
    device: Annotated[Device, typer.Option(help="What to compute on; auto takes the best there is.")] = Device.auto,
    store: StoreUri = "runs",
) -> None:
    """Score the pictures of a published sweep. What was generated stays as it is; what is scored already is left out."""
    from dreamsweep.results.manifest import published_manifest
    from dreamsweep.spec.judges import SEGMENTS, SEGMENTS_VOC, is_set_judge
    from dreamsweep.store import open_store
    from dreamsweep.text import counted

    if not judges:
        raise UserError(f"--with: no judge is named; name one, as in dreamsweep judge {shlex.quote(sweep)} --with labels:cifar100.")
    drawn_by = [name for name in judges if name in (SEGMENTS, SEGMENTS_VOC)]
    if overlays is not None and len(drawn_by) != 1:
        raise UserError(f"--overlays: either {SEGMENTS} or {SEGMENTS_VOC} draws them; add --with {SEGMENTS}, and not both.")
    opened = open_store(store)
    published_manifest(opened, sweep)  # before PyTorch is imported
    from dreamsweep.generation.judging import judge_sweep
    from dreamsweep.generation.set_judging import judge_sets
    from dreamsweep.judges.set_judges import set_judge

    of_sets = [name for name in judges if is_set_judge(name)]
    of_pictures = [name for name in judges if name not in of_sets]
    for name in of_sets:
        set_judge(name)  # before the first picture: a wrong name ends it here
    steps = chain(
        judge_sweep(opened, sweep, of_pictures, [kind.value for kind in pictures or [Pictures.best]], device.value),
        judge_sets(opened, sweep, of_sets, device.value),
    )
    outcomes = show_judging(steps)
    for judged in outcomes:
        name = judged.judge
        if judged.failed and name in of_sets:
            tell(f"{name}: {counted(judged.failed, 'picture')} could not be read; the same command tries again.")
        elif judged.failed:
            tell(f"{name}: {counted(judged.failed, 'picture')} could not be scored, such as: {_first_error(opened, sweep, name)}")
    if overlays is not None:
        from dreamsweep.generation.overlays import write_overlays

        drawn = write_overlays(opened, sweep, overlays, [kind.value for kind in pictures or [Pictures.best]], device.value, *drawn_by)
        say(f"{counted(drawn, 'overlay picture')} in {overlays}")
    option = store_option(store)
    for statement in [*([RANKED] if of_pictures else []), *([OF_SETS] if of_sets else [])]:
        say(f'  ask  dreamsweep query "{statement}"{option}')
    if any(judged.failed for judged in outcomes):
        raise typer.Exit(1)


def show_judging(steps: Iterable["Judged"]) -> list["Judged"]:
    """Has judges do their work behind a bar for each, says how many pictures each has scored, and returns where each ended."""
    latest: dict[str, Judged] = {}
    before: dict[str, int] = {}
    with _Progress() as progress:
        for judged in steps:
            before.setdefault(judged.judge, judged.done)
            latest[judged.judge] = judged
            progress.show(judged)
    for name, judged in latest.items():
        _say_outcome(judged, before[name])
    return list(latest.values())


def _say_outcome(judged: "Judged", before: int) -> None:
    """Says how many pictures a judge has scored, and how many of them in earlier runs."""
    from dreamsweep.text import counted

    earlier = f", {before:,} of them before" if before else ""
    say(f"{judged.judge}: {counted(judged.done - judged.failed, 'picture')} of {judged.pictures:,} scored{earlier}")


class _Progress:
    """A bar for each judge on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, judged: "Judged") -> None:
        """Shows how far a judge is."""
        if judged.judge not in self._rows:
            self._rows[judged.judge] = self._bar.add_task(judged.judge, total=judged.pictures)
        self._bar.update(self._rows[judged.judge], completed=judged.done)


def _first_error(store: "Store", sweep: str, judge: str) -> str:
    from dreamsweep.report.query import query
    from dreamsweep.report.views import quoted

    statement = f"SELECT first(error ORDER BY trial_id) AS error FROM judgements WHERE judge = {quoted(judge)} AND error IS NOT NULL"
    return str(query(store, statement, sweep)["error"][0].as_py())
