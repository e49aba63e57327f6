"""What a section of a report is made of: tables, plots, films and paragraphs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of a section; the best cell of each column is marked where `marks` says so."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the cells that stand out."""


@dataclass(frozen=True)
class Plot:
    """A picture of a section, also kept as a file of that name."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Film:
    """An animated picture of a trial."""

    webp: bytes
    caption: str


@dataclass(frozen=True)
class Text:
    """A paragraph of a section."""

    text: str


Part = Table | Plot | Film | Text


@dataclass(frozen=True)
class Section:
    """A section of a report; without parts where the sweep has nothing for it, and `instead` says what to do about that."""

    title: str
    parts: Sequence[Part]
    instead: str = ""
