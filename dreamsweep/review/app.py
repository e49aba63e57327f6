"""The addresses of the review page. Whoever asks may read what a store has published, and its pictures, and leave marks and duels.

/, /sweeps/NAME                 the page
/ask                            the page that asks in SQL
/api/sweeps                     every published sweep
/api/sweeps/NAMES…              the trials of one or several sweeps, a page at a time (wall), as a grid (grid), as plots (plots)
/api/sweeps/NAMES/marks         people's marks
/api/sweeps/NAME/marks          POST leaves one
/api/sweeps/NAME/trials/ID      a trial, with its curves
/api/sweeps/NAME/duels          what people's duels say; POST leaves one. Nothing but these two can be written
/api/sweeps/NAME/duels/next     pairs to be judged next
/api/sweeps/NAMES/export…        what the filters select, to take away (takeaway)
/api/ask, /api/questions        SQL (ask)
/api/status, …/NAME/status      running sweeps (live)
/pictures/NAME/ID/FILE          a picture or film; ?side=256 for a small one
/strips/NAME/ID                 pictures of a trial's iterations in a row; ?side=96 is the height of it
/health                         whether the server is up
"""

import gzip
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, RedirectResponse

from dreamsweep.errors import DreamsweepError, QueryError, StoreError, TransientError, UserError
from dreamsweep.results.manifest import published_manifest
from dreamsweep.review.ask import add_ask
from dreamsweep.review.catalogues import Catalogues, sweeps_of
from dreamsweep.review.duels import Duels, NewDuel, Pair, duels, pairs, write_duel
from dreamsweep.review.files import FOR_A_DAY, file_response
from dreamsweep.review.frames import frames_of
from dreamsweep.review.grid import add_grids
from dreamsweep.review.live import add_live
from dreamsweep.review.marks import Marks, Name, NewMark, TrialId, marks, prompts_of, write_mark
from dreamsweep.review.plots import add_plots
from dreamsweep.review.protection import Heads, Uncompressed, guard
from dreamsweep.review.rows import Card, Detail, cards, detail
from dreamsweep.review.takeaway import Submit, SweepName, add_takeaway
from dreamsweep.review.thumbnails import Thumbnails
from dreamsweep.review.wall import Walls, add_walls
from dreamsweep.store import Store, keys

PAGE = Path(__file__).with_name("page")
TYPES = {"png": "image/png", "webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4", "svg": "image/svg+xml"}
PAGE_TYPES = {".js": "text/javascript", ".css": "text/css"}
ITERATIONS = "X-Dreamsweep-Iterations"
"""Header that says of which iterations the pictures of a strip are."""
MARKING = "X-Dreamsweep-Mark"
"""Header that the page sends with each mark."""
RETRY_AFTER = "10"
"""Seconds after which a browser may try again while the store does not answer."""
File = Annotated[str, InPath(pattern=r"^[a-z0-9]+\.(png|webp|gif|mp4|svg)$")]
Side = Annotated[int | None, Query(ge=16, le=1024)]
StripSide = Annotated[int, Query(ge=16, le=256)]
Number = Annotated[int, Query(ge=1, le=100)]
Among = Annotated[str, Query(max_length=17_000, pattern=r"^([0-9a-f]{16}(,|$))*$")]
"""Ids of up to a thousand trials."""


def make_app(
    store: Store,
    login: str | None = None,
    hosts: Sequence[str] = ("*",),
    writable: bool = True,
    folder: Path | None = None,
    submit: Submit | None = None,
) -> FastAPI:
    """Returns the page's server. Unless it is `writable`, nobody can leave marks, or start a sweep by `submit`. Small pictures are kept in
    the `folder`.

    `login` is NAME:PASSWORD, which browsers then ask for; `hosts` are the names by which it may be addressed, so that no foreign page
    reaches it by a name that resolves to this machine.
    """
    app = FastAPI(title="dreamsweep review", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/sweeps")
    def all_sweeps() -> list[Card]:
        return cards(store)

    @app.get("/api/sweeps/{sweep}/trials/{trial}")
    def one_trial(sweep: SweepName, trial: TrialId) -> Detail:
        return detail(store, sweep, trial)

    catalogues = Catalogues(store, folder)
    walls = Walls(catalogues)
    add_walls(app, walls, _from_this_page)
    add_grids(app, walls, _from_this_page)
    add_plots(app, walls, _from_this_page)
    _add_marks(app, store, writable)
    _add_duels(app, store, writable)
    add_takeaway(app, store, submit if writable else None, _from_this_page)
    add_ask(app, store, _from_this_page)
    add_live(app, store)

    _add_pictures(app, store, Thumbnails(store, folder))
    _add_pages(app)
    app.add_exception_handler(DreamsweepError, _error_response)
    app.add_middleware(Uncompressed)
    app.middleware("http")(guard(login, hosts))
    app.add_middleware(Heads)
    return app


def _add_pages(app: FastAPI) -> None:
    """Adds the addresses that people open, and the files of these pages."""

    @app.get("/sweeps")
    @app.get("/sweeps/")
    def all_of_them() -> Response:
        return RedirectResponse("/")

    @app.get("/ask")
    def ask_page() -> Response:
        return Response((PAGE / "ask.html").read_bytes(), media_type="text/html")

    @app.get("/")
    @app.get("/sweeps/{sweep}")
    def page(sweep: str = "") -> Response:
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html")

    files = {path.name: _PageFile(path) for path in PAGE.iterdir() if path.suffix in PAGE_TYPES}

    @app.get("/page/{name}")
    async def page_file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "the page has no such file.")
        return files[name].response(request)


