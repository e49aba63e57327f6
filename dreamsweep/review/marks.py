"""Marks that people leave on the review page: picks, stars, tags and notes, each an object of its own in the table `ratings`.

Nothing is overwritten. Of the marks of one person on one trial, the last of each kind holds, and of each tag the last.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dreamsweep.errors import StoreError
from dreamsweep.report.labels import PROMPT_COLUMNS, PromptKey, prompt_of
from dreamsweep.report.marks import HOLDING
from dreamsweep.report.query import Session, Sweeps, answer
from dreamsweep.results.appended import Row, append
from dreamsweep.review.agreement import Agreement, agreement
from dreamsweep.store import Store, keys

VALUES = {"pick": (-1.0, 0.0, 1.0), "stars": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), "tag": (0.0, 1.0), "note": (1.0,)}
"""Values of each kind of mark: of a note its text alone counts, and an empty one takes it back."""
NAME = 64
"""Maximum length in characters of a reviewer's name, and of a tag."""
NOTE = 2_000
"""Maximum length of a note."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME)]
TrialId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
MarkId = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}T[0-9]{12}-[0-9a-f]{8}$")]
"""A browser's own id of what it leaves: what is sent again, because no answer came, is the same mark."""


class NewMark(BaseModel):
    """Mark as a browser sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: MarkId
    trial: TrialId
    kind: Literal["pick", "stars", "tag", "note"]
    value: float
    text: Annotated[str, Field(max_length=NOTE)] | None = None
    by: Name

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "NewMark":
        values = VALUES[self.kind]
        if self.value not in values:
            raise ValueError(f"{self.kind}: {self.value:g} is no value of it; it is one of {', '.join(f'{value:g}' for value in values)}")
        if (self.text is None) == (self.kind in ("tag", "note")):
            raise ValueError(f"{self.kind}: it {'needs a text' if self.text is None else 'takes no text'}")
        if self.kind == "tag" and not 0 < len((self.text or "").strip()) <= NAME:
            raise ValueError(f"tag: write 1 to {NAME} characters")
        return self


@dataclass(frozen=True)
class Mark:
    """Mark that holds."""

    sweep: str
    trial: str
    by: str | None
    kind: str
    value: float
    text: str | None


@dataclass(frozen=True)
class Marks:
    """All marks of one or several sweeps that hold, and how far their reviewers agree."""

    writable: bool
    marks: list[Mark]
    agreement: Agreement | None
    """Agreement on picks and rejections; None with fewer than two reviewers."""


def marks(store: Store, sweeps: Sweeps, writable: bool) -> Marks:
    """Returns the marks of published sweeps. Raises StoreError where there is none of that name."""
    return answer(store, lambda session: _marks(session, writable), sweeps)


def _marks(session: Session, writable: bool) -> Marks:
    rows = session.rows(f"{HOLDING} ORDER BY rated_at")
    kept = [row for row in rows if (row["text"] if row["kind"] == "note" else row["value"])]  # what was taken back is left out
    verdicts: dict[str, dict[str, bool]] = {}  # by person and picture
    for row in kept:
        if row["kind"] == "pick":
            verdicts.setdefault(row["rated_by"] or "", {})[f"{row['sweep']}/{row['trial_id']}"] = row["value"] > 0
    held = [Mark(row["sweep"], row["trial_id"], row["rated_by"], row["kind"], row["value"], row["text"]) for row in kept]
    return Marks(writable, held, agreement(verdicts))


def prompts_of(store: Store, sweep: str) -> dict[str, PromptKey]:
    """Returns the prompt of each of a published sweep's trials, by its id. Raises StoreError where there is none of that name."""
    columns = ", ".join(("trial_id", *PROMPT_COLUMNS))
    return answer(store, lambda session: {row["trial_id"]: prompt_of(row) for row in session.rows(f"SELECT {columns} FROM trials")}, sweep)


def write_mark(store: Store, sweep: str, mark: NewMark, trials: Container[str]) -> None:
    """Writes a mark as one object; one that is there already is left as it is. Raises StoreError where the sweep has no such trial."""
    if mark.trial not in trials:
        raise StoreError(f"sweep {sweep!r} has no trial {mark.trial!r}.")
    text = mark.text.strip() if mark.text is not None else None
    row = {"trial_id": mark.trial, "kind": mark.kind, "value": mark.value, "text": text, "rated_by": mark.by}
    write_once(store, sweep, "ratings", row, mark.id)


def write_once(store: Store, sweep: str, table: str, row: Row, row_id: str) -> None:
    """Writes a row that a browser may send twice; one that is there already is left as it is."""
    if not store.exists(keys.appended_row(sweep, table, row_id)):
        append(store, sweep, table, row, row_id)
