"""A selection as a sweep of its own: more seeds of its trials, their settings with other prompts, or on from their pictures."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from dreamsweep.errors import SweepFileError, UserError
from dreamsweep.export.chosen import Chosen, Row
from dreamsweep.export.containers import whole_file, whole_folder
from dreamsweep.planning.expand import plan
from dreamsweep.report.labels import PromptKey, prompt_of
from dreamsweep.report.query import query
from dreamsweep.report.views import quoted
from dreamsweep.results.stored_sweep import stored_words
from dreamsweep.spec import ENGINES, IMAGE_FIELDS, ITS_PROMPTS, MAX_SEED, AnySpec, Sweep
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import ahead
from dreamsweep.tables.schemas import engine_column

Way = Literal["more-seeds", "new-prompts", "from-pictures"]
KEPT = ("snapshot_every", "judge_every", "films", "keep_states", "judge", "judges", "concepts", "shard_size")
"""Words that the new sweep has from the file of the first sweep of the selection."""
SEEDS = 4
"""Seeds of `more-seeds`, where nobody says how many."""
NAME = 63
"""Maximum length of a sweep's name."""


@dataclass(frozen=True)
class NewSweep:
    """Sweep made of a selection."""

    name: str
    text: str
    """Text of its sweep file."""
    pictures: dict[str, str]
    """Keys of the pictures that it starts from, by the names that its file has for them."""
    trials: int


def sweep_of(
    chosen: Chosen, way: Way, name: str | None = None, prompts: Sequence[str] = (), seeds: int | None = None, *, folder: str | None = None
) -> NewSweep:
    """Returns a sweep that draws trials like the selected ones.

    `more-seeds`: each trial again, with the next `seeds` seeds that its sweep has not used. `new-prompts`: every selected setting with each
    of `prompts`, and the same seeds. `from-pictures`: each trial with its best picture as `init_image` and one seed, and `prompts` in
    place of its own where there are some. `folder` is where the sweep file finds the pictures; without it they are read from the store.
    Raises UserError where the selection cannot become one sweep.
    """
    if way == "new-prompts" and not prompts:
        raise UserError("new-prompts: there are none; name at least one, as in --prompt 'a blue boat'.")
    rows = list(chosen.rows())
    words: dict[str, Any] = {"name": name or _free_name(chosen.store, rows), **_kept(chosen.store, rows[0]["sweep"]), **_shared(rows)}
    whole = [prompt_of(row) for row in rows]
    texts = [*dict.fromkeys(prompts)] if way != "more-seeds" and prompts else []
    words["prompts"] = texts or [_prompt_entry(prompt) for prompt in _prompts(rows)]
    words["seeds"] = _seeds(chosen, rows, way, seeds)
    pictures = dict[str, str]()
    entries: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = _engine_entry(row)
        if way == "from-pictures":
            entry["init_image"] = _picture(chosen.store, row, entry, folder, pictures)
        own = entries.setdefault(yaml.safe_dump(entry), {**entry, ITS_PROMPTS: []})[ITS_PROMPTS]
        own += [row["prompt"]] * (row["prompt"] not in own)
    words["engines"] = _less_prompts(list(entries.values()), texts or {prompt.text for prompt in whole}, bool(texts))
    iterations = {entry.get("num_iter") for entry in words["engines"]}
    if len(iterations) == 1 and None not in iterations and all(_takes_iterations(entry["engine"]) for entry in words["engines"]):
        words["iterations"] = iterations.pop()
        for entry in words["engines"]:
            del entry["num_iter"]
    ordered = {name: words[name] for name in Sweep.model_fields if name in words}
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True)
    return NewSweep(words["name"], text, pictures, plan(_validated(words)).trials)


def _takes_iterations(engine: str) -> bool:
    """Returns whether an engine without iterations of its own takes the sweep's."""
    return ENGINES[engine].model_fields["num_iter"].default is None


def _validated(words: dict[str, Any]) -> Sweep:
    """Returns the sweep as far as it can be told before its pictures are read: each has the hash of its name. Raises SweepFileError."""
    engines = [
        {**entry, "init_image": {"path": path, "sha256": hashlib.sha256(path.encode()).hexdigest()}}
        if (path := entry.get("init_image"))
        else entry
        for entry in words["engines"]
    ]
    try:
        return Sweep.model_validate({**words, "engines": engines})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SweepFileError(f"the new sweep: {where}: {first['msg'].removeprefix('Value error, ')}.") from None


def _shared(rows: Sequence[Row]) -> dict[str, Any]:
    """Returns what all trials of a sweep share: weights, precision, guides. Raises UserError where the selected ones do not."""
    shared: dict[str, Any] = {}
    for field, default in (("weights", "starter"), ("precision", "default")):
        values = sorted({row[field] or default for row in rows})
        if len(values) > 1:
            raise UserError(f"the selection has trials with {field} {' and '.join(values)}, and a sweep has one; select those of one.")
        shared |= {field: values[0]} if values[0] != default else {}
    guides = [_guide(text) for text in dict.fromkeys(row["guide_name"] for row in rows)]
    usual = Sweep.model_fields["guide"].default
    return shared if guides == [usual] else {**shared, **({"guide": guides[0]} if len(guides) == 1 else {"guides": guides})}


