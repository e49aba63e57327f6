"""From a sweep to its trials and shards: lazily, in a stable order, each trial once."""

import csv
import hashlib
import itertools
import string
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dreamsweep.errors import SweepFileError
from dreamsweep.spec import (
    DATE,
    ENGINES,
    AnySpec,
    EngineSpec,
    FramesSpec,
    InterpolationSpec,
    OptimizerGrid,
    OptimizerSpec,
    Phrase,
    Prompt,
    PromptFile,
    PromptTemplate,
    SeedRange,
    Spec,
    Sweep,
    Trial,
    UnclipSpec,
    canonical_json,
    listable,
    trial_id,
)
from dreamsweep.useless import check_settings, known_to

FIRST_DAY, SEEDS_A_DAY = date(2020, 1, 1), 1_000
"""Daily seeds are counted from there, so many further every day."""


class Shard(Spec):
    """Consecutive trials of a sweep that share one engine spec and are generated in one batch."""

    shard_id: str
    sweep: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Plan:
    """What a sweep amounts to, before it runs."""

    trials: int
    shards: int
    iterations: int
    """Over all trials."""
    pictures: int
    """Snapshots, final and best pictures."""
    trials_by_engine: dict[str, int]
    iterations_by_engine: dict[str, int]
    bytes: int
    """An estimate, from the pictures' sizes."""


def prompts(sweep: Sweep) -> Iterator[Prompt]:
    """The sweep's prompts in order, each once. Raises SweepFileError where a file or template is not right."""
    seen: set[int] = set()
    for number, entry in enumerate(sweep.prompts):
        match entry:
            case Prompt():
                found: Iterator[Prompt] = iter((entry,))
            case PromptTemplate():
                found = _from_template(entry, f"prompts[{number}]")
            case PromptFile():
                found = _from_file(Path(entry.file), f"prompts[{number}].file")
        for prompt in found:
            digest = hash(prompt)
            if digest not in seen:
                seen.add(digest)
                yield prompt


def engines(sweep: Sweep) -> Iterator[EngineSpec]:
    """Every engine spec of the sweep, lists multiplied out, each once."""
    seen: set[str] = set()
    grids: tuple[Any, ...] = sweep.engines  # models made at run time, one an engine
    for number, grid in enumerate(grids):
        engine, where = ENGINES[grid.engine], f"engines[{number}] ({grid.engine})"
        settings = {name: value for name in grid.model_fields_set | {"engine"} if (value := getattr(grid, name)) is not None}
        asked = {name for name, value in settings.items() if value != engine.model_fields[name].default}
        settings |= {name: value for name, value in known_to(engine, sweep.weights).items() if name not in asked}
        if engine.model_fields["num_iter"].default is None:
            settings.setdefault("num_iter", sweep.iterations)
        check_settings(where, engine, asked, _specs(engine, settings, where), sweep.weights)
        for spec in _specs(engine, settings, where):
            key = canonical_json(spec)
            if key not in seen:
                seen.add(key)
                yield spec


def _specs(engine: type[AnySpec], settings: dict[str, Any], where: str) -> Iterator[Any]:
    """One spec for each combination of the values that settings list."""
    listed = {name: listable(engine.model_fields[name].annotation) for name in settings}
    axes = [[(name, value) for value in (_values(found) if listed[name] else [found])] for name, found in sorted(settings.items())]
    for chosen in itertools.product(*axes):
        try:
            yield engine.model_validate(dict(chosen))
        except ValidationError as error:
            told = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise SweepFileError(f"{where}: {told}.") from None


def prompts_for(engine: EngineSpec, sweep: Sweep) -> Iterator[Prompt]:
    """The sweep's prompts as an engine takes them, each once. Raises SweepFileError where it can do nothing with one."""
    if isinstance(engine, UnclipSpec) and engine.to_image is not None and engine.init_image is None:
        raise SweepFileError("engines: unclip has a 'to_image' but no 'init_image' to walk from; name both.")
    if isinstance(engine, UnclipSpec):
        yield from prompts(sweep)
        return
    if isinstance(engine, InterpolationSpec):
        for prompt in prompts(sweep):
            if not prompt.to:
                told = prompt.text[:40]
                raise SweepFileError(f"prompts: {told!r} has no 'to', which the engine interpolation needs; write {{text: {told}, to: …}}.")
            yield prompt
        return
    seen: set[int] = set()
    for prompt in prompts(sweep):
        plain = prompt.model_copy(update={"to": ()}) if prompt.to else prompt
        if (digest := hash(plain)) not in seen:
            seen.add(digest)
            yield plain


