"""Pictures by whole sets of weights, and a line for each: `dreamsweep weights verify --draw`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dreamsweep.cli.terminal import say
from dreamsweep.environment import writable_folder
from dreamsweep.text import counted

if TYPE_CHECKING:
    from dreamsweep.generation.weight_trials import Outcome


def draw_weights(starters: Sequence[str], published: Sequence[str], wanted: Sequence[str], folder: Path, device: str) -> int:
    """Draws with starter weights and with those published ones that are complete, and says of each whether it is sane.

    `wanted` are all published ones that were asked for; one sentence names those that are not in the cache. Pictures go into the
    folder. Returns how many sets are not sane. Raises UserError where the folder cannot be written, DeviceError without the device.
    """
    from dreamsweep.compute.devices import resolve_device
    from dreamsweep.generation.weight_trials import try_weights
    from dreamsweep.weights import fetch

    writable_folder("--folder", folder)
    present = [name for name in published if not fetch.missing_files(fetch.entry(name))]
    names = [*starters, *present]
    outcomes: list[Outcome] = []
    with _bar(len(names)) as bar:
        for outcome in try_weights(names, resolve_device(device), lambda name, share: bar.show(name, len(outcomes) + share)):
            outcomes.append(outcome)
            bar.say(_line(outcome, folder))
    if absent := [name for name in wanted if name not in present]:
        say(f"Not in the cache, so not drawn: {', '.join(absent)}; `dreamsweep weights pull NAME` downloads one.")
    wrong = sum(outcome.verdict == "not sane" for outcome in outcomes)
    say(f"{counted(len(outcomes), 'set')} of weights drawn, {wrong} not sane.")
    return wrong


def _line(outcome: "Outcome", folder: Path) -> str:
    """Saves an outcome's pictures, side by side; returns its line."""
    from dreamsweep.compute.images import grid, png_bytes, to_bytes

    files = []
    for drawn_by, pictures in outcome.pictures.items():
        path = folder / f"{outcome.name.replace('/', '-')}--{drawn_by}.png"
        path.write_bytes(png_bytes(grid(list(to_bytes(pictures.nan_to_num()))), "{}"))
        files.append(str(path))
    return f"{outcome.verdict:8}  {outcome.name}: {outcome.reason}" + (f"; see {', '.join(files)}" if files else "")


class _Bar:
    """Progress on standard error, where that is a terminal."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._row = progress, progress.add_task("loading networks", total=total)

    def show(self, name: str, done: float) -> None:
        """Shows what is drawn with, and how many sets are done."""
        self._progress.update(self._row, description=f"drawing with {name}", completed=done)

    def say(self, line: str) -> None:
        """Writes a line to standard output, above the bar."""
        self._progress.stop()
        say(line)
        self._progress.start()


@contextmanager
def _bar(total: int) -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal) as progress:
        yield _Bar(progress, total)
