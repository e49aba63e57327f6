"""Missing parts of a sweep: trials that were never generated, and snapshots, films or scores of those that were.

A staged shard's manifest records what was kept and who scored; where it records nothing, nothing is known to be missing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dreamsweep.planning.expand import Shard, shards, snapshots_every, trials
from dreamsweep.results.manifest import ShardManifest, read_shard_manifest
from dreamsweep.spec import Judging, Keep, Kept, Sweep, Trial
from dreamsweep.store import Store


@dataclass(frozen=True)
class Missing:
    """Missing parts of a shard: ids of the trials that lack each."""

    trials: tuple[str, ...] = ()
    """Trials that were never generated."""
    snapshots: tuple[str, ...] = ()
    """Trials that must be drawn again, because some of their snapshots were not kept."""
    films: tuple[str, ...] = ()
    """Trials whose films can be encoded from stored pictures."""
    judging: tuple[str, ...] = ()
    """Trials whose stored pictures this judge has not scored."""
    judges: tuple[str, ...] = ()
    """Trials whose best picture one of the further judges has not scored."""

    def __bool__(self) -> bool:
        return bool(self.trials or self.snapshots or self.films or self.judging or self.judges)


def missing(shard: Shard, staged: ShardManifest | None) -> Missing:
    """Compares `staged`, the manifest under the shard's id, with what the shard asks for; returns what is missing."""
    kept = kept_by_trial(staged) if staged else {}
    known = [(trial, kept[trial.id]) for trial in shard.trials if trial.id in kept]
    wanted = {judge.key for judge in shard.judges}
    return Missing(
        trials=tuple(trial.id for trial in shard.trials if trial.id not in kept),
        snapshots=tuple(trial.id for trial, had in known if had and _lacks_snapshots(trial, had, shard.keep)),
        films=tuple(trial.id for trial, had in known if had and not set(shard.keep.films) <= set(had.films)),
        judging=tuple(trial.id for trial, had in known if had and shard.judging not in had.judged),
        judges=tuple(trial.id for trial, had in known if had and not wanted <= set(had.judges)),
    )


def is_complete(store: Store, shard: Shard) -> bool:
    """Returns whether the shard is staged with everything that it asks for."""
    return not missing(shard, read_shard_manifest(store, shard.sweep, shard.shard_id))


def work(sweep: Sweep, staged: Iterable[ShardManifest]) -> Iterator[Shard]:
    """Returns the shards of a sweep that are not complete yet.

    First the staged ones that lack a part of what the sweep asks for, under their ids, then batches of the trials that were never
    generated.
    """
    held: dict[str, tuple[str, Kept | None]] = {}
    for manifest in staged:
        for trial_id, kept in kept_by_trial(manifest).items():
            held.setdefault(trial_id, (manifest.shard_id, kept))
    keep, judging, judges = sweep.keep, sweep.judging, sweep.further_judges
    wanted = {judge.key for judge in judges}
    incomplete: dict[str, list[Trial]] = {}
    for trial in trials(sweep) if held else ():
        shard_id, kept = held.get(trial.id, ("", None))
        if kept and not (_is_kept(trial, kept, keep, judging) and wanted <= set(kept.judges)):
            incomplete.setdefault(shard_id, []).append(trial)
    for shard_id, group in incomplete.items():
        yield Shard.model_construct(shard_id=shard_id, sweep=sweep.name, trials=tuple(group), keep=keep, judging=judging, judges=judges)
    yield from shards(sweep, held)


def kept_by_trial(staged: ShardManifest) -> dict[str, Kept | None]:
    """Returns what was kept of each trial of a staged shard; None if that was not recorded."""
    kept = staged.kept or (None,) * len(staged.trial_ids)
    return dict(zip(staged.trial_ids, kept, strict=True))


def _is_kept(trial: Trial, kept: Kept, keep: Keep, judging: Judging) -> bool:
    return judging in kept.judged and set(keep.films) <= set(kept.films) and not _lacks_snapshots(trial, kept, keep)


def _lacks_snapshots(trial: Trial, kept: Kept, keep: Keep) -> bool:
    if keep.snapshot_every in kept.snapshots_every:
        return False
    had = set[int]().union(*(_snapshots(trial, every) for every in kept.snapshots_every))
    return not _snapshots(trial, keep.snapshot_every) <= had


def _snapshots(trial: Trial, interval: int) -> set[int]:
    """Returns the iterations of which a trial keeps a snapshot."""
    every = snapshots_every(trial.engine, interval)
    return {*range(every, trial.num_iter + 1, every), trial.num_iter} if every else set()
