"""Display of a running sweep: a progress line and what is drawn on a terminal, a plain line now and then elsewhere."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from dreamsweep.generation.events import Fetching, Learning, Noted, Planned, Published, ShardLost, SweepEvent
from dreamsweep.generation.tally import BETWEEN, Tally, learning_text
from dreamsweep.retry import PROGRESS
from dreamsweep.text import format_bytes, format_seconds

PLAIN_SECONDS = 15.0
"""Seconds between two lines where there is no terminal."""
PLAIN_WIDTH = 80
"""Cells for what is being drawn where there is no terminal."""
STOPPING = "stopping after this iteration (Ctrl-C again stops at once)"


class Display:
    """Shows the events of a sweep, from its start to its end."""

    def __init__(self, console: Console, name: str) -> None:
        self.console, self.title = console, name
        self.tally = Tally()
        self._started = time.monotonic()
        self._over = threading.Event()
        self._bar: _Bar | None = None
        self._doing = "starting…"
        """Text of the step that runs while no shard does."""
        self._is_stopping = False
        self._outages = _Outages(self._print)

    def __enter__(self) -> "Display":
        PROGRESS.addHandler(self._outages)
        if self.console.is_terminal:
            title, description = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("fields[title]", "description"))
            self._bar = _Bar(SpinnerColumn(), title, BarColumn(24), description, console=self.console, transient=True)
            self._row = self._bar.add_task(self._doing, total=None, title=self.title)
            self._bar.start()
        else:
            self._print(self._doing)
            threading.Thread(target=self._print_now_and_then, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        PROGRESS.removeHandler(self._outages)
        self._over.set()
        if self._bar is not None:
            self._bar.stop()

    def take(self, event: SweepEvent) -> None:
        """Counts an event, and shows where the sweep is."""
        self.tally.take(event)
        match event:
            case Planned():
                self._doing = self.tally.text() + (" · loading networks" if event.done < event.plan.trials else "")
                if self._bar is None:
                    self._print(self.tally.text())
            case Noted():
                for note in event.notes:
                    self._print(f"note: {note}")
            case Fetching():
                self._doing = f"fetching {event.title}, {_amount(event)}"
            case Learning():
                self._doing = learning_text(event)
            case ShardLost():
                following = "It is given up." if event.attempt is None else f"It is tried again (attempt {event.attempt})."
                self._print(f"{event.reason.split('. ')[0].rstrip('.')}. {following}")  # the first sentence; all of it is told at the end
            case Published():
                self._doing = f"{self.tally.text()} · drawing the summary" if self.tally.done == self.tally.trials else self.tally.text()
            case _:
                self._doing = self.tally.text()
        self._refresh()

    def show_stopping(self) -> None:
        """Says that the running shard stops after this iteration."""
        self._is_stopping = True
        self._refresh()

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.below = STOPPING if self._is_stopping else self.tally.drawing(self.console.width - len(_Bar.INDENT))
            self._bar.update(self._row, description=self._doing, total=self.tally.trials or None, completed=self.tally.progress)

    def _print_now_and_then(self) -> None:
        while not self._over.wait(PLAIN_SECONDS):
            parts = (self._doing, self.tally.drawing(PLAIN_WIDTH))
            self._print(f"{BETWEEN.join(filter(None, parts))} ({format_seconds(time.monotonic() - self._started)})")

    def _print(self, text: str) -> None:
        self.console.print(f"{self.title}: {text}", highlight=False, soft_wrap=True, markup=False)


class _Bar(Progress):
    """Progress line, and a line below it."""

    INDENT = "  "
    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Returns both lines; the second one only while it says something."""
        yield from super().get_renderables()
        if self.below:
            yield Text(f"{self.INDENT}{self.below}", style="dim", no_wrap=True, overflow="ellipsis")


class _Outages(logging.Handler):
    """Prints what is retried, such as a store that does not answer."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record as a line."""
        self.show(record.getMessage())


def _amount(event: Fetching) -> str:
    return f"{event.done / event.total:.0%} of {format_bytes(event.total)}" if event.total else format_bytes(event.done)
