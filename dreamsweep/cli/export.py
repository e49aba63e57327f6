"""`dreamsweep export`: what was chosen, to take away."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import ExportFormat, MarksFilter, StoreUri, Way, store_option
from dreamsweep.cli.terminal import say, tell
from dreamsweep.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dreamsweep.export.formats import FormatName, Progress
    from dreamsweep.export.selection import Selection
    from dreamsweep.store import Store

Sweeps = Annotated[list[str] | None, typer.Argument(metavar="[SWEEP]...", help="Published sweeps; else all.", show_default=False)]
Search = Annotated[str, typer.Option(metavar="WORDS", help="Words, as on the review page: 'heart|apple judge>0.4'.", show_default=False)]
Marks = Annotated[MarksFilter | None, typer.Option(help="What reviewers left on them.", show_default=False)]
By = Annotated[str, typer.Option(metavar="NAME", help="The reviewer whose marks count; * for anybody.")]
Stars = Annotated[int | None, typer.Option(min=1, max=5, help="At least so many.", show_default=False)]
Tag = Annotated[str | None, typer.Option(help="A reviewer's tag.", show_default=False)]
Best = Annotated[int | None, typer.Option(metavar="N", min=1, help="The best N of each prompt, of all these.", show_default=False)]
Engine = Annotated[list[str] | None, typer.Option(metavar="NAME", help="By this engine; may be repeated.", show_default=False)]
TrialIds = Annotated[list[str] | None, typer.Option("--trial", metavar="ID", help="This trial; may be repeated.", show_default=False)]

AsSweep = Annotated[
    Way | None, typer.Option("--as-sweep", help="Write a sweep file instead, which draws more of the kind.", show_default=False)
]
Prompts = Annotated[
    list[str] | None, typer.Option("--prompt", metavar="TEXT", help="A prompt of that sweep; may be repeated.", show_default=False)
]
Seeds = Annotated[int | None, typer.Option(metavar="N", min=1, help="Seeds of that sweep.", show_default=False)]
SweepName = Annotated[str | None, typer.Option(metavar="NAME", help="Name of that sweep.", show_default=False)]
Submit = Annotated[bool, typer.Option("--submit", help="Have it made by the Prefect server that is configured; write no file.")]


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
    as_sweep: AsSweep = None,
    prompt: Prompts = None,
    seeds: Seeds = None,
    name: SweepName = None,
    submit: Submit = False,
) -> None:
    """Take pictures away: those that meet all conditions, as files, tables, a gallery, or a data set for training.

    Formats of several files become a zip where PATH ends with .zip, else a folder. A target is whole or not there. --as-sweep writes a
    sweep file that draws more of the kind.
    """
    from dreamsweep.export.selection import make_selection
    from dreamsweep.store import open_store

    conditions: dict[str, Any] = {"marks": marks.value if marks else None, "stars": stars, "tag": tag, "best": best}
    selection = make_selection(
        **conditions, sweeps=tuple(sweeps or ()), trials=tuple(trial or ()), engines=tuple(engine or ()), search=search, by=by
    )
    if as_sweep:
        return _make_sweep(open_store(store), selection, as_sweep.value, name, prompt or (), seeds, to, submit)
    if option := next(
        (option for option, value in (("prompt", prompt), ("seeds", seeds), ("name", name), ("submit", submit)) if value), None
    ):
        raise UserError(f"--{option}: it is part of a sweep; add --as-sweep more-seeds, new-prompts or from-pictures.")
    _write(open_store(store), selection, form.value, to)


def _write(store: "Store", selection: "Selection", form: "FormatName", to: Path | None) -> None:
    """Writes the selection and says where it is."""
    from dreamsweep.export.formats import FORMATS
    from dreamsweep.export.formats import export as write

    target = to or Path(("-".join(selection.sweeps) or "export") + FORMATS[form].ending)
    last = _show(write(store, selection, form, target), str(target))
    if last and last.missing:
        tell(f"note: {last.missing:,} of {last.trials:,} pictures are missing or damaged in the store and were left out.")
    say(str(target))


def _make_sweep(
    store: "Store",
    selection: "Selection",
    way: Literal["more-seeds", "new-prompts", "from-pictures"],
    name: str | None,
    prompts: "Sequence[str]",
    seeds: int | None,
    to: Path | None,
    submit: bool,
) -> None:
    """Writes a sweep file that draws more of the selection, or has a Prefect server make it."""
    from dreamsweep.export.again import pictures_folder, sweep_of, write_sweep
    from dreamsweep.export.chosen import chosen
    from dreamsweep.text import counted

    target = to or Path(f"{name or 'more'}.yaml")
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise UserError(f"--to {str(target)!r}: a sweep file ends with .yaml; give it such a name.")
    with chosen(store, selection) as trials:
        new = sweep_of(trials, way, name, prompts, seeds, folder=None if submit else pictures_folder(target))
    if submit:
        from dreamsweep.flows.submit import submit as submit_sweep

        say(f"{new.name}: {counted(new.trials, 'trial')}, at {submit_sweep(new.text, store.uri)}")
        return
    write_sweep(store, new, target)
    say(f"{target}: {counted(new.trials, 'trial')}; make them with: dreamsweep run {shlex.quote(str(target))}{store_option(store.uri)}")


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
