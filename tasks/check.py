"""Is everything there that the sweep needs? Better asked before a night's work."""

from collections.abc import Iterable

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.devices import resolve_device
from dreamsweep.engines import weights_used
from dreamsweep.expand import Shard, engines
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import EngineSpec, GuideChoice, PerceptorName, Sweep, WeightsName, guides_of
from dreamsweep.store import open_store
from dreamsweep.weights.record import refuse_other_weights
from tasks.policy import RETRY_DELAYS, worth_retrying


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def check(sweep: Sweep, store: str, device: str) -> None:
    """The store can be written, the device is there, every weight file is whole and the one used before. Raises DreamsweepError."""
    opened, found = open_store(store), resolve_device(device)
    opened.check()
    used = _used(sweep.guide, sweep.judge, engines(sweep), sweep.weights, found)
    refuse_other_weights(opened, sweep.name, used)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def check_shard(shard: Shard, store: str, device: str) -> None:
    """The same of one shard, where it is made: its machine may hold other weights than its neighbours. Raises DreamsweepError."""
    first = shard.trials[0]
    used = _used(first.guide, first.judge, [first.engine], first.weights, resolve_device(device))
    refuse_other_weights(open_store(store), shard.sweep, used, shards=1)


def _used(guide: GuideChoice, judge: PerceptorName, drawn_by: Iterable[EngineSpec], weights: WeightsName, device: str) -> dict[str, str]:
    """Name and SHA-256 of every weight file, each of them read whole."""
    used: dict[str, str] = {name: load_perceptor(name, device).sha256 for name in (*(one.name for one in guides_of(guide)), judge)}
    for engine in drawn_by:
        used |= weights_used(engine, weights, device)
    return used