def trials(sweep: Sweep) -> Iterator[Trial]:
    """Every trial of the sweep: engine by engine, prompt by prompt, seed by seed. Memory does not grow with their number."""
    names = ("guide", "judge", "weights", "snapshot_every", "judge_every", "films", "precision")
    shared = tuple(getattr(sweep, name) for name in names)
    fixed: dict[str, Any] = dict(zip(names, shared, strict=True))
    told = [canonical_json(value) for value in shared]
    for engine in engines(sweep):
        engine_told = canonical_json(engine)
        for prompt in prompts_for(engine, sweep):
            prompt_told = canonical_json(prompt)
            for seed in _seeds(sweep):
                trial = Trial.model_construct(prompt=prompt, engine=engine, seed=seed, **fixed)
                trial.__dict__["id"] = trial_id(prompt_told, engine_told, str(seed), *told)  # what the cached property would say
                yield trial


def shards(sweep: Sweep, done: Container[str] = frozenset()) -> Iterator[Shard]:
    """The sweep's shards, without the trials that are `done`; a shard with none left is not there.

    A shard's id comes from all of its trials, done or not, so that a sweep that was cut off finds its checkpoints again.
    """
    for _, same in itertools.groupby(trials(sweep), key=lambda trial: trial.engine):
        for chunk in _batched(same, sweep.shard_size):
            missing = tuple(trial for trial in chunk if trial.id not in done)
            if missing:
                digest = hashlib.sha256(",".join(trial.id for trial in chunk).encode()).hexdigest()[:16]
                yield Shard.model_construct(shard_id=digest, sweep=sweep.name, trials=missing)


