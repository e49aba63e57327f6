"""Expansion of a sweep to its trials and shards: lazily, in a stable order, each trial once."""

import hashlib
import itertools
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, ValidationError

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.concepts import concepts_of
from dreamsweep.planning.document import Mistake, Path
from dreamsweep.planning.mistakes import text_of
from dreamsweep.planning.prompts import prompts
from dreamsweep.planning.setting_checks import default_settings, settings_without_effect
from dreamsweep.spec import (
    DATE,
    ENGINES,
    FIRST_DAY,
    ITS_PROMPTS,
    SEEDS_A_DAY,
    AnySpec,
    EngineSpec,
    FurtherJudge,
    Judging,
    Keep,
    OptimizerGrid,
    OptimizerSpec,
    Prompt,
    SeedRange,
    Spec,
    Sweep,
    Trial,
    canonical_json,
    identity,
    identity_parts,
    listable,
    trial_id,
)
from dreamsweep.text import quoted


class Shard(Spec):
    """Trials of a sweep that share one engine spec and one guide, are generated in one batch, and what is done with their pictures."""

    model_config = ConfigDict(defer_build=True)  # as `Trial`

    shard_id: str
    sweep: str
    trials: tuple[Trial, ...]
    keep: Keep
    judging: Judging
    judges: tuple[FurtherJudge, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Size of a sweep: its trials, shards, iterations and pictures, before it runs."""

    trials: int
    shards: int
    iterations: int
    """Iterations of all trials together."""
    pictures: int
    """Number of pictures: snapshots, final and best ones."""
    trials_by_engine: dict[str, int]
    iterations_by_engine: dict[str, int]
    bytes: int
    """Estimated bytes in the store, from the pictures' sizes."""


def engines(sweep: Sweep) -> Iterator[EngineSpec]:
    """Expands the sweep's engine entries, lists multiplied out, to engine specs, each once. Raises SweepFileError as `read_engine`."""
    seen: set[str] = set()
    for number in range(len(sweep.engines)):
        for spec in read_engine(sweep, number):
            if isinstance(spec, Mistake):
                raise SweepFileError(text_of(spec))
            key = canonical_json(identity(spec))
            if key not in seen:
                seen.add(key)
                yield spec


def read_engine(sweep: Sweep, number: int) -> Iterator[EngineSpec | Mistake]:
    """Returns the specs that the engine entry of that number expands to, and whatever is wrong with it.

    First come the settings without effect; specs whose settings contradict each other are mistakes in their places.
    """
    grid: Any = sweep.engines[number]  # a model made at run time, one an engine
    engine, path = ENGINES[grid.engine], ("engines", number)
    written = (grid.model_fields_set | {"engine"}) - {ITS_PROMPTS}
    settings = {name: value for name in written if (value := getattr(grid, name)) is not None}
    chosen = {name for name, value in settings.items() if value != engine.model_fields[name].default}
    settings |= {name: value for name, value in default_settings(engine, sweep.weights).items() if name not in chosen}
    if engine.model_fields["num_iter"].default is None:
        settings.setdefault("num_iter", sweep.iterations)
    whole = (spec for spec in _specs(engine, settings, path) if not isinstance(spec, Mistake))
    yield from settings_without_effect(path, engine, chosen, whole, sweep.weights)
    for spec in _specs(engine, settings, path):
        if not isinstance(spec, Mistake) and (contradiction := spec.contradiction(sweep.weights)):
            spec = Mistake(path, f"{spec.engine} {contradiction}")
        yield spec


def _specs(engine: type[AnySpec], settings: dict[str, Any], path: Path) -> Iterator[Any]:
    """Returns one spec, or mistake, for each combination of the values that settings list."""
    listed = {name: listable(engine.model_fields[name].annotation) for name in settings}
    axes = [[(name, value) for value in (_values(setting) if listed[name] else [setting])] for name, setting in sorted(settings.items())]
    for chosen in itertools.product(*axes):
        try:
            yield engine.model_validate(dict(chosen))
        except ValidationError as error:
            yield Mistake(path, error.errors()[0]["msg"].removeprefix("Value error, "))


def prompts_for(engine: EngineSpec, sweep: Sweep) -> Iterator[Prompt]:
    """Returns the prompts that an engine draws, as it takes them, each once. Raises SweepFileError if the engine cannot use one."""
    texts = _own_prompts(engine, sweep)
    drawn = (prompt for prompt in prompts(sweep) if texts is None or prompt.text in texts)
    if engine.takes_to != "ignored":
        for prompt in drawn:
            if engine.takes_to == "required" and not prompt.to:
                raise SweepFileError(f"prompts: {without_to(prompt, engine.engine)}.")
            yield prompt
        return
    seen: set[int] = set()
    for prompt in drawn:
        plain = prompt.model_copy(update={"to": ()}) if prompt.to else prompt
        if (digest := hash(plain)) not in seen:
            seen.add(digest)
            yield plain


def _own_prompts(engine: EngineSpec, sweep: Sweep) -> frozenset[str] | None:
    """Returns the texts of the prompts that an engine's entries name; None where one of them draws all."""
    grids: tuple[Any, ...] = sweep.engines
    if all(grid.prompts is None for grid in grids):
        return None
    key = canonical_json(identity(engine))
    mine = [
        grid.prompts
        for number, grid in enumerate(grids)
        if any(not isinstance(spec, Mistake) and canonical_json(identity(spec)) == key for spec in read_engine(sweep, number))
    ]
    return None if None in mine else frozenset(text for texts in mine for text in texts)


def without_to(prompt: Prompt, engine: str) -> str:
    """Returns a sentence about a prompt that lacks what an engine needs of it."""
    text = quoted(prompt.text)
    return f"{text} has no 'to', which the engine {engine} needs; write {{text: {text}, to: …}}"


def trials(sweep: Sweep) -> Iterator[Trial]:
    """Returns every trial of the sweep: engine by engine, guide by guide, prompt by prompt, seed by seed.

    Memory use does not grow with their number.
    """
    shared: dict[str, Any] = {"weights": sweep.weights, "precision": sweep.precision}
    for engine, guide in itertools.product(engines(sweep), sweep.each_guide):
        fixed = {**shared, "guide": guide, "engine": engine, "stopped_by": sweep.judging if engine.patience else None}
        fixed_parts = identity_parts(fixed)
        for prompt in prompts_for(engine, sweep):
            concepts = concepts_of(prompt, sweep)
            parts = fixed_parts | identity_parts({"prompt": prompt, "concepts": concepts})
            for seed in _seeds(sweep):
                trial = Trial.model_construct(prompt=prompt, seed=seed, concepts=concepts, **fixed)
                trial.__dict__["id"] = trial_id({**parts, "seed": str(seed)})  # what the cached property would say
                yield trial


def shards(sweep: Sweep, done: Container[str] = frozenset()) -> Iterator[Shard]:
    """Returns the sweep's shards, without the trials that are `done`.

    Only the trials that are left are batched, so an extended list makes full shards of what is new. What is done of a sweep that was cut
    off are whole shards, so the rest falls into the same shards as before, with the same ids, and finds its checkpoints again.
    """
    keep, judging, judges = sweep.keep, sweep.judging, sweep.further_judges
    left = (trial for trial in trials(sweep) if trial.id not in done)
    for _, same in itertools.groupby(left, key=lambda trial: (trial.engine, trial.guide)):
        for chunk in _batched(same, sweep.shard_size):
            digest = hashlib.sha256(",".join(trial.id for trial in chunk).encode()).hexdigest()[:16]
            yield Shard.model_construct(shard_id=digest, sweep=sweep.name, trials=chunk, keep=keep, judging=judging, judges=judges)


def plan(sweep: Sweep) -> Plan:
    """Counts the sweep without making anything. Raises SweepFileError as `trials` does."""
    prompt_count = sum(1 for _ in prompts(sweep))
    if prompt_count == 0:
        raise SweepFileError("prompts: there are none; name at least one, such as 'a red heart'.")
    seed_count = sweep.seeds.count if isinstance(sweep.seeds, SeedRange) else len(set(sweep.seeds))
    totals = dict.fromkeys(("trials", "shards", "iterations", "pictures", "bytes"), 0)
    by_engine: dict[str, int] = {}
    iterations_by_engine: dict[str, int] = {}
    for engine in engines(sweep):
        each = sum(1 for _ in prompts_for(engine, sweep)) * seed_count
        guides = len(sweep.each_guide)
        iterations = engine.num_iter or sweep.iterations
        pictures = 2 + (iterations // every if (every := snapshots_every(engine, sweep.snapshot_every)) else 0)
        side = engine.picture_side
        totals["shards"] += guides * -(-each // sweep.shard_size)
        each *= guides
        totals["trials"] += each
        totals["iterations"] += each * iterations
        totals["pictures"] += each * pictures
        totals["bytes"] += each * int(pictures * side * side * 1.6 + iterations * 30)
        by_engine[engine.engine] = by_engine.get(engine.engine, 0) + each
        iterations_by_engine[engine.engine] = iterations_by_engine.get(engine.engine, 0) + each * iterations
    return Plan(trials_by_engine=by_engine, iterations_by_engine=iterations_by_engine, **totals)


def snapshots_every(engine: EngineSpec, every: int) -> int:
    """Returns the iterations between snapshots, 0 for none; at most 1 where iterations are pictures of their own."""
    return min(every, 1) if engine.draws_frames else every


def day_at(sweep: Sweep, moment: datetime) -> date:
    """Returns the date of a moment in the time zone of the sweep's schedule, or in UTC; no two nights of a schedule share one."""
    return moment.astimezone(ZoneInfo(sweep.schedule.timezone if sweep.schedule else "UTC")).date()


def of_day(sweep: Sweep, day: date) -> Sweep:
    """Returns the sweep of a day: the date in its name, daily seeds counted from it. The same sweep if it uses neither."""
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
    """Returns the values that one setting of a grid takes, as plain input for the engine's spec."""
    entries = setting if isinstance(setting, tuple) else (setting,)
    values: list[Any] = []
    for entry in entries:
        if isinstance(entry, OptimizerGrid):
            rates = entry.learning_rate if isinstance(entry.learning_rate, tuple) else (entry.learning_rate,)
            values += [OptimizerSpec(name=entry.name, learning_rate=rate) for rate in rates]
        else:
            values.append(entry)
    return values


def _batched(items: Iterator[Trial], size: int) -> Iterator[tuple[Trial, ...]]:  # itertools.batched comes with 3.12
    while chunk := tuple(itertools.islice(items, size)):
        yield chunk
