"""Preference pairs: two pictures of one prompt, of which a person preferred one.

From duels: who won, beside who lost; ties are left out. From picks: what somebody picked, beside each that the same person rejected of the
same prompt. As Parquet in two layouts: the columns
`prompt`, `chosen` and `rejected` of TRL's preference data sets with Hugging Face's images, and those of Pick-a-Pic (Kirstain et al., 2023),
which trainers of Diffusion-DPO read.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dreamsweep.errors import UserError
from dreamsweep.export.chosen import BATCH, Chosen, Row
from dreamsweep.export.containers import Container
from dreamsweep.export.datasets import caption
from dreamsweep.export.selection import PROMPT
from dreamsweep.report.views import quoted

CACHED = 128
"""Pictures kept in memory, as each stands in several pairs."""
ROWS_A_GROUP = 32
"""Pairs that are written together."""
FROM_PICKS = f"""
WITH picks AS (SELECT *, unnest(picked_by) AS reviewer FROM chosen), rejections AS (SELECT *, unnest(rejected_by) AS reviewer FROM chosen)
SELECT a.trial_id AS preferred, b.trial_id AS other, reviewer, 'pick' AS source
FROM picks AS a JOIN rejections AS b USING (reviewer)
WHERE {" AND ".join(f"a.{column} IS NOT DISTINCT FROM b.{column}" for column in PROMPT.split(", "))}
"""
"""Pairs of what one person picked and rejected, of the trials `chosen`."""
FROM_DUELS = "SELECT DISTINCT winner AS preferred, loser AS other, reviewer, 'duel' AS source FROM duels"
PAIRED = f"""
SELECT a.prompt, a.prompts_to, preferred, a.sweep AS preferred_sweep, a.engine AS preferred_engine, a.best_uri AS preferred_uri,
       other, b.sweep AS other_sweep, b.engine AS other_engine, b.best_uri AS other_uri, reviewer, source,
       count(*) OVER (PARTITION BY a.prompt, a.prompts_to) AS of_prompt
FROM ({FROM_PICKS} UNION ALL {FROM_DUELS}) AS pairs JOIN chosen AS a ON a.trial_id = preferred JOIN chosen AS b ON b.trial_id = other
ORDER BY a.prompt, preferred, other, reviewer, source
"""
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXT, _FLAG, _NUMBER = pa.string(), pa.bool_(), pa.float64()
PAIRS = pa.schema(
    [
        ("prompt", _TEXT),
        ("chosen", IMAGE),
        ("rejected", IMAGE),
        ("chosen_trial", _TEXT),
        ("rejected_trial", _TEXT),
        ("reviewer", _TEXT),
        ("source", _TEXT),
    ]
)
"""Columns as TRL names them; `datasets` reads the two pictures as images."""
PICKAPIC = pa.schema(
    [
        *(("are_different", _FLAG), ("best_image_uid", _TEXT), ("caption", _TEXT), ("has_label", _FLAG)),
        *(("image_0_uid", _TEXT), ("image_1_uid", _TEXT), ("jpg_0", pa.binary()), ("jpg_1", pa.binary())),
        *(("label_0", _NUMBER), ("label_1", _NUMBER), ("model_0", _TEXT), ("model_1", _TEXT)),
        *(("num_example_per_prompt", pa.int64()), ("ranking_id", pa.int64()), ("user_id", _TEXT)),
    ]
)
"""Columns of yuvalkirstain/pickapic_v2, less its addresses and times; `jpg_0` and `jpg_1` hold PNG, which the same readers open."""


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt, the preferred one first."""

    row: Row
    preferred: bytes
    other: bytes


def write_pairs(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes `prompt`, `chosen` and `rejected`; yields the number of pairs so far. Raises UserError where nothing makes a pair."""
    features = {name: {"_type": "Image"} if kind == IMAGE else {"dtype": "string", "_type": "Value"} for name, kind in _columns(PAIRS)}
    schema = PAIRS.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return _write(chosen, to, "pairs.parquet", schema, _plain)


def write_pickapic(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes the same in the columns of Pick-a-Pic; yields the number of pairs so far. Raises UserError where nothing makes a pair."""
    return _write(chosen, to, "pickapic.parquet", PICKAPIC, _of_pickapic)


def _write(chosen: Chosen, to: Container, name: str, schema: pa.Schema, convert: Callable[[int, Pair], dict[str, Any]]) -> Iterator[int]:
    number = 0
    with to.open(name) as out, pq.ParquetWriter(out, schema, compression="none", write_page_checksum=True) as writer:
        waiting = list[dict[str, Any]]()
        for number, pair in enumerate(_pairs(chosen), 1):
            waiting.append(convert(number, pair))
            if len(waiting) == ROWS_A_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                waiting = []
            yield number
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
    if not number:
        raise UserError(
            "the selection holds no pair: a pair is a decided duel, or a picture that somebody picked beside one that the same person "
            "rejected of the same prompt; judge some with dreamsweep review, and select both sides (no --marks picked)."
        )


def _pairs(chosen: Chosen) -> Iterator[Pair]:
    """Yields every pair whose two pictures can be read."""
    read = lru_cache(CACHED)(lambda sweep, trial_id, best_uri: chosen.picture({"sweep": sweep, "trial_id": trial_id, "best_uri": best_uri}))
    with duckdb.connect() as connection:
        for name, path in (("chosen", chosen.table), ("duels", chosen.duels)):
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({quoted(str(path))})")
        for batch in connection.execute(PAIRED).to_arrow_reader(BATCH):
            for row in batch.to_pylist():
                preferred, other = (read(row[f"{which}_sweep"], row[which], row[f"{which}_uri"]) for which in ("preferred", "other"))
                if preferred is not None and other is not None:
                    yield Pair(row, preferred, other)


def _plain(number: int, pair: Pair) -> dict[str, Any]:
    row = pair.row
    return {
        "prompt": caption(row),
        "chosen": {"bytes": pair.preferred, "path": f"{row['preferred']}.png"},
        "rejected": {"bytes": pair.other, "path": f"{row['other']}.png"},
        "chosen_trial": row["preferred"],
        "rejected_trial": row["other"],
        "reviewer": row["reviewer"],
        "source": row["source"],
    }


def _of_pickapic(number: int, pair: Pair) -> dict[str, Any]:
    """Returns a pair as Pick-a-Pic has it; which picture stands first depends on the ids, so that no reader learns the place."""
    row, is_first = pair.row, pair.row["preferred"] < pair.row["other"]
    sides = [(row["preferred"], pair.preferred, 1.0, row["preferred_engine"]), (row["other"], pair.other, 0.0, row["other_engine"])]
    ordered = sides if is_first else sides[::-1]
    columns = {
        f"{name}_{place}": value
        for place, side in enumerate(ordered)
        for name, value in zip(("uid", "jpg", "label", "model"), side, strict=True)
    }
    uids = {f"image_{place}_uid": columns.pop(f"uid_{place}") for place in (0, 1)}
    facts = {"are_different": True, "best_image_uid": row["preferred"], "caption": caption(row), "has_label": True}
    counts = {"num_example_per_prompt": row["of_prompt"], "ranking_id": number, "user_id": row["reviewer"]}
    return {**columns, **uids, **facts, **counts}


def _columns(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(column.name, column.type) for column in schema]
