"""How far a download is: a bar on a terminal, nothing elsewhere (the log says what is fetched)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dreamsweep.weights.download import Report


@contextmanager
def showing(title: str) -> Iterator[Report]:
    """A report that draws a bar on standard error, if that is a terminal that no sweep's display draws on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal or logging.getLogger("dreamsweep.progress").handlers:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(row, completed=done, total=total)
