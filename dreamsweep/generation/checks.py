"""Checks of a machine before a night's work: its device, and every weight file that the work needs."""

import itertools
from collections.abc import Iterable

from dreamsweep.environment import checkpoint_seconds
from dreamsweep.planning.expand import Shard, engines
from dreamsweep.results.weights_record import refuse_other_weights
from dreamsweep.spec import EngineSpec, FurtherJudge, GuideChoice, Sweep, WeightsName, guides_of
from dreamsweep.store import Store


def check_machine(sweep: Sweep, store: Store, device: str) -> None:
    """Checks that the device is there, and that every weight file is whole and the one that this sweep was made with before.

    Published weights that are missing are downloaded. Raises UserError.
    """
    from dreamsweep.compute.devices import is_compiling, resolve_device

    is_compiling()
    checkpoint_seconds()
    resolve_device(device)
    used = _weights(sweep.each_guide, [FurtherJudge(name=sweep.judge), *sweep.further_judges], engines(sweep), sweep.weights)
    refuse_other_weights(store, sweep.name, used)


def check_shard(shard: Shard, store: Store, device: str) -> None:
    """Checks the same for one shard, on the machine that generates it. Raises UserError."""
    from dreamsweep.compute.devices import resolve_device

    first = shard.trials[0]
    resolve_device(device)
    used = _weights([first.guide], [FurtherJudge(name=shard.judging.judge), *shard.judges], [first.engine], first.weights)
    refuse_other_weights(store, shard.sweep, used, shards=1)


def _weights(
    guides: Iterable[GuideChoice], judges: Iterable[FurtherJudge], specs: Iterable[EngineSpec], weights: WeightsName
) -> dict[str, str]:
    """Returns name and SHA-256 of every weight file. The files are hashed, and no network is loaded."""
    from dreamsweep.engines import weights_used
    from dreamsweep.judges.registry import judge_weights
    from dreamsweep.weights import sha256_of

    used: dict[str, str] = {}
    for part in itertools.chain.from_iterable(map(guides_of, guides)):
        used |= sha256_of(part.name)
    for judge in judges:
        used |= judge_weights(judge.name, judge.labels)
    for spec in specs:
        used |= weights_used(spec, weights)
    return used
