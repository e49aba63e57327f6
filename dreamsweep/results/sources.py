"""Sources of a sweep's rows: staged shards, and parts that were gathered before; and the choice of those that a manifest names."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from dreamsweep.results.manifest import FORMAT, Manifest, ShardManifest, Status, Tables, done_shards
from dreamsweep.store import Entry, Store, keys
from dreamsweep.tables.contents import Contents, read_part_record
from dreamsweep.tables.parquet import ahead, read_parquet


@dataclass(frozen=True, slots=True)
class Fact:
    """Facts that a manifest states about a trial."""

    picture: bytes
    """SHA-256 of the pixels of its last picture; empty where there is none."""
    status: Status
    scores: int
    """Number of rows in the scores."""
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Source:
    """Files that hold the rows of some trials: a staged shard, or a gathered part."""

    name: str
    """Shard id, or name of the part's folder."""
    tables: Tables
    trials: dict[str, Fact]
    weights: tuple[str, ...]
    gathered: bool
    format: int = FORMAT
    revision: int = 1
    contents: Contents = field(default_factory=dict)
    """Size and SHA-256 of each file; empty where an earlier version recorded none."""


@dataclass(frozen=True)
class Taken:
    """Trials that a manifest takes of a source: all of them (None), or some."""

    source: Source
    trials: frozenset[str] | None

    @property
    def facts(self) -> Iterator[tuple[str, Fact]]:
        """Returns the trials taken, with the facts of each."""
        return ((trial, fact) for trial, fact in self.source.trials.items() if self.trials is None or trial in self.trials)

    @property
    def is_usable(self) -> bool:
        """Returns whether a manifest can name the files unchanged."""
        return self.trials is None and self.source.format == FORMAT


@dataclass
class Seen:
    """Cache of shards and parts that a publish has read; the next publish reads only what changed."""

    shards: dict[str, tuple[Entry, ShardManifest]] = field(default_factory=dict)
    parts: dict[str, Source] = field(default_factory=dict)


def staged_shards(store: Store, sweep: str, seen: Seen | None) -> Iterator[Source]:
    """Reads every staged shard, by shard id."""
    for shard in done_shards(store, sweep, seen.shards if seen else None):
        finished = shard.finished_at or [None] * len(shard.trial_ids)
        rows = zip(shard.trial_ids, shard.picture_sha256, shard.statuses, shard.scores, finished, strict=True)
        trials = {trial: Fact(bytes.fromhex(sha256), status, scores, at) for trial, sha256, status, scores, at in rows}
        yield Source(shard.shard_id, shard.tables, trials, shard.weights, False, shard.format, shard.revision, shard.contents)


def gathered_parts(store: Store, manifest: Manifest | None, seen: Seen) -> list[Source]:
    """Reads the gathered parts that a manifest names, in its order; missing or damaged ones are left out, to be gathered again."""
    if manifest is None:
        return []
    gathered = keys.tables(manifest.sweep)
    trials = [key for key in manifest.tables.get("trials", ()) if key.startswith(gathered)]

    def read(key: str) -> Source | None:
        name = keys.generation_of(key)
        if name not in seen.parts:
            files = {
                table: tuple(other for other in named if other.startswith(gathered) and keys.generation_of(other) == name)
                for table, named in manifest.tables.items()
            }
            part = _part(store, name, key, files, manifest.format)
            if part is None:
                return None
            seen.parts[name] = part
        return seen.parts[name]

    return [part for part in ahead(read, trials) if part]


def choose_from_shards(wanted: Callable[[str], bool], shards: Iterable[Source], parts: Sequence[Source]) -> list[Taken]:
    """Takes wanted trials from the shards that hold them, the others from gathered parts; each trial once."""
    taken, ids = list[Taken](), set[str]()
    for source in (*shards, *parts):
        _take(source, wanted, taken, ids)
    return taken


def choose_from_parts(wanted: Callable[[str], bool], shards: Iterable[Source], parts: Sequence[Source]) -> list[Taken]:
    """Takes wanted trials from gathered parts that can be used whole, then from shards, then from other parts.

    A part cannot be used whole where it holds a trial that is not wanted, or that was staged again since.
    """
    staged = list(shards)
    again = {trial: fact.finished_at for shard in staged if shard.revision > 1 for trial, fact in shard.trials.items()}
    taken, ids = list[Taken](), set[str]()
    for part in parts:
        current = (again.get(trial, fact.finished_at) == fact.finished_at for trial, fact in part.trials.items())
        if all(current) and all(wanted(trial) and trial not in ids for trial in part.trials):
            _take(part, wanted, taken, ids)
    for source in (*staged, *parts):
        _take(source, wanted, taken, ids)
    return taken


def _take(source: Source, wanted: Callable[[str], bool], taken: list[Taken], ids: set[str]) -> None:
    mine = frozenset(trial for trial in source.trials if trial not in ids and wanted(trial))
    if mine:
        ids |= mine
        taken.append(Taken(source, None if len(mine) == len(source.trials) else mine))


def _part(store: Store, name: str, key: str, files: Tables, written_in: int) -> Source | None:
    """Reads a gathered part, with its facts from the rows of its trials; None if they cannot be read."""
    columns = ["trial_id", "picture_sha256", "status", "iterations_done", "finished_at", "weights_sha256"]
    data = store.get(key)
    try:
        rows = [] if data is None else read_parquet(data, columns).to_pylist()
    except pa.ArrowInvalid:
        return None
    if not rows:
        return None
    trials = {
        row["trial_id"]: Fact(bytes.fromhex(row["picture_sha256"] or ""), row["status"], row["iterations_done"], row["finished_at"])
        for row in rows
    }
    weights = {f"{weight}:{digest}" for row in rows for weight, digest in row["weights_sha256"] or ()}
    contents = read_part_record(store, key.partition("/")[0], name)
    return Source(name, files, trials, tuple(sorted(weights)), True, written_in, contents=contents)
