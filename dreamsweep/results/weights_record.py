"""Check that all trials of a sweep use the same weights, on every machine and night, against the record of trials so far."""

from collections.abc import Mapping
from itertools import islice

from dreamsweep.errors import WeightsError
from dreamsweep.results.manifest import done_shards
from dreamsweep.store import Store


def refuse_other_weights(store: Store, sweep: str, used: Mapping[str, str], shards: int | None = None) -> None:
    """Raises WeightsError when trials of this sweep were made with published weights of the same name and another SHA-256.

    `used`: name and SHA-256 of what is about to be used; `shards`: how many to look at, by default all that are made. Starter
    weights are let through: their hash comes with the package.
    """
    published = {name: digest for name, digest in used.items() if not name.startswith("starter-")}
    if not published:
        return
    for shard in islice(done_shards(store, sweep), shards):
        for line in shard.weights:
            name, _, digest = line.rpartition(":")
            if published.get(name, digest) != digest:
                raise WeightsError(
                    f"sweep {sweep!r}: its trials so far were made with weights {name!r} of SHA-256 {digest[:12]}…, but those here have "
                    f"{published[name][:12]}…; bring the former here, or give the sweep another name."
                )
