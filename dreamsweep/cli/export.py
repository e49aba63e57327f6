"""`dreamsweep export`: what was chosen, to take away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from dreamsweep.cli.options import ExportFormat, MarksFilter, StoreUri
from dreamsweep.cli.terminal import say, tell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dreamsweep.export.formats import Progress

Sweeps = Annotated[list[str] | None, typer.Argument(metavar="[SWEEP]...", help="Published sweeps; else all.", show_default=False)]
Search = Annotated[str, typer.Option(metavar="WORDS", help="Words, as on the review page: 'heart|apple judge>0.4'.", show_default=False)]
Marks = Annotated[MarksFilter | None, typer.Option(help="What reviewers left on them.", show_default=False)]
By = Annotated[str, typer.Option(metavar="NAME", help="The reviewer whose marks count; * for anybody.")]
Stars = Annotated[int | None, typer.Option(min=1, max=5, help="At least so many.", show_default=False)]
Tag = Annotated[str | None, typer.Option(help="A reviewer's tag.", show_default=False)]
Best = Annotated[int | None, typer.Option(metavar="N", min=1, help="The best N of each prompt, of all these.", show_default=False)]
Engine = Annotated[list[str] | None, typer.Option(metavar="NAME", help="By this engine; may be repeated.", show_default=False)]
TrialIds = Annotated[list[str] | None, typer.Option("--trial", metavar="ID", help="This trial; may be repeated.", show_default=False)]


def export(
    sweeps: Sweeps = None,
    store: StoreUri = "runs",
    form: Annotated[ExportFormat, typer.Option("--as", help="What to write.")] = ExportFormat.pictures,
    to: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File or new folder.  [default: named after the sweep]", show_default=False)
    ] = None,
    marks: Marks = None,
    by: By = "*",
    stars: Stars = None,
    tag: Tag = None,
    search: Search = "",
    engine: Engine = None,
    best: Best = None,
    trial: TrialIds = None,
) -> None:
    """Take pictures away: those that meet all conditions, as files, tables, a gallery, or a data set for training.

    Formats of several files become a zip where PATH ends with .zip, else a folder. A target is whole or not there.
    """
    from dreamsweep.export.formats import FORMATS
    from dreamsweep.export.formats import export as write
    from dreamsweep.export.selection import make_selection
    from dreamsweep.store import open_store

    conditions: dict[str, Any] = {"marks": marks.value if marks else None, "stars": stars, "tag": tag, "best": best}
    selection = make_selection(
        **conditions, sweeps=tuple(sweeps or ()), trials=tuple(trial or ()), engines=tuple(engine or ()), search=search, by=by
    )
    target = to or Path(("-".join(selection.sweeps) or "export") + FORMATS[form.value].ending)
    last = _show(write(open_store(store), selection, form.value, target), str(target))
    if last and last.missing:
        tell(f"note: {last.missing:,} of {last.trials:,} pictures are missing or damaged in the store and were left out.")
    say(str(target))


def _show(steps: "Iterable[Progress]", title: str) -> "Progress | None":
    """Shows a bar on a terminal until the export ends; returns the last step."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    console, last = Console(stderr=True), None
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        row = bar.add_task(title, total=None)
        for last in steps:
            bar.update(row, completed=last.done, total=max(last.trials, last.done))
    return last
