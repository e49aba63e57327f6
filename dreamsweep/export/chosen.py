"""The rows of a selection and their pictures, a few at a time: memory does not grow with their number."""

import json
import math
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dreamsweep.errors import StoreError, UserError
from dreamsweep.export.selection import ANYBODY, Selection, trials_of
from dreamsweep.report.labels import named_settings
from dreamsweep.report.marks import HOLDING, HOLDING_DUELS
from dreamsweep.report.query import Session, answer
from dreamsweep.results.manifest import published_manifest
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import ahead

BATCH = 256
"""Rows that are held at a time."""
SLUG = 120
"""Maximum length in bytes of what a file's name has of its prompt."""
MARKS = f"""
SELECT sweep, trial_id,
       list(coalesce(rated_by, '') ORDER BY rated_by) FILTER (kind = 'pick' AND value > 0) AS picked_by,
       list(coalesce(rated_by, '') ORDER BY rated_by) FILTER (kind = 'pick' AND value < 0) AS rejected_by,
       avg(value) FILTER (kind = 'stars' AND value > 0) AS stars,
       list(DISTINCT text ORDER BY text) FILTER (kind = 'tag' AND value > 0) AS tags,
       list(text ORDER BY rated_by, text) FILTER (kind = 'note' AND text <> '') AS notes
FROM ({HOLDING}) GROUP BY ALL
"""
FURTHER = """
SELECT sweep, trial_id, map_from_entries(list({'k': judge, 'v': score} ORDER BY judge)) AS further_scores
FROM ranks WHERE NOT chose_best GROUP BY ALL
"""
DECIDED = f"""
SELECT if(winner = 'left', left_trial_id, right_trial_id) AS winner, if(winner = 'left', right_trial_id, left_trial_id) AS loser,
       coalesce(rated_by, '') AS reviewer
FROM ({HOLDING_DUELS}) WHERE winner IN ('left', 'right')
"""
Row = Mapping[str, Any]


@dataclass
class Chosen:
    """Trials that a selection holds, in a file of this machine while they are taken away."""

    store: Store
    table: Path
    """Parquet: every column of `trials`, standings, further judges' scores, and people's marks."""
    duels: Path
    """Parquet: `winner`, `loser` and `reviewer` of each duel between two trials of the store that was decided."""
    trials: int
    missing: list[str] = field(default_factory=list)
    """Ids of the trials whose picture could not be read; they are left out."""

    def rows(self) -> Iterator[Row]:
        """Yields a row for each trial, the best of each prompt first."""
        with pq.ParquetFile(self.table) as file:
            for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
                yield from batch.to_pylist()

    def pictures(self) -> Iterator[tuple[Row, bytes | None]]:
        """Yields each row with its best picture as PNG; None where there is none."""
        yield from ahead(lambda row: (row, self.picture(row)), self.rows())

    def picture(self, row: Row) -> bytes | None:
        """Reads a trial's best picture; None, and a note in `missing`, where it has none or it was removed."""
        data = None
        if row["best_uri"]:
            try:
                data = self.store.get(keys.picture(row["sweep"], row["trial_id"], keys.BEST))
            except StoreError:  # of one picture that is damaged or may not be read
                data = None
        if data is None:
            self.missing.append(row["trial_id"])
        return data

    def check(self) -> None:
        """Raises UserError where all pictures are missing."""
        if self.trials and len({*self.missing}) == self.trials:
            raise UserError(f"store {self.store.uri!r}: no picture of the selection can be read; run its sweep again to make them.")


@contextmanager
def chosen(store: Store, selection: Selection) -> Iterator[Chosen]:
    """Selects trials of one state of the store, and keeps their rows in a temporary file as long as the block lasts.

    Raises UserError where nothing is selected, StoreError where a sweep is not published.
    """
    names = [published_manifest(store, sweep).sweep for sweep in selection.sweeps]
    with tempfile.TemporaryDirectory(prefix="dreamsweep-export-") as folder:
        path, duels = Path(folder) / "trials.parquet", Path(folder) / "duels.parquet"
        number = answer(store, lambda session: _write(session, selection, path, duels), names[0] if len(names) == 1 else None)
        if not number:
            raise UserError(_nothing(store, selection))
        yield Chosen(store, path, duels, number)


def _write(session: Session, selection: Selection, path: Path, duels: Path) -> int:
    """Writes the rows of a selection, and the duels; returns the number of trials."""
    pq.write_table(session.table(DECIDED), duels)
    statement = (
        f"SELECT * FROM ({trials_of(selection, session)}) "
        f"LEFT JOIN ({FURTHER}) USING (sweep, trial_id) LEFT JOIN ({MARKS}) USING (sweep, trial_id) "
        "ORDER BY rank NULLS LAST, z_score DESC NULLS LAST, judge_best DESC NULLS LAST, trial_id"
    )
    number = 0
    reader = session.batches(statement, BATCH)
    with pq.ParquetWriter(path, reader.schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in reader:
            writer.write_table(pa.Table.from_batches([batch]))
            number += batch.num_rows
    return number


def record(row: Row) -> dict[str, Any]:
    """Returns what goes with a picture: plain values that JSON holds, without empty ones."""
    scores = {row["judge_name"]: row["judge_best"], **dict(row["further_scores"] or ())}
    values = {
        "sweep": row["sweep"],
        "trial_id": row["trial_id"],
        "prompt": row["prompt"],
        "prompts_to": row["prompts_to"],
        "also": row["also"],
        "negatives": row["negatives"],
        "engine": row["engine"],
        "seed": row["seed"],
        "settings": named_settings(row),
        "iterations": row["iterations_done"],
        "best_iteration": row["best_iteration"],
        "guide": row["guide_name"],
        "guide_score": _number(row["guide_best"]),
        "judge": row["judge_name"],
        "judge_score": _number(row["judge_best"]),
        "scores": {judge: score for judge, score in scores.items() if _number(score) is not None},
        "rank": row["rank"],
        "of": row["rivals"],
        "z_score": _number(row["z_score"]),
        **{name: row[name] for name in ("picked_by", "rejected_by", "stars", "tags", "notes")},
    }
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def json_line(values: Mapping[str, Any]) -> bytes:
    """Returns a mapping as one line of JSON, in UTF-8."""
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def readable_name(row: Row) -> str:
    """Returns a file's name for a trial, without its ending: words of the prompt, and the id, which no other trial has."""
    words = re.sub(r"[\W_]+", "-", row["prompt"].lower()).strip("-").encode()[:SLUG].decode(errors="ignore").rstrip("-")
    return f"{words}-{row['trial_id']}".lstrip("-")


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _nothing(store: Store, selection: Selection) -> str:
    """Returns the sentence for a selection that holds nothing: every condition, and a cure."""
    wanted = [f"{name} {value!r}" for name, value in selection.model_dump(exclude_defaults=True, exclude={"sweeps", "by"}).items()]
    wanted += [f"by {selection.by!r}"] if selection.by != ANYBODY else []
    where = f"sweep {', '.join(map(repr, selection.sweeps))}" if selection.sweeps else f"store {store.uri!r}"
    cure = "leave a condition out, or look at the page: " + shlex.join(["dreamsweep", "review", "--store", store.uri])
    return f"{where}: no trial is selected by {', '.join(wanted) or 'all of it'}; {cure}."
