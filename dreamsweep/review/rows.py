"""What the review page shows of sweeps and trials: plain values, asked of the tables, that JSON can hold."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from dreamsweep.errors import DreamsweepError, StoreError
from dreamsweep.manifest import published, published_manifest
from dreamsweep.parquet import ahead
from dreamsweep.query import query
from dreamsweep.store import Store
from dreamsweep.variants import COLUMNS, labels, settings_of, variant_of

MOST_TILES = 20_000
"""Of a wall: some 5 MB that a browser takes in at once; of more trials, those with the best marks."""
MOST_POINTS = 2_000
"""Of a curve: no screen shows more."""


@dataclass(frozen=True)
class Card:
    """A sweep among others."""

    sweep: str
    trials: int
    done: int
    prompts: int
    engines: list[str]
    best: float | None
    """The judge's best mark."""
    cover: str | None
    """The trial with that mark."""
    finished_at: str
    """When the last of its trials was finished, in UTC (ISO 8601); empty where that cannot be read."""
    error: str | None = None
    """Why nothing can be told of it."""


@dataclass(frozen=True)
class Tile:
    """A trial on the wall."""

    id: str
    prompt: str
    to: list[str]
    """The prompts that an interpolation goes on to."""
    engine: str
    seed: int
    label: str
    """Engine, seed, and the settings in which trials of the sweep differ."""
    settings: int
    """Which of the wall's settings it has."""
    judge: float | None
    guide: float | None
    status: str
    pictured: bool


@dataclass(frozen=True)
class Wall:
    """All trials of a sweep, or as many of the best as a browser takes in."""

    sweep: str
    generation: str
    """Of the manifest: another one, when the sweep has been published anew."""
    trials: int
    settings: list[dict[str, str]]
    """Each combination of an engine's settings once."""
    tiles: list[Tile]


@dataclass(frozen=True)
class Curves:
    """What was measured at each iteration, thinned out where there are many; None where it was not."""

    iteration: list[int]
    guide: list[float | None]
    judge: list[float | None]


@dataclass(frozen=True)
class Detail:
    """One trial, whole."""

    id: str
    prompt: str
    """With those that a walk goes on to."""
    facts: dict[str, str]
    """What people ask of it, by name, as text."""
    settings: dict[str, str]
    warnings: list[str]
    error: str | None
    files: dict[str, str]
    """Names of its pictures and films by what they are: `best`, `final`, `film`, `svg`, `strokes`, `sheet`."""
    best_iteration: int | None
    snapshots: dict[int, str]
    """Names of the pictures kept on the way, by iteration."""
    curves: Curves


def cards(store: Store) -> list[Card]:
    """Every published sweep, the latest first; none where nothing is published. One that is damaged is told of, at the end."""
    try:
        return _cards(store, None) if any(True for _ in published(store)) else []
    except DreamsweepError:  # some of them cannot be read: each by itself, then
        found = [card for cards in ahead(lambda sweep: _cards_of(store, sweep), store.folders()) for card in cards]
        return sorted(found, key=lambda card: card.finished_at, reverse=True)


def _cards_of(store: Store, sweep: str) -> list[Card]:
    """One card, or none where nothing is published under that name."""
    try:
        return _cards(store, sweep) if store.exists(f"{sweep}/manifest.json") else []
    except DreamsweepError as error:
        return [Card(sweep, 0, 0, 0, [], None, None, "", str(error))]


def _cards(store: Store, sweep: str | None) -> list[Card]:
    rows = query(
        store,
        "SELECT sweep, count(*)::INTEGER AS trials, (count(*) FILTER (status = 'done'))::INTEGER AS done, "
        "count(DISTINCT prompt)::INTEGER AS prompts, list(DISTINCT engine ORDER BY engine) AS engines, max(judge_best) AS best, "
        "arg_max(trial_id, judge_best) FILTER (best_uri IS NOT NULL) AS cover, max(finished_at) AS finished_at "
        "FROM trials GROUP BY sweep ORDER BY finished_at DESC, sweep",
        sweep,
    ).to_pylist()
    return [Card(**{**row, "best": _number(row["best"]), "finished_at": row["finished_at"].isoformat()}) for row in rows]


