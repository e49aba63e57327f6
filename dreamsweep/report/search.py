"""Search for pictures by what they show: exact cosine similarity of their stored embeddings to a text, a picture, or both.

DuckDB streams the table of embeddings and keeps the nearest rows alone, so memory does not grow with the number of pictures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast, get_args

import pyarrow as pa
from PIL import Image

from dreamsweep.errors import QueryError, UserError
from dreamsweep.report.query import Session, answer
from dreamsweep.report.views import quoted
from dreamsweep.spec import PerceptorName
from dreamsweep.store import Store
from dreamsweep.text import counted, did_you_mean

MOST_MATCHES = 1_000
"""Pictures that one search returns at most."""
ROWS_A_MATCH = 4
"""Rows read for each picture that is wanted, at first: a trial may have several, of which the nearest counts."""
MATCHES = pa.schema(
    [
        ("rank", pa.int64()),
        ("similarity", pa.float64()),
        ("sweep", pa.string()),
        ("trial_id", pa.string()),
        ("prompt", pa.string()),
        ("engine", pa.string()),
        ("seed", pa.int64()),
        ("iteration", pa.int32()),
        ("picture_uri", pa.string()),
    ]
)
"""Columns of what a search returns."""
_HITS = pa.schema([MATCHES.field(name) for name in ("rank", "similarity", "sweep", "trial_id", "iteration")])
_COUNTS = "SELECT perceptor, count(*) AS pictures FROM embeddings GROUP BY perceptor ORDER BY pictures DESC, perceptor"
_WITH_TRIALS = """
SELECT rank, similarity, sweep, trial_id, array_to_string(list_prepend(prompt, coalesce(prompts_to, [])), ' → ') AS prompt,
       engine, seed, iteration,
       CASE WHEN iteration IS NOT DISTINCT FROM best_iteration THEN best_uri
            WHEN iteration = iterations_done THEN final_uri END AS picture_uri
FROM nearest JOIN trials USING (sweep, trial_id) ORDER BY rank
"""
_SNAPSHOTS = "SELECT rank, snapshot_uri FROM nearest JOIN scores USING (sweep, trial_id, iteration)"


@dataclass(frozen=True)
class Matches:
    """Pictures nearest to what was searched for, one of each trial, the nearest first."""

    table: pa.Table
    """A row for each picture, in the columns of `MATCHES`."""
    title: str
    """Text or picture that was searched for, in words."""
    perceptor: str
    """Perceptor whose embeddings were compared."""
    pictures: int
    """Number of embeddings that were compared."""
    notes: tuple[str, ...]
    """What the perceptor did not read of the text."""


def find(
    store: Store,
    text: str | None = None,
    like: Image.Image | None = None,
    *,
    sweep: str | None = None,
    perceptor: str | None = None,
    limit: int = 20,
) -> Matches:
    """Returns the pictures nearest to a text or a picture (RGB), over all sweeps of a store or in one; to both, by the mean similarity.

    Only pictures with an embedding of that perceptor are compared, by default of the one that most pictures have. A trial stands there
    once, with its nearest picture, also where several sweeps hold it. Raises QueryError where nothing is published or no picture has
    such an embedding, UserError where there is nothing to search for, WeightsError without the perceptor's weights.
    """
    if not (text or "").strip() and like is None:
        raise UserError('find: there is nothing to search for; give a text, as in "a blue cat with a smile", or a picture to be like.')
    if not 1 <= limit <= MOST_MATCHES:
        raise UserError(f"find: limit {limit} is out of range; ask for 1 to {MOST_MATCHES:,} pictures.")
    return answer(store, partial(_find, text=text, like=like, perceptor=perceptor, limit=limit), sweep)


def embedded_pictures(session: Session) -> dict[str, int]:
    """Returns how many pictures have an embedding of each perceptor, the most first."""
    return {row["perceptor"]: row["pictures"] for row in session.rows(_COUNTS)}


def nearest(session: Session, vector: Sequence[float], perceptor: str, limit: int) -> pa.Table:
    """Returns the pictures nearest to a vector, one of each trial, in the columns of `MATCHES`; empty where no embedding has its length.

    The similarity is the cosine times the norm of `vector`: for the mean of unit vectors, the mean of their cosines.
    """
    hits = _hits(session, vector, perceptor, limit)
    session.connection.register("nearest", hits)
    rows = session.rows(_WITH_TRIALS)
    if any(row["picture_uri"] is None for row in rows):
        snapshots = {row["rank"]: row["snapshot_uri"] for row in session.rows(_SNAPSHOTS)}
        rows = [{**row, "picture_uri": row["picture_uri"] or snapshots.get(row["rank"])} for row in rows]
    return pa.Table.from_pylist(rows, schema=MATCHES)


def _hits(session: Session, vector: Sequence[float], perceptor: str, limit: int) -> pa.Table:
    """Returns rank, similarity, sweep, trial and iteration of the nearest picture of each trial."""
    norm, rows = math.hypot(*vector), ROWS_A_MATCH * limit
    while True:
        hits = session.rows(_statement(vector, perceptor, rows))
        by_trial: dict[str, dict[str, Any]] = {}
        for hit in hits:
            if hit["similarity"] > -1:  # DuckDB's word for a vector without a direction: zeros, or not a number
                by_trial.setdefault(hit["trial_id"], {**hit, "similarity": norm * hit["similarity"]})
        if len(by_trial) >= limit or len(hits) < rows:
            ranked = [{**hit, "rank": rank} for rank, hit in enumerate(list(by_trial.values())[:limit], 1)]
            return pa.Table.from_pylist(ranked, schema=_HITS)
        rows *= 8


def _statement(vector: Sequence[float], perceptor: str, rows: int) -> str:
    values = ", ".join(repr(float(value)) for value in vector)
    return f"""
