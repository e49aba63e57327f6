"""Figures of the model card."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """One line of the model card."""

    what: str
    figure: str
