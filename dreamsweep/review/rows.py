"""What the review page shows of sweeps and trials: plain values, asked of the tables, that JSON can hold."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from dreamsweep.errors import StoreError, UserError
from dreamsweep.report.labels import settings_of
from dreamsweep.report.query import Session, answer
from dreamsweep.report.ranks import FOREMOST, RANKED_TRIALS
from dreamsweep.results.manifest import read_manifest
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import ahead

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
    cover: str | None
    """The trial that stands out the most among those of its prompt."""
    finished_at: str
    """When the last of its trials was finished, in UTC (ISO 8601); empty where that cannot be read."""
    error: str | None = None
    """Why nothing can be told of it."""


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
    shares: dict[str, dict[str, float]]
    """Shares, 0 to 1, that further judges give to labels of the best picture, by judge and label, the highest first."""
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
    """Returns every published sweep, the latest first; none where nothing is published. Damaged ones come last, with the reason."""
    try:
        cards = answer(store, _cards)
    except UserError:  # nothing is published, or nothing of it can be read
        cards = []
    left = {*store.folders()} - {card.sweep for card in cards}  # each by itself: nothing of it is published, or some cannot be read
    cards += [card for cards in ahead(lambda sweep: _cards_of(store, sweep), sorted(left)) for card in cards]
    return sorted(cards, key=lambda card: card.finished_at, reverse=True)


def _cards_of(store: Store, sweep: str) -> list[Card]:
    """Returns one card, or none where nothing is published under that name."""
    try:
        return answer(store, _cards, sweep) if read_manifest(store, sweep) else []
    except UserError as error:
        return [Card(sweep, 0, 0, 0, [], None, "", str(error))]


def _cards(session: Session) -> list[Card]:
    rows = session.rows(
        "SELECT sweep, count(*)::INTEGER AS trials, (count(*) FILTER (status = 'done'))::INTEGER AS done, "
        "count(DISTINCT prompt)::INTEGER AS prompts, list(DISTINCT engine ORDER BY engine) AS engines, "
        f"first(trial_id ORDER BY {FOREMOST}) FILTER (best_uri IS NOT NULL) AS cover, max(finished_at) AS finished_at "
        f"FROM {RANKED_TRIALS} GROUP BY sweep ORDER BY finished_at DESC, sweep"
    )
    return [Card(**{**row, "finished_at": row["finished_at"].isoformat()}) for row in rows]


def detail(store: Store, sweep: str, trial: str) -> Detail:
    """Returns all about one trial. Raises StoreError where the sweep has none of that id."""
    return answer(store, lambda session: _detail(session, sweep, trial), sweep)


def _detail(session: Session, sweep: str, trial: str) -> Detail:
    rows = session.rows(f"SELECT * FROM {RANKED_TRIALS} WHERE trial_id = '{trial}'") if trial.isalnum() else []
    if not rows:
        raise StoreError(f"sweep {sweep!r} has no trial {trial!r}.")
    row = rows[0]
    files = {name: row[f"{name}_uri"] for name in ("best", "final", "film", "svg", "strokes", "sheet")}
    points = _points(session, trial)
    return Detail(
        id=trial,
        prompt=" → ".join([row["prompt"], *(row["prompts_to"] or ())]),
        facts={**_facts(row), **_verdicts(session, trial)},
        shares=_shares(session, trial),
        settings={name: value for name, value in settings_of(row).items() if value != str(None)},
        warnings=row["warnings"] or [],
        error=row["error"],
        files={name: _name(uri) for name, uri in files.items() if uri},
        best_iteration=row["best_iteration"],
        snapshots={point["iteration"]: _name(point["snapshot_uri"]) for point in points if point["snapshot_uri"]},
        curves=Curves(
            iteration=[point["iteration"] for point in points],
            guide=[_number(point["guide"]) for point in points],
            judge=[_number(point["judge"]) for point in points],
        ),
    )


def _facts(row: dict[str, Any]) -> dict[str, str]:
    """Returns what people ask first; what says nothing is left out."""
    marks = {who: f"{mark:.3f}" for who in ("judge", "guide") if (mark := _number(row[f"{who}_best"])) is not None}
    iterations = (
        f"{row['iterations_done']} of {row['iterations']}" if row["iterations_done"] < row["iterations"] else f"{row['iterations']}"
    )
    facts = {
        **marks,
        "rank": f"{row['rank']} of {row['rivals']} of this prompt, by {row['ranked_by']}" if (row["rivals"] or 0) > 1 else "",
        "also": _phrases(row["also"]),
        "without": _phrases(row["negatives"]),
        "engine": row["engine"],
        "seed": str(row["seed"]),
        "iterations": iterations,
        "best at": f"iteration {row['best_iteration']}" if row["best_iteration"] else "",
        "made in": f"{row['seconds']:.0f} s on {row['device']}" if row["seconds"] is not None else "",
        "guided by": row["guide_name"],
        "judged by": row["judge_name"],
        "weights": row["weights"],
        "status": row["status"],
    }
    return {name: text for name, text in facts.items() if text}


def _verdicts(session: Session, trial: str) -> dict[str, str]:
    """Returns what further judges say of the best picture, by their names."""
    rows = session.rows(
        "SELECT judge, judgements.score AS score, reason, error, rank, ranked.trials AS rivals "
        "FROM judgements LEFT JOIN (FROM ranks WHERE NOT chose_best) AS ranked USING (sweep, trial_id, judge, version, picture) "
        f"WHERE trial_id = '{trial}' AND picture = '{keys.BEST}' "
        "QUALIFY row_number() OVER (PARTITION BY judge ORDER BY rank IS NULL, scored_at DESC) = 1 ORDER BY judge"
    )
    return {row["judge"]: _verdict(row) for row in rows}


def _shares(session: Session, trial: str) -> dict[str, dict[str, float]]:
    """Returns the details of further judges that are shares, by judge."""
    rows = session.rows(
        f"SELECT judge, details FROM judgements WHERE trial_id = '{trial}' AND picture = '{keys.BEST}' AND details IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY judge ORDER BY scored_at DESC) = 1 ORDER BY judge"
    )
    details = {row["judge"]: sorted(row["details"], key=lambda detail: -detail[1]) for row in rows}
    return {judge: dict(pairs) for judge, pairs in details.items() if pairs and all(0 <= share <= 1 for _, share in pairs)}


def _verdict(row: dict[str, Any]) -> str:
    if row["error"]:
        return f"failed: {row['error']}"
    parts = [f"{row['score']:.3f}"] if _number(row["score"]) is not None else []
    parts += [f"rank {row['rank']} of {row['rivals']} of this prompt"] * ((row["rivals"] or 0) > 1)
    return "; ".join([", ".join(parts), row["reason"] or ""]).strip("; ")


def _phrases(phrases: Iterable[dict[str, Any]] | None) -> str:
    return ", ".join(phrase["text"] if phrase["weight"] == 1 else f"{phrase['text']} ({phrase['weight']:g})" for phrase in phrases or ())


def _points(session: Session, trial: str) -> list[dict[str, Any]]:
    """Returns every nth iteration where there are too many, and all that the judge marked or of which a picture was kept."""
    return session.rows(
        f"SELECT iteration, guide, judge, snapshot_uri FROM scores WHERE trial_id = '{trial}' "
        f"QUALIFY iteration % greatest(1, max(iteration) OVER () // {MOST_POINTS}) = 0 OR judge IS NOT NULL OR snapshot_uri IS NOT NULL "
        "ORDER BY iteration"
    )


def _number(value: float | None) -> float | None:
    """Returns None for NaN, which JSON lacks."""
    return None if value is None or not math.isfinite(value) else value


def _name(uri: str) -> str:
    return unquote(uri.rpartition("/")[2])