SELECT sweep, trial_id, iteration, list_cosine_similarity(vector, [{values}]::FLOAT[])::DOUBLE AS similarity
FROM embeddings WHERE perceptor = {quoted(perceptor)} AND len(vector) = {len(vector)}
ORDER BY similarity DESC, sweep, trial_id, iteration LIMIT {rows}"""


def _find(session: Session, text: str | None, like: Image.Image | None, perceptor: str | None, limit: int) -> Matches:
    counts = embedded_pictures(session)
    name = _chosen(session.store, counts, perceptor)
    words = (text or "").strip()
    vector = _embedded(words, like, name)
    table = nearest(session, vector, name, limit)
    if not table.num_rows:
        raise QueryError(
            f"store {session.store.uri!r}: no embedding of {name!r} has {len(vector)} numbers, as its weights make them; "
            "the pictures were scored with other weights."
        )
    title = " and ".join([*([words] if words else []), *(["like a picture"] if like is not None else [])])
    return Matches(table, title, name, counts[name], _unread(words, name))


def _chosen(store: Store, counts: dict[str, int], wanted: str | None) -> PerceptorName:
    """Returns the perceptor to compare by. Raises QueryError where no picture has an embedding of it."""
    usable = {name: count for name, count in counts.items() if name in get_args(PerceptorName)}
    if wanted is not None and wanted not in get_args(PerceptorName):
        similar = did_you_mean(wanted, get_args(PerceptorName))
        raise QueryError(f"find: there is no perceptor {wanted!r}{similar}{'' if similar.endswith('?') else '.'}")
    if not usable:
        other = f" (only those of {', '.join(counts)}, which embed no texts)" if counts else ""
        raise QueryError(
            f"store {store.uri!r}: no picture has an embedding of a perceptor{other}; the judge of a sweep leaves them, "
            "so run one with a perceptor as its judge."
        )
    if wanted is not None and wanted not in usable:
        known = ", ".join(f"{name} ({counted(count, 'picture')})" for name, count in usable.items())
        raise QueryError(f"store {store.uri!r}: no picture has an embedding of {wanted!r}; there are those of {known}.")
    return cast(PerceptorName, wanted or next(iter(usable)))


def _embedded(text: str, picture: Image.Image | None, perceptor: PerceptorName) -> list[float]:
    """Returns the unit embedding of a text or of a picture's largest square in the middle, or the mean of both."""
    import torch

    from dreamsweep.compute.images import square_pixels
    from dreamsweep.guidance.targets import shrink
    from dreamsweep.perceptors import load_perceptor

    network = load_perceptor(perceptor, "cpu")
    parts = [network.embed_texts([text])] if text else []
    if picture is not None:
        pixels = square_pixels(picture.convert("RGB"))[None]
        with torch.no_grad():
            parts.append(network.embed_pictures(shrink(pixels, network.resolution)))
    vector: list[float] = torch.cat(parts).mean(0).tolist()
    return vector


def _unread(text: str, perceptor: PerceptorName) -> tuple[str, ...]:
    from dreamsweep.perceptors import text_reader

    return tuple(text_reader(perceptor)(text)) if text else ()
