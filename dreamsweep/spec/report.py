"""What a sweep's report shows."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dreamsweep.spec.base import Spec

SectionName = Literal[
    "pictures", "films", "scores", "curves", "loss", "decline", "labels", "segments", "phrasings", "between", "sets", "settings"
]


class Report(Spec):
    """Sections of `dreamsweep report`, and how prompts are compared. Changes no picture."""

    sections: tuple[SectionName, ...] = ()
    """Sections in this order; without it, all that the sweep has something for."""
    phrasings: tuple[Annotated[str, StringConstraints(pattern=r"^[^{}]*\{\}[^{}]*$")], ...] = Field(default=(), max_length=12)
    """Phrasings to compare, `{}` for what differs: `["a photo of {}", "{}"]`. Prompts that differ in nothing else are paired."""
