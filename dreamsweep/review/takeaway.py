"""Addresses that take a selection away: downloads, and a sweep of more of the kind. None of them writes to the store.

/api/sweeps/NAMES/export            formats, and ways to a new sweep
/api/sweeps/NAMES/export/FORMAT     a download of what the filters select
/api/sweeps/NAMES/new-sweep         POST: a sweep file; with `submit`, Prefect makes it
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from threading import BoundedSemaphore
from typing import Annotated, Any, get_args

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from dreamsweep.export.again import Way, sweep_of
from dreamsweep.export.chosen import chosen
from dreamsweep.export.formats import FORMATS, FormatName, stream
from dreamsweep.export.selection import ANYBODY, Selection, make_selection
from dreamsweep.review.catalogues import sweeps_of
from dreamsweep.spec.base import PromptText
from dreamsweep.store import Store

AT_ONCE = 2
"""Exports that are written at the same time; further ones are asked to come again."""
RETRY_AFTER = "10"
SweepName = Annotated[str, InPath(pattern=r"^[^/.][^/]*$")]
Words = Annotated[str, Field(max_length=2_000)]
Submit = Callable[[str, str], str]
"""Hands a sweep file's text and a store to a server that makes sweeps; returns where it can be watched."""


class Filters(BaseModel):
    """The page's filters, as they stand in its address."""

    q: Words = ""
    engine: list[str] = Field(default_factory=list, max_length=100)
    marks: Annotated[str, Field(max_length=20)] = ""
    by: Annotated[str, Field(max_length=64)] = ANYBODY
    trial: list[str] = Field(default_factory=list, max_length=1_000)
    best: Annotated[int | None, Field(ge=1, le=1_000)] = None

    def selection(self, sweeps: tuple[str, ...]) -> Selection:
        """Returns the same trials as the page shows with these filters. Raises UserError."""
        stars = int(self.marks.removeprefix("stars")) if self.marks.startswith("stars") and self.marks[5:].isdecimal() else None
        marks = {"stars": stars} if stars else {"marks": self.marks or None}
        conditions: dict[str, Any] = {"search": self.q, "engines": self.engine, "trials": self.trial, "best": self.best, **marks}
        return make_selection(sweeps=sweeps, by=self.by, **conditions)


class NewSweepRequest(BaseModel):
    """Sweep that somebody wants of a selection."""

    model_config = ConfigDict(extra="forbid")

    filters: Filters
    way: Way
    prompts: Annotated[list[PromptText], Field(max_length=1_000)] = []
    seeds: Annotated[int | None, Field(ge=1, le=10_000)] = None
    submit: bool = False


@dataclass(frozen=True)
class Takeaway:
    """What can be taken away, and how."""

    formats: dict[str, str]
    """Titles by name."""
    ways: list[str]
    submits: bool
    """Whether a server can make a sweep at once."""


@dataclass(frozen=True)
class SweepAnswer:
    """Sweep that was made of a selection."""

    name: str
    trials: int
    text: str
    address: str | None
    """Where it can be watched, if it was submitted."""


def add_takeaway(app: FastAPI, store: Store, submit: Submit | None, from_this_page: Callable[[Request], None]) -> None:
    """Adds the addresses; without `submit` nobody can start a sweep."""
    room = BoundedSemaphore(AT_ONCE)

    @app.get("/api/sweeps/{sweep}/export")
    def offers(sweep: SweepName) -> Takeaway:
        return Takeaway({name: form.title for name, form in FORMATS.items()}, list(get_args(Way)), submit is not None)

    @app.get("/api/sweeps/{sweep}/export/{name}", dependencies=[Depends(_not_from_elsewhere)])
    def download(sweep: SweepName, name: FormatName, filters: Annotated[Filters, Query()]) -> StreamingResponse:
        form = FORMATS[name]
        headers = {"Content-Disposition": f'attachment; filename="{_file_name(sweep, name)}{form.ending}"', "Cache-Control": "no-store"}
        return StreamingResponse(
            _begun(store, filters.selection(sweeps_of(store, sweep)), name, room), media_type=form.media_type, headers=headers
        )

    @app.post("/api/sweeps/{sweep}/new-sweep", dependencies=[Depends(from_this_page)])
    def new_sweep(sweep: SweepName, wanted: NewSweepRequest) -> SweepAnswer:
        if wanted.submit and submit is None:
            raise HTTPException(403, "no Prefect server is configured here, or the page is read-only; download the sweep file and run it.")
        with chosen(store, wanted.filters.selection(sweeps_of(store, sweep))) as trials:
            new = sweep_of(trials, wanted.way, None, wanted.prompts, wanted.seeds)
        address = submit(new.text, store.uri) if wanted.submit and submit else None
        return SweepAnswer(new.name, new.trials, new.text, address)


def _begun(store: Store, selection: Selection, name: FormatName, room: BoundedSemaphore) -> Iterator[bytes]:
    """Returns a stream whose first bytes are there, so that what is wrong with the selection is an answer of its own."""
    if not room.acquire(blocking=False):
        raise HTTPException(503, "other downloads are being written; try again in a moment.", {"Retry-After": RETRY_AFTER})

    def parts() -> Iterator[bytes]:
        try:
            yield from stream(store, selection, name)
        finally:
            room.release()

    following = parts()
    return chain([next(following)], following)


def _not_from_elsewhere(request: Request) -> None:
    """Refuses what another site's page makes a browser load. Raises HTTPException (403)."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "downloads are for the review page alone.")


def _file_name(sweep: str, name: str) -> str:
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-._") else "_" for letter in sweep)
    return plain if name == "pictures" else f"{plain}-{name}"
