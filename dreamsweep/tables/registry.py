"""Registry of tables: one schema each, and the lifetime that says who writes it and when.

    generated   staged by shards with their pictures, gathered, and named by the manifest
    judged      written after the fact by a judge's run, a file a run; what was generated stays as it is
    appended    left by people, one small object a row, so that no two writers conflict; folded into Parquet later
    derived     computed from other tables whenever somebody asks; nothing is stored

A new table is a line here and a schema; `query` then has a view of it, empty where nothing was written yet.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from dreamsweep.tables.schemas import DUELS, EMBEDDINGS, FILES, GAPS, JUDGEMENTS, RANKS, RATINGS, SCORES, SET_SCORES, STANDINGS, TRIALS

Lifetime = Literal["generated", "judged", "appended", "derived"]


@dataclass(frozen=True)
class Table:
    """A table of a sweep."""

    name: str
    schema: pa.Schema
    lifetime: Lifetime
    rows_a_group: int = 8_192
    """Rows of a row group: what a gather holds of the table at a time."""
    unique_by: tuple[str, ...] = ()
    """Columns that tell one row of a judged table from another: of rows that agree in them, the latest holds."""
    derived_from: tuple[str, ...] = ()
    """Tables that a derived one is computed from."""


TABLES = {
    table.name: table
    for table in (
        Table("trials", TRIALS, "generated"),
        Table("scores", SCORES, "generated", rows_a_group=262_144),
        Table("embeddings", EMBEDDINGS, "generated"),
        Table("files", FILES, "generated", rows_a_group=65_536),
        Table("judgements", JUDGEMENTS, "judged", unique_by=("sweep", "trial_id", "picture", "judge", "version")),
        Table("set_scores", SET_SCORES, "judged", unique_by=("sweep", "prompt", "engine", "setting", "judge", "version", "metric")),
        Table("ratings", RATINGS, "appended"),
        Table("duels", DUELS, "appended"),
        Table("ranks", RANKS, "derived", derived_from=("trials", "judgements")),
        Table("standings", STANDINGS, "derived", derived_from=("trials", "judgements", "ranks")),
        Table("gaps", GAPS, "derived", derived_from=("trials", "judgements", "ranks")),
    )
}
"""Every table by its name."""
GENERATED = {name: table for name, table in TABLES.items() if table.lifetime == "generated"}
"""Tables that a manifest names."""
APPENDED = {name: table for name, table in TABLES.items() if table.lifetime == "appended"}
"""Tables that people add to."""
