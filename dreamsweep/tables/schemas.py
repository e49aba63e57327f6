"""Schemas of a sweep's tables (docs/query.md describes them; `registry` lists the tables, `rows` fills them)."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from dreamsweep.spec import ENGINES
from dreamsweep.store.keys import PICTURE_ADDRESS

ADDRESS_SUFFIX = "_uri"
"""Ends the names of columns that hold an address: relative to the sweep's folder in tables, absolute in the views over them."""
ABSOLUTE = rf"^.*/({PICTURE_ADDRESS})$"
"""Matches an absolute address of a picture; its group is the relative one."""
PLANNED_PICTURE = r"^(?:.*://.*/)?(planned/[0-9a-f]+\.image)$"
"""Matches the address of a picture that a remote trial started from; its group is the one relative to the sweep's folder."""


def arrow_type(annotation: Any) -> pa.DataType:
    """Returns the Arrow type of a spec's field: structs for models, lists for tuples, plain types for the rest. TypeError for others."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return arrow_type(parts[0])
    if origin is Literal:
        return arrow_type(type(parts[0]))
    if origin in (Union, types.UnionType):
        (only,) = (part for part in parts if part is not type(None))
        return arrow_type(only)
    if origin is tuple:
        return pa.list_(arrow_type(parts[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct([pa.field(name, arrow_type(info.annotation)) for name, info in annotation.model_fields.items()])
    plain = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    if annotation not in plain:
        raise TypeError(f"no column can hold a setting of type {annotation}; name its Arrow type here")
    return plain[annotation]


def engine_column(engine: str) -> str:
    """Returns the column of an engine's settings: its name, spelled so that SQL needs no quotes."""
    return engine.replace("-", "_")


def _column(name: str, kind: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": description})


_PHRASES = pa.list_(pa.struct([pa.field("text", pa.string()), pa.field("weight", pa.float64())]))
_F32, _F64, _I32, _I64, _TEXT = pa.float32(), pa.float64(), pa.int32(), pa.int64(), pa.string()

TRIALS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "hash of the trial's spec, 16 hexadecimal digits"),
        _column("shard_id", _TEXT, "the shard that it was generated in"),
        _column("prompt", _TEXT, "the prompt's text"),
        _column("weight", _F64, "how strongly the text steers"),
        _column("also", _PHRASES, "further texts that steer along"),
        _column("negatives", _PHRASES, "texts that it is kept away from"),
        _column("prompts_to", pa.list_(_TEXT), "texts that an interpolation goes on to"),
        _column("engine", _TEXT, "the engine's name; its settings are in the column of that name (`_` for `-`)"),
        *(
            _column(engine_column(name), arrow_type(spec), f"settings of the {name} engine; null for others")
            for name, spec in ENGINES.items()
        ),
        _column("optimizer", _TEXT, "the optimizer's name; null for engines without"),
        _column("learning_rate", _F64, "the learning rate that it started with"),
        _column("seed", pa.int64(), "the seed"),
        _column("iterations", _I32, "iterations asked for"),
        _column("iterations_done", _I32, "iterations made; fewer when it diverged or stopped early"),
        _column("guide_name", _TEXT, "the perceptor that guided, or several with their weights"),
        _column("judge_name", _TEXT, "the perceptor that scored"),
        _column("weights", _TEXT, "`starter` or `published`"),
        _column("precision", _TEXT, "of the networks' arithmetic: `default` or `bfloat16`"),
        _column("loss_first", _F32, "loss of the first iteration"),
        _column("loss_last", _F32, "loss of the last iteration"),
        _column("guide_first", _F32, "similarity by the guide, first iteration"),
        _column("guide_best", _F32, "similarity by the guide, best iteration"),
        _column("guide_last", _F32, "similarity by the guide, last iteration"),
        _column("judge_first", _F32, "the judge's first score, a cosine similarity"),
        _column("judge_best", _F32, "the judge's best score"),
        _column("judge_last", _F32, "the judge's last score"),
        _column("best_iteration", _I32, "the iteration with the judge's best score"),
        _column("switches", pa.list_(_I32), "of an interpolation: the frames at which the guide finds another prompt the nearest"),
        _column("final_uri", _TEXT, "the last picture, PNG"),
        _column("best_uri", _TEXT, "the picture with the best score, PNG"),
        _column("film_uri", _TEXT, "the snapshots as a film, in the first of the formats asked for"),
        _column("svg_uri", _TEXT, "the strokes, SVG; null for other engines"),
        _column(
            "artefacts",
            pa.map_(_TEXT, _TEXT),
            "name and address of each file that the engine left beside its pictures",
        ),
        _column("strokes_uri", _TEXT, "a film of the strokes being drawn one after the other; null for other engines"),
        _column("sheet_uri", _TEXT, "frames of a walk side by side, or samples in a grid, PNG; null for engines with one picture"),
        _column("picture_sha256", _TEXT, "SHA-256 of the last picture's pixels"),
        _column("seconds", _F64, "its even share of its shard's time, seconds"),
        _column("iterations_per_second", _F64, "iterations made, by those seconds"),
        _column("device", _TEXT, "what it was made on"),
        _column("trials_at_once", _I32, "trials generated together: the shard's, or fewer where memory was too small"),
        _column("versions", pa.struct([(n, _TEXT) for n in ("dreamsweep", "python", "torch", "platform")]), "of what made it"),
        _column("weights_sha256", pa.map_(_TEXT, _TEXT), "name and SHA-256 of each weight file and learned word used"),
        _column("warnings", pa.list_(_TEXT), "what the perceptors could not read of the prompt, and whether the best picture is blank"),
        _column("status", _TEXT, "`done`, `diverged` or `failed`"),
        _column("error", _TEXT, "why it diverged or failed"),
        _column("finished_at", pa.timestamp("us", "UTC"), "when it was finished"),
    ]
)
SCORES = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("iteration", _I32, "from 1"),
        _column("loss", _F32, "what the optimizer descended; NaN where it diverged"),
        _column("guide", _F32, "similarity by the guide: mean cosine of its cutouts to the prompt"),
        _column("judge", _F32, "similarity by the judge of the whole picture; null where it was not scored"),
        _column("guide_each", pa.list_(_F32), "similarity by the guide to each prompt that an interpolation passes, in order; else null"),
        _column("learning_rate", _F32, "the optimizer's learning rate; null for engines without"),
        _column("elapsed", _F32, "seconds since the shard started, pauses left out"),
        _column("snapshot_uri", _TEXT, "the picture kept of this iteration, PNG; null where none was"),
    ]
)


