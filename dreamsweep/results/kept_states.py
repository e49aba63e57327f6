"""Kept states: the last state of each batch, from which the same batch with more iterations continues.

A state belongs to a lineage: batches of the same trials, in the same order and scored by the same judge, that differ in their iterations.
"""

import hashlib
from collections import Counter
from collections.abc import Container, Iterator

from dreamsweep.planning.expand import Shard, shards
from dreamsweep.spec import Sweep, Trial, identity_parts, trial_id
from dreamsweep.store import Store, keys


def lineage(shard: Shard) -> str:
    """Returns sixteen hexadecimal digits of the SHA-256 of what batches of one lineage have in common."""
    ids = ",".join(_id_without_iterations(trial) for trial in shard.trials)
    return hashlib.sha256(f"{shard.judging.judge}:{ids}".encode()).hexdigest()[:16]


def state_key(shard: Shard) -> str:
    """Returns the key of the state that a shard keeps after its last iteration."""
    return keys.state(shard.sweep, lineage(shard), shard.trials[0].num_iter, shard.shard_id)


def shorter_states(store: Store, shard: Shard) -> Iterator[str]:
    """Lists the keys of the states that a shard might continue from, those with the most iterations first."""
    if not shard.trials[0].engine.can_continue:
        return
    states = ((keys.state_of(key), key) for key in store.keys(keys.states(shard.sweep, lineage(shard))))
    kept = [(state[1], key) for state, key in states if state]
    yield from (key for iterations, key in sorted(kept, reverse=True) if iterations < shard.trials[0].num_iter)


def continued(store: Store, sweep: Sweep, done: Container[str]) -> Counter[int]:
    """Counts the trials that might continue from a kept state, those that are `done` left out, by the iteration of the state."""
    kept: dict[str, list[int]] = {}
    for key in store.keys(keys.states(sweep.name)):
        if state := keys.state_of(key):
            kept.setdefault(state[0], []).append(state[1])
    counts = Counter[int]()
    for shard in shards(sweep, done) if kept else ():
        first = shard.trials[0]
        if first.engine.can_continue and (shorter := [at for at in kept.get(lineage(shard), ()) if at < first.num_iter]):
            counts[max(shorter)] += len(shard.trials)
    return counts


def _id_without_iterations(trial: Trial) -> str:
    engine = trial.engine.model_copy(update={"num_iter": None})
    return trial_id(identity_parts({name: getattr(trial, name) for name in type(trial).model_fields} | {"engine": engine}))
