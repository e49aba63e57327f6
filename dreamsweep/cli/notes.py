"""Notes on a sweep's prompts, on standard error."""

from typing import TYPE_CHECKING

from dreamsweep.cli.terminal import tell

if TYPE_CHECKING:
    from dreamsweep.spec import Sweep


def tell_prompt_notes(sweep: "Sweep") -> None:
    """Writes what the prompts hold that other programs read otherwise. Raises SweepFileError as `planning.prompts.prompts`."""
    from dreamsweep.planning.prompt_notes import prompt_notes

    for note in prompt_notes(sweep):
        tell(f"note: {note}")
