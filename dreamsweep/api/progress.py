"""Progress of a sweep in Python: rich's line in a terminal, one line of HTML in a notebook."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape, unescape
from importlib import import_module
from typing import Any

from dreamsweep.generation.events import Fetching, Finished, Learning, Planned, Published, SweepEvent
from dreamsweep.generation.tally import BETWEEN, Tally, learning_text
from dreamsweep.text import counted, format_seconds

REFRESH_SECONDS = 0.5
"""Seconds between two changes of a notebook's line."""
WIDTH = 80
"""Characters for what is being drawn."""


@contextmanager
def showing(name: str, progress: bool) -> Iterator[Callable[[SweepEvent], None]]:
    """Yields what shows a sweep's events: in a notebook, in a terminal, or nowhere."""
    if not progress:
        yield lambda event: None
    elif _in_notebook():
        yield NotebookLine(name).take
    else:
        from rich.console import Console

        from dreamsweep.cli.display import Display

        with Display(Console(), name) as display:
            yield display.take


class NotebookLine:
    """A bar and a text in a notebook's output, replaced as the sweep goes on; the last one stays."""

    def __init__(self, name: str) -> None:
        display: Any = import_module("IPython.display").display  # there in a notebook; no dependency of ours
        self.name, self.tally, self.doing = name, Tally(), "starting…"
        self._started = self._shown_at = time.monotonic()
        self._handle: Any = display(_Html(self._html()), display_id=True)

    def take(self, event: SweepEvent) -> None:
        """Counts an event, and shows it if the last change is half a second ago."""
        self.tally.take(event)
        match event:
            case Planned() if event.done < event.plan.trials:
                self.doing = "loading networks"
            case Fetching():
                share = f" {event.done / event.total:.0%}" if event.total else ""
                self.doing = f"fetching {event.title}{share}"
            case Learning():
                self.doing = learning_text(event)
            case Published() if self.tally.done == self.tally.trials:
                self.doing = "drawing the summary"
            case Finished():
                seconds = format_seconds(time.monotonic() - self._started)
                self.doing = f"{counted(event.manifest.done, 'trial')} done in {seconds}"
            case _:
                self.doing = BETWEEN.join(filter(None, (self.tally.text(), self.tally.drawing(WIDTH))))
        if isinstance(event, Planned | Finished) or time.monotonic() - self._shown_at >= REFRESH_SECONDS:
            self._shown_at = time.monotonic()
            self._handle.update(_Html(self._html()))

    def _html(self) -> str:
        bar = f'<progress max="{max(1, self.tally.trials)}" value="{self.tally.progress:.2f}" style="width: 16em"></progress>'
        return f"<div>{escape(self.name)} {bar} {escape(self.doing)}</div>"


class _Html:
    """HTML for a notebook, and its text for everything else."""

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        import re

        return unescape(" ".join(re.sub(r"<[^>]*>", " ", self.html).split()))


def _in_notebook() -> bool:
    """Returns whether a Jupyter kernel runs this; the module IPython is there then."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")
