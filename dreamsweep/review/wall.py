"""A wall, a page at a time: which trials it shows in which order, and how many have which value.

/api/sweeps/NAMES         the trials, the best of each prompt first
/api/sweeps/NAMES/wall    POST: those that a question selects, in its order
/api/sweeps/NAMES/facets  values of the settings that the sweeps vary
/api/sweeps/NAMES/state   changes whenever a wall does

NAMES is one sweep, several with commas between, or a pattern such as `nightly-*`.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Depends, FastAPI, Query, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dreamsweep.export.conditions import search
from dreamsweep.report.catalogue import Catalogue, Coded, Rows
from dreamsweep.review.catalogues import Catalogues, Kept
from dreamsweep.review.duplicates import MOST, tops
from dreamsweep.review.takeaway import SweepName, Words
from dreamsweep.store import Store

PAGE, MOST_ON_A_PAGE = 120, 1_000
"""Tiles that are sent at once."""
MOST_NAMED = 200_000
"""Trials that a question may name, such as those that somebody marked."""
LISTED = 8
"""Answers that are kept, for their further pages: 4 bytes a trial."""
MOST_DUPLICATES = 100
"""Trials of a stack of near-duplicates that are named."""
MOST_VALUES = 40
"""Values of a setting among the facets."""

Key = Annotated[str, Field(pattern=r"^([a-z0-9._-]+/)?[0-9a-f]{16}$")]
"""Trial on a wall: its id, or on a wall of several sweeps `SWEEP/ID`."""
Setting = Annotated[str, Field(max_length=100)]


class Question(BaseModel):
    """Which trials, and in which order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: Words = ""
    engine: Annotated[tuple[Setting, ...], Field(max_length=100)] = ()
    only: Annotated[tuple[Key, ...], Field(max_length=MOST_NAMED)] | None = None
    """Trials that somebody marked in a certain way; None for all."""
    without: Annotated[tuple[Key, ...], Field(max_length=MOST_NAMED)] = ()
    suggested: bool = False
    """Only those in the upper third of their prompt, by its judges."""
    suggested_first: bool = False
    stacked: bool = False
    """Whether trials that differ by seed alone are one tile, the first of them in this order; not where all trials are alike."""
    similarity: Annotated[float | None, Field(gt=0, le=1)] = None
    """Cosine of their pictures' embeddings from which trials of a prompt are one tile likewise (see `duplicates`)."""
    sort: Setting = "best"
    group: Setting = ""


class PageOfWall(Question):
    """A page of the answer."""

    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=0, le=MOST_ON_A_PAGE)] = PAGE
    at: Key | None = None
    """Trial on the page that is wanted, in place of an offset; the first page where the question does not select it."""


@dataclass(frozen=True)
class Tile:
    """A trial on the wall."""

    key: str
    sweep: str
    id: str
    prompt: str
    shows: str
    """The prompt that the best picture shows: of a walk it may be a later one."""
    to: tuple[str, ...]
    """The prompts that an interpolation goes on to."""
    engine: str
    seed: int
    label: str
    """Engine, seed, and the settings in which trials of the wall differ."""
    judge: float | None
    rank: int | None
    """Among the trials of the same prompt, by its standing (see `report.ranks`): 1 is the best. None where it was not scored."""
    ranked_by: str | None
    """The judges that its rank comes from."""
    rivals: int
    """Trials of the same prompt with a standing, this one included."""
    z_score: float | None
    """Standard deviations above the mean of those, of the judges' scores on average."""
    guide: float | None
    status: str
    pictured: bool
    iterations: int
    """How many were done."""
    group: str | None = None
    """Value by which it is grouped."""
    grouped: int = 0
    """Trials of its group."""
    stack: int = 1
    """Trials that it stands for."""
    duplicates: tuple[str, ...] = ()
    """Ids of these trials, at most a hundred, where they are near-duplicates."""


@dataclass(frozen=True)
class Wall:
    """A page of the trials of one or several sweeps."""

    sweeps: tuple[str, ...]
    state: str
    trials: int
    """Trials of the whole wall, whatever the question selects."""
    engines: list[str]
    swept: list[str]
    """Names of the settings in which trials of the same engine differ, to sort and group by; `sweep` where there are several."""
    scores: list[str]
    """Names of scores, those of further judges included."""
    matched: int
    """Trials that the question selects."""
    stacks: bool
    """Whether a tile may stand for several trials."""
    unknown: list[str]
    """A sentence on each of its words that was not understood."""
    offset: int
    """Place of the first tile among those that the question selects."""
    tiles: list[Tile]


@dataclass(frozen=True)
class Facet:
    """A setting, and how many trials have each of its values."""

    name: str
    values: list[tuple[str, int]]
    more: int
    """Values that are left out."""


@dataclass(frozen=True)
class Listed:
    """Answer to a question."""

    rows: Rows
    unknown: list[str]
    groups: Coded | None
    """Values that the rows are grouped by, for every row of the catalogue."""
    sizes: NDArray[np.int64]
    """Trials of each group, by its code."""
    stacks: dict[int, int]
    """Trials that a row stands for, where they are several."""
    duplicates: dict[int, list[int]]
    """The first of them, where they are near-duplicates."""


