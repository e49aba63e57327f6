"""How far a download is: a bar on a terminal, a word in a sweep's display, nothing elsewhere (the log says what is fetched)."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dreamsweep.weights.download import Report

_progress = logging.getLogger("dreamsweep.progress")


@contextmanager
def showing(title: str) -> Iterator[Report]:
    """A report that draws a bar on standard error, if that is a terminal; a sweep's display is told instead, where there is one."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if _progress.handlers:
        yield _telling(title)
    elif not console.is_terminal:
        yield lambda done, total: None
    else:
        columns = (TextColumn("{task.description}"), BarColumn(24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            row = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(row, completed=done, total=total)


def _telling(title: str) -> Report:
    """A report that says at most once a second how far it is."""
    told = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told >= 1 or done == total:
            told = time.monotonic()
            share = f", {done / total:.0%} of {total / 1e6:,.0f} MB" if total else f", {done / 1e6:,.0f} MB"
            _progress.info("fetching %s%s", title, share, extra={"fetching": f"fetching {title}{share}"})

    return report
