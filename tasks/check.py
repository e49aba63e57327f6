"""Is everything there that the sweep needs? Better asked before a night's work."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from dreamsweep.devices import resolve_device
from dreamsweep.engines import weights_used
from dreamsweep.expand import engines
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import Sweep, guides_of
from dreamsweep.store import open_store
from dreamsweep.weights.record import refuse_other_weights
from tasks.policy import RETRY_DELAYS, worth_retrying


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def check(sweep: Sweep, store: str, device: str) -> None:
    """The store can be written, the device is there, every weight file is whole and the one used before. Raises DreamsweepError."""
    opened, found = open_store(store), resolve_device(device)
    opened.check()
    names = [*(guide.name for guide in guides_of(sweep.guide)), sweep.judge]
    used: dict[str, str] = {name: load_perceptor(name, found).sha256 for name in names}
    for engine in engines(sweep):
        used |= weights_used(engine, sweep.weights, found)
    refuse_other_weights(opened, sweep.name, used)
