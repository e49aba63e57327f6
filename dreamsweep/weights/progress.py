"""Progress of a download: reported to a sweep's display where there is one, else a bar on a terminal, else nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dreamsweep.weights.download import ProgressCallback

Watcher = Callable[[str, int, int | None], None]
"""Called with what is downloaded, its bytes so far, and its bytes in all where they are known."""
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def report_downloads_to(watcher: Watcher | None) -> Iterator[None]:
    """Has downloads within the block report to the watcher, at most once a second; None leaves everything as it is."""
    token = _watcher.set(watcher or _watcher.get())
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def show_progress(title: str) -> Iterator[ProgressCallback]:
    """Yields a callback that reports to the watcher, or draws a bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if watcher := _watcher.get():
        yield _once_a_second(title, watcher)
    elif not console.is_terminal:
        yield lambda done, total: None
    else:
        columns = (TextColumn("{task.description}"), BarColumn(24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            row = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(row, completed=done, total=total)


def _once_a_second(title: str, watcher: Watcher) -> ProgressCallback:
    reported_at = 0.0

    def on_progress(done: int, total: int | None) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= 1 or done == total:
            reported_at = time.monotonic()
            watcher(title, done, total)

    return on_progress
