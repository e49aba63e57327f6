"""Remaining work of a sweep that is about to run, given what its store holds already."""

from collections import Counter
from dataclasses import dataclass, field

from dreamsweep.planning.expand import trials
from dreamsweep.results.kept_states import continued
from dreamsweep.results.manifest import done_shards, read_manifest
from dreamsweep.results.missing import kept_by_trial
from dreamsweep.results.publishing import published_trials
from dreamsweep.spec import Sweep
from dreamsweep.store import Store


@dataclass
class Remaining:
    """Counts of a sweep's trials, as the store has them."""

    done: Counter[str] = field(default_factory=Counter)
    """Trials that are done already, by engine."""
    missing: Counter[str] = field(default_factory=Counter)
    """Trials that would be made, by engine."""
    iterations: Counter[str] = field(default_factory=Counter)
    """Iterations of the missing trials, by engine."""
    unscored: int = 0
    """Scores of best pictures that are there, by further judges, which a run would add."""
    others: int = 0
    """Trials published under the same name that are not of this sweep."""
    continued: Counter[int] = field(default_factory=Counter)
    """Missing trials that continue from kept states, by the iteration of the state."""


def remaining(store: Store, sweep: Sweep) -> Remaining:
    """Compares a sweep with what is staged and published under its name. Raises StoreError where the store cannot be read."""
    staged = {trial: kept for shard in done_shards(store, sweep.name) for trial, kept in kept_by_trial(shard).items()}
    judges = [judge.key for judge in sweep.further_judges]
    manifest = read_manifest(store, sweep.name)
    others = set(published_trials(store, manifest)) if manifest else set()
    counts = Remaining()
    for trial in trials(sweep):
        engine = trial.engine.engine
        others.discard(trial.id)
        if trial.id in staged:
            counts.done[engine] += 1
            if kept := staged[trial.id]:
                counts.unscored += sum(judge not in kept.judges for judge in judges)
        else:
            counts.missing[engine] += 1
            counts.iterations[engine] += trial.num_iter
    counts.others = len(others)
    counts.continued = continued(store, sweep, staged)
    return counts