class _PageFile:
    """File of the page in memory, compressed once, as a first look asks for thirty of them."""

    def __init__(self, path: Path) -> None:
        self._plain = path.read_bytes()
        self._compressed = gzip.compress(self._plain, mtime=0)
        self._tag = f'"{hashlib.sha256(self._plain).hexdigest()[:32]}"'
        self._media_type = PAGE_TYPES[path.suffix]

    def response(self, request: Request) -> Response:
        headers = {"ETag": self._tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == self._tag:
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return Response(self._plain, media_type=self._media_type, headers=headers)
        return Response(self._compressed, media_type=self._media_type, headers={**headers, "Content-Encoding": "gzip"})


def _add_pictures(app: FastAPI, store: Store, thumbnails: Thumbnails) -> None:
    """Adds the addresses of pictures, whole, small, and in strips."""

    @app.get("/pictures/{sweep}/{trial}/{file}")
    def picture(request: Request, sweep: SweepName, trial: TrialId, file: File, side: Side = None) -> Response:
        key = keys.picture(sweep, trial, file)
        if side and file.endswith(".png"):
            return Response(thumbnails.picture(key, side), media_type="image/webp", headers=FOR_A_DAY)
        return file_response(store.read(key), TYPES[file.rpartition(".")[2]], request.headers.get("Range"))

    @app.get("/strips/{sweep}/{trial}")
    def strip(sweep: SweepName, trial: TrialId, side: StripSide, iterations: Annotated[int, Query(ge=0)] = 0) -> Response:
        frames = frames_of(store, sweep, trial, iterations)
        if not frames.keys:
            return Response(status_code=204)
        headers = {**FOR_A_DAY, ITERATIONS: ",".join(map(str, frames.iterations))}
        return Response(thumbnails.strip(frames.keys, side), media_type="image/webp", headers=headers)


def _add_marks(app: FastAPI, store: Store, writable: bool) -> None:
    """Adds the addresses that read people's marks and, where the page is writable, leave one."""

    @app.get("/api/sweeps/{sweep}/marks")
    def all_marks(sweep: SweepName) -> Marks:
        return marks(store, sweeps_of(store, sweep), writable)

    if writable:
        prompts = lru_cache(16)(lambda sweep, generation: prompts_of(store, sweep))

        @app.post("/api/sweeps/{sweep}/marks", dependencies=[Depends(_from_this_page)], status_code=204)
        def leave_mark(sweep: SweepName, mark: NewMark) -> None:
            write_mark(store, sweep, mark, prompts(sweep, published_manifest(store, sweep).generation))


def _add_duels(app: FastAPI, store: Store, writable: bool) -> None:
    """Adds the addresses that read people's duels and, where the page is writable, propose pairs and leave a duel."""

    @app.get("/api/sweeps/{sweep}/duels")
    def all_duels(sweep: SweepName, by: Name | None = None) -> Duels:
        return duels(store, sweep, by, writable)

    if writable:
        prompts = lru_cache(16)(lambda sweep, generation: prompts_of(store, sweep))

        @app.get("/api/sweeps/{sweep}/duels/next")
        def next_duels(sweep: SweepName, by: Name, among: Among = "", number: Number = 10) -> list[Pair]:
            return pairs(store, sweep, by, number, frozenset(filter(None, among.split(","))), np.random.default_rng())

        @app.post("/api/sweeps/{sweep}/duels", dependencies=[Depends(_from_this_page)], status_code=204)
        def leave_duel(sweep: SweepName, duel: NewDuel) -> None:
            write_duel(store, sweep, duel, prompts(sweep, published_manifest(store, sweep).generation))


def _from_this_page(request: Request) -> None:
    """Refuses what another site's page makes a browser send. A form cannot send the header, and a script needs a leave that nobody gives.

    Raises HTTPException (403).
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("Host")
    if foreign or site != "same-origin" or MARKING not in request.headers:
        raise HTTPException(403, "marks are taken from the review page alone.")


async def _error_response(request: Request, error: Exception) -> Response:
    """Answers with the sentence that a command would have printed.

    404 for what does not exist, 503 while the store does not answer, 400 for what the user can fix, such as a selection that holds
    nothing, 500 for all else, such as a table that is damaged.
    """
    kinds = ((StoreError, 404), (TransientError, 503), (QueryError, 500), (UserError, 400))
    status = next((status for kind, status in kinds if isinstance(error, kind)), 500)
    retry_after = {"Retry-After": RETRY_AFTER} if isinstance(error, TransientError) else None
    return JSONResponse({"detail": str(error)}, status, retry_after)