EMBEDDINGS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("iteration", _I32, "the iteration whose picture it is: the best one's"),
        _column("perceptor", _TEXT, "the perceptor whose embedding it is"),
        _column("vector", pa.list_(_F32), "unit embedding of the picture"),
    ]
)
FILES = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("file_uri", _TEXT, "a picture, film or other file that the trial left when it was finished"),
        _column("size", _I64, "its size in bytes"),
        _column("sha256", _TEXT, "its SHA-256, 64 hexadecimal digits; `dreamsweep verify` compares it"),
    ]
)
JUDGEMENTS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("picture", _TEXT, "name of the picture's file in the trial's folder"),
        _column("iteration", _I32, "iteration of that picture; null where it is not known"),
        _column("judge", _TEXT, "the judge's name"),
        _column("version", _TEXT, "which version of the judge, such as the SHA-256 of its weights; null where it has none"),
        _column("prompt", _TEXT, "the text that the picture was compared with; null for judges that read none"),
        _column("score", _F64, "the score; comparable within one prompt, judge and version only; null where the judge has none"),
        _column("reason", _TEXT, "why, in words; null for judges that give none"),
        _column("details", pa.map_(_TEXT, _F64), "further figures by name, such as the share of each of the likeliest labels"),
        _column("error", _TEXT, "why the picture could not be scored; it is tried again when the judge runs again"),
        _column("scored_at", pa.timestamp("us", "UTC"), "when it was scored"),
    ]
)
SET_SCORES = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("prompt", _TEXT, "the prompt whose pictures they are, as contact sheets name it; null: all prompts"),
        _column("engine", _TEXT, "the engine whose pictures they are; null: all engines"),
        _column("setting", _TEXT, "the engine with its differing settings, as contact sheets name it; null: all of its settings"),
        _column("judge", _TEXT, "the judge's name, such as `diversity` or `quality:photos`"),
        _column("perceptor", _TEXT, "the network on whose features it is computed"),
        _column("version", _TEXT, "SHA-256 of that network's weights, and of the real pictures"),
        _column("metric", _TEXT, "what is measured, such as `vendi_score`"),
        _column("value", _F64, "the value; comparable within one metric, perceptor and version; null where there are too few pictures"),
        _column("pictures", _I64, "number of generated pictures"),
        _column("real_pictures", _I64, "number of real pictures; null where none are compared"),
        _column("unread", _I64, "pictures of the sweep that could not be read and are left out; the judge tries them again"),
        _column("grid_uri", _TEXT, "the pictures in a square grid, PNG; null for a single picture and for several prompts"),
        _column("error", _TEXT, "why there is no value"),
        _column("scored_at", pa.timestamp("us", "UTC"), "when it was computed"),
    ]
)
RANKS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("judge", _TEXT, "the judge whose score it is"),
        _column("version", _TEXT, "which version of the judge; null where it has none"),
        _column("chose_best", pa.bool_(), "whether this judge chose the best picture: its score is the highest of many, not one look"),
        _column("picture", _TEXT, "name of the picture's file in the trial's folder"),
        _column("score", _F64, "the score; comparable within one prompt, judge and version only"),
        _column("rank", pa.int64(), "1 for the prompt's highest score by this judge; equal scores have one rank"),
        _column("trials", pa.int64(), "trials of the same prompt with a score by this judge"),
        _column("percentile", _F64, "share of those other trials that have a lower score, 0 to 1; null where there is no other"),
        _column("z_score", _F64, "standard deviations above the mean of those trials; null where they do not differ"),
    ]
)
STANDINGS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("judges", _TEXT, "its judges: the one that chose the best pictures, and the auditor where it has scored all"),
        _column("rank", pa.int64(), "1 for the prompt's highest mean z-score; equal ones have one rank"),
        _column("trials", pa.int64(), "trials of the same prompt"),
        _column("percentile", _F64, "share of those other trials that stand lower, 0 to 1; null where there is no other"),
        _column(
            "z_score",
            _F64,
            "mean of those judges' z-scores in the prompt, the auditor's counted three times; null where there is no other",
        ),
    ]
)
GAPS = pa.schema(
    [
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("guides", _TEXT, "the perceptors that guided, as in trials; only trials with the same ones are compared"),
        _column(
            "guide_z", _F64, "standard deviations of the guide's similarity above its mean over the prompt's trials by the same engine"
        ),
        _column("judges_z", _F64, "the same of each judge that did not guide, its mean"),
        _column("judges", pa.int64(), "number of those judges"),
        _column("trials", pa.int64(), "trials that are compared"),
        _column("gap", _F64, "guide_z less judges_z: high where the guide thinks more of the picture than the judges do, so may be fooled"),
    ]
)
RATINGS = pa.schema(
    [
        _column("rating_id", _TEXT, "the rating's own id: no two have the same"),
        _column("sweep", _TEXT, "the sweep's name"),
        _column("trial_id", _TEXT, "the trial, as in trials"),
        _column("kind", _TEXT, "`stars`, `pick`, `tag` or `note`"),
        _column("value", _F64, "stars 0 to 5; pick 1, reject -1, neither 0; tag 1, or 0 where it is taken back"),
        _column("text", _TEXT, "the tag or the note; else null"),
        _column("rated_by", _TEXT, "who rated, as they call themselves; null where nobody says"),
        _column("rated_at", pa.timestamp("us", "UTC"), "when; of two ratings of one kind, the later one holds"),
    ]
)
DUELS = pa.schema(
    [
        _column("duel_id", _TEXT, "the duel's own id: no two have the same"),
        _column("sweep", _TEXT, "the sweep's name"),
        _column("left_trial_id", _TEXT, "the trial shown on the left, as in trials"),
        _column("right_trial_id", _TEXT, "the trial shown on the right, of the same prompt"),
        _column("winner", _TEXT, "`left`, `right` or `tie`; `none` where the duel is taken back"),
        _column("rated_by", _TEXT, "who judged, as they call themselves"),
        _column("rated_at", pa.timestamp("us", "UTC"), "when; of one person's duels of one pair, the last holds"),
    ]
)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the same rows in the columns of `schema`: columns and settings that an older version did not write are null, others are
    left out.
    """
    if table.schema.equals(schema):
        return table
    columns = [table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def embeddings_of_format_1(trials: pa.Table) -> pa.Table:
    """Embeddings of a trials table as the first format wrote it, in a column of its own."""
    if "embedding" not in trials.column_names:
        return EMBEDDINGS.empty_table()
    columns = {"iteration": trials["best_iteration"], "perceptor": trials["judge_name"], "vector": trials["embedding"]}
    table = pa.table({"sweep": trials["sweep"], "trial_id": trials["trial_id"], **columns})
    return conform(table.filter(pc.is_valid(table["vector"])), EMBEDDINGS)


def relative_addresses(table: pa.Table) -> pa.Table:
    """Returns the same rows with addresses relative to the sweep's folder, as the first format wrote absolute ones."""
    for number, name in enumerate(table.column_names):
        if name.endswith(ADDRESS_SUFFIX):
            table = table.set_column(number, name, pc.replace_substring_regex(table[name], ABSOLUTE, r"\1"))
    return table