WALL = TypeAdapter(Wall)


class Walls:
    """Answers questions about the walls of a store."""

    def __init__(self, catalogues: Catalogues) -> None:
        self.catalogues = catalogues
        self._listed: OrderedDict[tuple[str, Question], Listed] = OrderedDict()

    def page(self, names: str, wanted: PageOfWall) -> Wall:
        """Returns a page of a wall. Raises StoreError where a sweep is not published."""
        kept = self.catalogues.of(names)
        catalogue, listed = kept.catalogue, self.listed(kept, wanted)
        offset = _place(kept, listed.rows, wanted.at) // wanted.limit * wanted.limit if wanted.at and wanted.limit else wanted.offset
        return Wall(
            sweeps=kept.sweeps,
            state=kept.state,
            trials=len(catalogue),
            engines=sorted({kind.engine for kind in catalogue.kinds}),
            swept=swept(kept),
            scores=catalogue.scores,
            matched=len(listed.rows),
            stacks=bool(listed.stacks),
            unknown=listed.unknown,
            offset=offset,
            tiles=[tile(kept, row, listed) for row in listed.rows[offset : offset + wanted.limit].tolist()],
        )

    def listed(self, kept: Kept, wanted: Question) -> Listed:
        """Returns the rows that a question selects, in its order."""
        question = Question(**{name: getattr(wanted, name) for name in Question.model_fields})
        key = (kept.state, question)
        listed = self._listed.pop(key, None) or _list(self.catalogues.store, kept, question)
        self._listed[key] = listed
        while len(self._listed) > LISTED:
            self._listed.popitem(last=False)
        return listed


def add_walls(app: FastAPI, walls: Walls, from_this_page: Callable[[Request], None]) -> None:
    """Adds the addresses."""

    @app.get("/api/sweeps/{sweep}")
    def whole(sweep: SweepName, offset: Annotated[int, Query(ge=0)] = 0) -> Response:
        return json_response(WALL.dump_json(walls.page(sweep, PageOfWall(offset=offset))))

    @app.post("/api/sweeps/{sweep}/wall", dependencies=[Depends(from_this_page)])
    def page(sweep: SweepName, wanted: PageOfWall) -> Response:
        return json_response(WALL.dump_json(walls.page(sweep, wanted)))

    @app.get("/api/sweeps/{sweep}/facets")
    def facets_of(sweep: SweepName) -> list[Facet]:
        return facets(walls.catalogues.of(sweep))

    @app.get("/api/sweeps/{sweep}/state")
    def state(sweep: SweepName) -> str:
        return walls.catalogues.state_of(sweep)


def swept(kept: Kept) -> list[str]:
    """Returns the names to sort and group by, beside those that every wall has."""
    return [*["sweep"] * (len(kept.sweeps) > 1), *kept.catalogue.swept]


def tile(kept: Kept, row: int, listed: Listed | None = None) -> Tile:
    """Returns the tile of a row."""
    catalogue = kept.catalogue
    prompt, sweep, trial = catalogue.prompts[catalogue.prompt[row]], catalogue.sweep_names[catalogue.sweep[row]], catalogue.trial_id(row)
    group = listed.groups if listed else None
    return Tile(
        key=key_of(kept, row),
        sweep=sweep,
        id=trial,
        prompt=prompt.text,
        shows=(prompt.text, *prompt.to)[catalogue.shown[row]],
        to=prompt.to,
        engine=catalogue.kinds[catalogue.kind[row]].engine,
        seed=int(catalogue.seed[row]),
        label=catalogue.label(row),
        judge=_number(catalogue.judge[row]),
        rank=int(catalogue.rank[row]) or None,
        ranked_by=catalogue.judges[catalogue.ranked_by[row]],
        rivals=int(catalogue.rivals[row]),
        z_score=_number(catalogue.z_score[row]),
        guide=_number(catalogue.guide[row]),
        status=catalogue.statuses[catalogue.status[row]],
        pictured=bool(catalogue.pictured[row]),
        iterations=int(catalogue.iterations[row]),
        group=in_words(group.values[group.codes[row]]) if group else None,
        grouped=int(listed.sizes[group.codes[row]]) if listed and group else 0,
        stack=listed.stacks.get(row, 1) if listed else 1,
        duplicates=tuple(map(catalogue.trial_id, listed.duplicates.get(row, ()))) if listed else (),
    )


def key_of(kept: Kept, row: int) -> str:
    """Returns the key of a row's trial."""
    trial = kept.catalogue.trial_id(row)
    return trial if len(kept.sweeps) == 1 else f"{kept.catalogue.sweep_names[kept.catalogue.sweep[row]]}/{trial}"


def facets(kept: Kept) -> list[Facet]:
    """Returns the settings of which the trials have several values, and the values."""
    catalogue = kept.catalogue
    columns = {name: catalogue.column(name) for name in dict.fromkeys(["seed", *swept(kept)])}
    return [_facet(name, column) for name, column in columns.items() if len(column.values) > 1]


