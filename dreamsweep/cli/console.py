"""Rich's console for texts that anybody may have written: prompts, names in a store, reasons of failures."""

from collections.abc import Iterable

from rich import console
from rich.segment import Segment

from dreamsweep.planning.characters import visible


class Console(console.Console):
    """A console that escapes the control characters of what it prints; its own colours and movements stay."""

    def render(self, renderable: console.RenderableType, options: console.ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields the segments of a renderable, with visible characters alone."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
