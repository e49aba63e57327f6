"""Near-duplicates on a wall: trials of a prompt whose pictures their judge embeds at nearly the same place."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from dreamsweep.report.catalogue import Rows
from dreamsweep.report.query import Session, answer
from dreamsweep.review.catalogues import Kept
from dreamsweep.store import Store

MOST = 20_000
"""Trials that are compared: a wall of more is not stacked."""
BATCH = 8_192
EMBEDDINGS = """
SELECT number, perceptor, vector FROM embeddings JOIN _shown USING (sweep, trial_id)
QUALIFY row_number() OVER (PARTITION BY number ORDER BY perceptor, iteration DESC) = 1 ORDER BY number
"""


def tops(store: Store, kept: Kept, rows: Rows, similarity: float) -> Int[np.ndarray, " n"]:
    """Returns for each row the place of the row on whose stack it lies: the first one, of the same prompt and perceptor, whose picture's
    embedding has at least this cosine with its own; its own place where there is none. A row on a stack has none on it.

    Raises QueryError where the embeddings cannot be read.
    """
    place = np.arange(len(rows))
    vectors = answer(store, lambda session: _vectors(session, kept, rows), kept.sweeps)
    groups: dict[tuple[int, str], list[int]] = {}
    for number, (perceptor, vector) in vectors.items():
        groups.setdefault((int(kept.catalogue.prompt[rows[number]]), f"{perceptor} {len(vector)}"), []).append(number)
    for numbers in groups.values():
        members = np.array(numbers)
        place[members] = members[stacks(np.stack([vectors[number][1] for number in numbers]), similarity)]
    return place


def stacks(vectors: Float[np.ndarray, "n d"], similarity: float) -> Int[np.ndarray, " n"]:
    """Returns for each unit vector the number of the first one that has at least this cosine with it, and none before itself."""
    first = np.full(len(vectors), -1)
    for number, vector in enumerate(vectors):
        if first[number] < 0:
            near = (vectors[number:] @ vector >= similarity) & (first[number:] < 0)
            near[0] = True
            first[number:][near] = number
    return first


def _vectors(session: Session, kept: Kept, rows: Rows) -> dict[int, tuple[str, Float[np.ndarray, " d"]]]:
    """Returns the perceptor and the embedding of each row that has one, by its place among the rows."""
    catalogue = kept.catalogue
    shown = {
        "number": np.arange(len(rows)),
        "sweep": pa.array([catalogue.sweep_names[code] for code in catalogue.sweep[rows]], pa.string()),
        "trial_id": pa.array([catalogue.trial_id(row) for row in rows.tolist()], pa.string()),
    }
    session.connection.register("_shown", pa.table(shown))
    return dict(_read(session))


def _read(session: Session) -> Iterator[tuple[int, tuple[str, Float[np.ndarray, " d"]]]]:
    for batch in session.batches(EMBEDDINGS, BATCH):
        numbers, perceptors, vectors = (batch[name] for name in ("number", "perceptor", "vector"))
        for number, perceptor, vector in zip(numbers.to_pylist(), perceptors.to_pylist(), vectors, strict=True):
            yield number, (perceptor, vector.values.to_numpy())