def _guide(text: str) -> Any:
    """Returns a guide from its name in the tables: `ViT-B/32`, or `ViT-B/32 + 0.5 RN50` for several."""
    parts = [part.rpartition(" ") for part in text.split(" + ")]
    weighted = [{"name": name, "weight": float(weight)} if weight else name for weight, _, name in parts]
    return weighted if len(weighted) > 1 else weighted[0] if isinstance(weighted[0], str) else weighted


def _prompts(rows: Sequence[Row]) -> list[PromptKey]:
    """Returns the prompts of trials, each once. Engines without walks draw the text of a walk, whose prompt then stands for both."""
    whole = dict.fromkeys(prompt_of(row) for row in rows)
    walks = {prompt._replace(to=()) for prompt in whole if prompt.to}
    plain = {prompt_of(row) for row in rows if ENGINES[row["engine"]].takes_to != "ignored"}
    return [prompt for prompt in whole if prompt not in walks or prompt in plain]


def _prompt_entry(prompt: PromptKey) -> Any:
    phrases = {
        name: [{"text": text, "weight": weight} if weight != 1 else text for text, weight in getattr(prompt, name)]
        for name in ("also", "negatives")
    }
    entry = {"text": prompt.text, "weight": prompt.weight if prompt.weight != 1 else None, **phrases, "to": [*prompt.to]}
    short = {name: value for name, value in entry.items() if value}
    return prompt.text if len(short) == 1 else short


def _engine_entry(row: Row) -> dict[str, Any]:
    """Returns the entry of a sweep file for a trial's engine: the settings that are not as they would be without it."""
    kind = ENGINES[row["engine"]]
    settings = {name: _without_nulls(value) for name, value in row[engine_column(row["engine"])].items() if value is not None}
    spec: AnySpec = kind.model_validate({**settings, "engine": row["engine"]})
    entry = {"engine": row["engine"], **spec.model_dump(mode="json", exclude_none=True)}
    for name in sorted(entry.keys() - {"engine", "num_iter"}):
        shorter = {other: value for other, value in entry.items() if other != name}
        if kind.model_validate(shorter) == spec:
            entry = shorter
    return entry | {name: entry[name]["path"] for name in IMAGE_FIELDS if name in entry}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _picture(store: Store, row: Row, entry: dict[str, Any], folder: str | None, pictures: dict[str, str]) -> Any:
    """Returns the picture that a trial starts from next, and notes its key. Raises UserError for an engine that starts from none."""
    if "init_image" not in ENGINES[row["engine"]].model_fields:
        raise UserError(f"from-pictures: the engine {row['engine']} starts from no picture; leave it out, as by --engine dalle.")
    if not row["best_uri"]:
        raise UserError(f"from-pictures: trial {row['trial_id']} has no picture; leave it out, as by --search status:done.")
    entry.pop("start", None)  # the picture decides where it starts
    key = keys.picture(row["sweep"], row["trial_id"], keys.BEST)
    if folder is None:
        return store.uri_of(key)
    name = f"{folder}/{row['trial_id']}.png"
    pictures[name] = key
    return name


def _less_prompts(entries: list[dict[str, Any]], texts: Any, replaced: bool) -> list[dict[str, Any]]:
    """Returns the entries without lists of prompts that name all of them."""
    for entry in entries:
        if replaced or {*entry[ITS_PROMPTS]} == {*texts}:
            del entry[ITS_PROMPTS]
    return entries


def _seeds(chosen: Chosen, rows: Sequence[Row], way: Way, count: int | None) -> Any:
    """Returns the seeds: the next ones that the sweeps have not used, those of the selected trials, or so many from 0 on."""
    if way != "more-seeds" and (count or way == "from-pictures"):
        return {"count": count or 1}
    if way == "new-prompts":
        return sorted({row["seed"] for row in rows})
    sweeps = ", ".join(quoted(sweep) for sweep in sorted({row["sweep"] for row in rows}))
    (row,) = query(chosen.store, f"SELECT max(seed) AS last FROM trials WHERE sweep IN ({sweeps})").to_pylist()
    start = row["last"] + 1
    return {"start": start if start + (count or SEEDS) <= MAX_SEED else 0, "count": count or SEEDS}


def _kept(store: Store, sweep: str) -> dict[str, Any]:
    """Returns what the new sweep has from the file of another; nothing where that cannot be read."""
    written = stored_words(store, sweep)
    return {name: written[name] for name in KEPT if name in written}


def _free_name(store: Store, rows: Sequence[Row]) -> str:
    """Returns a name after the first sweep's that nothing in the store has."""
    first, number = rows[0]["sweep"][: NAME - 8], 1
    while store.exists(keys.sweep_file(name := f"{first}-more{'' if number == 1 else f'-{number}'}")):
        number += 1
    return name


def write_sweep(store: Store, new: NewSweep, target: Path) -> None:
    """Writes a sweep file, after the pictures that it starts from, which lie in a folder beside it.

    Raises StoreError where either cannot be written.
    """
    if new.pictures:
        with whole_folder(target.parent / pictures_folder(target)) as folder:
            for name, data in zip(new.pictures, ahead(store.read, new.pictures.values()), strict=True):
                (folder / Path(name).name).write_bytes(data)
    with whole_file(target) as out:
        out.write(new.text.encode())


def pictures_folder(target: Path) -> str:
    """Returns the name of the folder of pictures beside a sweep file."""
    return f"{target.stem}-pictures"