def rows_of(kept: Kept, keys: tuple[str, ...]) -> Rows:
    """Returns the rows of trials by their keys; those that are not on the wall are left out."""
    pairs = [key.rpartition("/") for key in keys]
    return kept.catalogue.rows_of([(sweep or kept.sweeps[0], trial) for sweep, _, trial in pairs])


def _list(store: Store, kept: Kept, question: Question) -> Listed:
    catalogue = kept.catalogue
    matches = search(catalogue, question.q)
    mask = matches.mask
    if question.engine:
        mask &= catalogue.column("engine").where(lambda engine: engine in question.engine)
    if question.only is not None:
        named = np.zeros(len(catalogue), bool)
        named[rows_of(kept, question.only)] = True
        mask &= named
    mask[rows_of(kept, question.without)] = False
    suggested = (catalogue.rivals > 2) & (catalogue.rank > 0) & (catalogue.rank <= np.ceil(catalogue.rivals / 3))
    if question.suggested:
        mask &= suggested
    order = catalogue.order(question.sort if question.sort in catalogue.names else "best")
    rows = order[mask[order]]
    if question.suggested_first:
        rows = np.concatenate([rows[suggested[rows]], rows[~suggested[rows]]])
    stacks, duplicates = dict[int, int](), dict[int, list[int]]()
    if question.similarity and len(rows) > MOST:
        matches.unknown.append(f"Near-duplicates are stacked of up to {MOST:,} trials; search for fewer.")
    elif question.similarity:
        places = tops(store, kept, rows, question.similarity)
        every = rows
        rows, stacks = _stacked(places, every)
        duplicates = _members(places, every, stacks)
    elif question.stacked:
        rows, stacks = _stacked(catalogue.but_for_seed[rows], rows)
    if question.group not in catalogue.names:
        return Listed(rows, matches.unknown, None, np.zeros(0, np.int64), stacks, duplicates)
    groups = column_of(catalogue, question.group)
    sizes = np.bincount(groups.codes[rows], minlength=len(groups.values))
    return Listed(_grouped(rows, groups, question.group), matches.unknown, groups, sizes, stacks, duplicates)


def _stacked(numbers: NDArray[np.int64], rows: Rows) -> tuple[Rows, dict[int, int]]:
    """Returns the first row of each stack in their order, and how many rows it stands for; the rows of a stack have the same number."""
    _, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    if len(first) == 1:
        return rows, {}
    several = sizes > 1
    return rows[np.sort(first)], dict(zip(rows[first[several]].tolist(), sizes[several].tolist(), strict=True))


def _members(places: NDArray[np.int64], rows: Rows, stacks: dict[int, int]) -> dict[int, list[int]]:
    """Returns the first rows of each stack of several, by its first one."""
    order = np.argsort(places, kind="stable")
    _, starts, sizes = np.unique(places[order], return_index=True, return_counts=True)
    members = (
        rows[order[start : start + min(size, MOST_DUPLICATES)]].tolist() for start, size in zip(starts, sizes, strict=True) if size > 1
    )
    return {each[0]: each for each in members if each[0] in stacks}


def _grouped(rows: Rows, groups: Coded, name: str) -> Rows:
    """Returns the rows of one group after the other: settings by their values, prompts, engines and seeds by their first trial."""
    codes = groups.codes[rows]
    if name in ("prompt", "engine", "seed"):
        present, first = np.unique(codes, return_index=True)
        places = np.zeros(len(groups.values), np.int64)
        places[present] = first
    else:
        places = groups.places.astype(np.int64)
    return rows[np.argsort(places[codes], kind="stable")]


def _place(kept: Kept, rows: Rows, key: str) -> int:
    """Returns the place of a trial among these rows, 0 where it is not among them."""
    wanted = rows_of(kept, (key,))
    places = np.flatnonzero(rows == wanted[0]) if len(wanted) else wanted
    return int(places[0]) if len(places) else 0


def _facet(name: str, column: Coded) -> Facet:
    counts = np.bincount(column.codes, minlength=len(column.values))
    order = [n for n in np.argsort(column.places).tolist() if column.values[n] is not None]
    return Facet(name, [(str(column.values[n]), int(counts[n])) for n in order[:MOST_VALUES]], max(0, len(order) - MOST_VALUES))


def column_of(catalogue: Catalogue, name: str) -> Coded:
    """Returns what trials are grouped by; of a prompt the one that the best picture shows."""
    return catalogue.shows if name == "prompt" else catalogue.column(name if name in catalogue.names else "engine")


def in_words(value: object) -> str:
    """Formats a setting's value; a dash for none."""
    return "–" if value is None else str(value)


def _number(value: float) -> float | None:
    """Returns None for NaN, which JSON lacks."""
    return None if np.isnan(value) else float(value)


def json_response(body: bytes) -> Response:
    """Returns what is JSON already."""
    return Response(body, media_type="application/json")