def wall(store: Store, sweep: str) -> Wall:
    """The trials of a published sweep, those with the judge's best marks first. Raises StoreError where there is none of that name."""
    columns = ", ".join(
        ("trial_id", "prompt", "prompts_to", *COLUMNS, "judge_best", "guide_best", "status", "best_uri IS NOT NULL AS pictured")
    )
    order = "ORDER BY judge_best DESC NULLS LAST, trial_id"
    rows = query(store, f"SELECT {columns}, count(*) OVER () AS trials FROM trials {order} LIMIT {MOST_TILES}", sweep).to_pylist()
    told, settings = labels(rows), dict[str, int]()
    tiles = [_tile(row, told[variant_of(row)], settings.setdefault(variant_of(row)[1], len(settings))) for row in rows]
    each = {tile.settings: settings_of(row) for tile, row in zip(tiles, rows, strict=True)}
    return Wall(sweep, generation(store, sweep), rows[0]["trials"] if rows else 0, [each[i] for i in range(len(each))], tiles)


def generation(store: Store, sweep: str) -> str:
    """Which state of a sweep is published. Raises StoreError where none is."""
    return published_manifest(store, sweep).generation


def detail(store: Store, sweep: str, trial: str) -> Detail:
    """All about one trial. Raises StoreError where the sweep has none of that id."""
    if not trial.isalnum():
        raise StoreError(f"sweep {sweep!r} has no trial {trial!r}.")
    rows = query(store, f"SELECT * EXCLUDE (embedding) FROM trials WHERE trial_id = '{trial}'", sweep).to_pylist()
    if not rows:
        raise StoreError(f"sweep {sweep!r} has no trial {trial!r}.")
    row = rows[0]
    files = {name: row[f"{name}_uri"] for name in ("best", "final", "film", "svg", "strokes", "sheet")}
    kept = query(
        store,
        f"SELECT iteration, snapshot_uri FROM scores WHERE trial_id = '{trial}' AND snapshot_uri IS NOT NULL ORDER BY iteration",
        sweep,
    ).to_pylist()
    return Detail(
        id=trial,
        prompt=" → ".join([row["prompt"], *(row["prompts_to"] or ())]),
        facts=_facts(row),
        settings=settings_of(row),
        warnings=row["warnings"] or [],
        error=row["error"],
        files={name: _name(uri) for name, uri in files.items() if uri},
        best_iteration=row["best_iteration"],
        snapshots={one["iteration"]: _name(one["snapshot_uri"]) for one in kept},
        curves=_curves(store, sweep, trial),
    )


def _tile(row: dict[str, Any], label: str, settings: int) -> Tile:
    return Tile(
        id=row["trial_id"],
        prompt=row["prompt"],
        to=row["prompts_to"] or [],
        engine=row["engine"],
        seed=row["seed"],
        label=label,
        settings=settings,
        judge=_number(row["judge_best"]),
        guide=_number(row["guide_best"]),
        status=row["status"],
        pictured=row["pictured"],
    )


def _facts(row: dict[str, Any]) -> dict[str, str]:
    """What people ask first; what says nothing is left out."""
    marks = {who: f"{mark:.3f}" for who in ("judge", "guide") if (mark := _number(row[f"{who}_best"])) is not None}
    texts = {
        "also": _phrases(row["also"]),
        "without": _phrases(row["negatives"]),
    }
    made = f"{row['iterations_done']} of {row['iterations']}" if row["iterations_done"] < row["iterations"] else f"{row['iterations']}"
    told = {
        **marks,
        **texts,
        "engine": row["engine"],
        "seed": str(row["seed"]),
        "iterations": made,
        "best at": f"iteration {row['best_iteration']}" if row["best_iteration"] else "",
        "made in": f"{row['seconds']:.0f} s on {row['device']}" if row["seconds"] is not None else "",
        "guided by": row["guide_name"],
        "judged by": row["judge_name"],
        "weights": row["weights"],
        "status": row["status"],
    }
    return {name: text for name, text in told.items() if text}


def _phrases(phrases: Iterable[dict[str, Any]] | None) -> str:
    return ", ".join(one["text"] if one["weight"] == 1 else f"{one['text']} ({one['weight']:g})" for one in phrases or ())


def _curves(store: Store, sweep: str, trial: str) -> Curves:
    """Every nth iteration where there are too many, and all that the judge marked."""
    rows = query(
        store,
        f"SELECT iteration, guide, judge FROM scores WHERE trial_id = '{trial}' "
        f"QUALIFY iteration % greatest(1, max(iteration) OVER () // {MOST_POINTS}) = 0 OR judge IS NOT NULL ORDER BY iteration",
        sweep,
    )
    columns = {name: [_number(value) for value in rows[name].to_pylist()] for name in ("guide", "judge")}
    return Curves(rows["iteration"].to_pylist(), **columns)


def _number(value: float | None) -> float | None:
    """JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else value


def _name(uri: str) -> str:
    return unquote(uri.rpartition("/")[2])