def plan(sweep: Sweep) -> Plan:
    """Counts the sweep without making anything. Raises SweepFileError as `trials` does."""
    prompt_count = sum(1 for _ in prompts(sweep))
    if prompt_count == 0:
        raise SweepFileError("prompts: there are none; name at least one, such as 'a red heart'.")
    seed_count = sum(1 for _ in _seeds(sweep))
    totals = dict.fromkeys(("trials", "shards", "iterations", "pictures", "bytes"), 0)
    by_engine: dict[str, int] = {}
    iterations_by_engine: dict[str, int] = {}
    for engine in engines(sweep):
        each = sum(1 for _ in prompts_for(engine, sweep)) * seed_count
        iterations = engine.num_iter or sweep.iterations
        pictures = 2 + (iterations // every if (every := snapshots_every(engine, sweep.snapshot_every)) else 0)
        side = int(getattr(engine, "canvas", 0) or getattr(engine, "image_size", None) or 512)
        totals["trials"] += each
        totals["shards"] += -(-each // sweep.shard_size)
        totals["iterations"] += each * iterations
        totals["pictures"] += each * pictures
        totals["bytes"] += each * int(pictures * side * side * 1.6 + iterations * 30)
        by_engine[engine.engine] = by_engine.get(engine.engine, 0) + each
        iterations_by_engine[engine.engine] = iterations_by_engine.get(engine.engine, 0) + each * iterations
    return Plan(trials_by_engine=by_engine, iterations_by_engine=iterations_by_engine, **totals)


def snapshots_every(engine: EngineSpec, asked: int) -> int:
    """Iterations between snapshots, 0 for none: where iterations are pictures of their own, each is one, if any are kept."""
    return min(asked, 1) if isinstance(engine, FramesSpec) else asked


def of_day(sweep: Sweep, day: date) -> Sweep:
    """The sweep as it is on a day: the date in its name, daily seeds counted from it. The same sweep where it names neither."""
    changes: dict[str, Any] = {"name": sweep.name.replace(DATE, day.isoformat())} if DATE in sweep.name else {}
    if isinstance(sweep.seeds, SeedRange) and sweep.seeds.daily:
        start = sweep.seeds.start + SEEDS_A_DAY * (day - FIRST_DAY).days
        changes["seeds"] = SeedRange(start=max(0, start), count=sweep.seeds.count)
    return sweep.model_copy(update=changes) if changes else sweep


def _seeds(sweep: Sweep) -> Iterator[int]:
    if isinstance(sweep.seeds, SeedRange):
        return iter(range(sweep.seeds.start, sweep.seeds.start + sweep.seeds.count))
    return iter(dict.fromkeys(sweep.seeds))


def _values(setting: Any) -> list[Any]:
    """The values that one setting of a grid takes, as plain input for the engine's spec."""
    entries = setting if isinstance(setting, tuple) else (setting,)
    values: list[Any] = []
    for entry in entries:
        if isinstance(entry, OptimizerGrid):
            rates = entry.learning_rate if isinstance(entry.learning_rate, tuple) else (entry.learning_rate,)
            values += [OptimizerSpec(name=entry.name, learning_rate=rate) for rate in rates]
        else:
            values.append(entry)
    return values


def _from_template(entry: PromptTemplate, where: str) -> Iterator[Prompt]:
    texts = (entry.template, *entry.to)
    named = {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field is not None}
    if named != set(entry.lists):
        raise SweepFileError(
            f"{where}.template: {entry.template!r} names {_listed(named)}, but the lists given are {_listed(set(entry.lists))}; "
            "name the same in both."
        )
    empty = [name for name, values in entry.lists.items() if not values]
    if empty:
        raise SweepFileError(f"{where}.{empty[0]}: the list is empty; give it at least one value.")
    for values in itertools.product(*entry.lists.values()):
        text, *to = (text.format(**dict(zip(entry.lists, values, strict=True))) for text in texts)
        yield _checked({"text": text, "negatives": entry.negatives, "to": to}, where)


def _from_file(path: Path, where: str) -> Iterator[Prompt]:
    try:
        handle = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise SweepFileError(f"{where}: {str(path)!r} cannot be read ({error.strerror}); paths are relative to the sweep file.") from None
    with handle:
        try:
            yield from _from_csv(handle, path, where) if path.suffix == ".csv" else _from_lines(handle, path, where)
        except UnicodeDecodeError:
            raise SweepFileError(f"{where}: {str(path)!r} is not UTF-8 text; save it as UTF-8.") from None


def _from_lines(handle: Any, path: Path, where: str) -> Iterator[Prompt]:
    found = False
    for number, line in enumerate(handle, start=1):
        if line.strip() and not line.startswith("#"):
            found = True
            yield _checked({"text": line}, f"{where} ({path.name}, line {number})")
    if not found:
        raise SweepFileError(f"{where}: {str(path)!r} holds no prompts; write one a line.")


def _from_csv(handle: Any, path: Path, where: str) -> Iterator[Prompt]:
    rows = csv.DictReader(handle)
    columns = rows.fieldnames or []
    strange = set(columns) - {"text", "weight", "negatives", "to"}
    if "text" not in columns or strange:
        raise SweepFileError(
            f"{where}: {str(path)!r} has the columns {_listed(set(columns))}; it needs 'text', and may have 'weight', 'negatives', 'to'."
        )
    found = False
    for row in rows:
        found = True
        entry: dict[str, Any] = {"text": row["text"]}
        if row.get("weight"):
            entry["weight"] = row["weight"]
        if row.get("negatives"):
            entry["negatives"] = tuple(Phrase(text=text) for text in row["negatives"].split("|") if text.strip())
        if row.get("to"):
            entry["to"] = tuple(text for text in row["to"].split("|") if text.strip())
        yield _checked(entry, f"{where} ({path.name}, line {rows.line_num})")
    if not found:
        raise SweepFileError(f"{where}: {str(path)!r} holds no prompts below its header.")


def _checked(entry: dict[str, Any], where: str) -> Prompt:
    try:
        return Prompt.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SweepFileError(f"{where}: {field}: {first['msg']}.") from None


def _listed(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"


def _batched(items: Iterator[Trial], size: int) -> Iterator[tuple[Trial, ...]]:  # itertools.batched comes with 3.12
    while chunk := tuple(itertools.islice(items, size)):
        yield chunk
