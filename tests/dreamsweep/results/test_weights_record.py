"""All trials of a sweep must use the same weights."""

from pathlib import Path

import pytest

from dreamsweep.errors import WeightsError
from dreamsweep.results.manifest import ShardManifest
from dreamsweep.results.weights_record import refuse_other_weights
from dreamsweep.store import Store, open_store

FIRST, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one staged shard of the sweep `night`."""
    store = open_store(str(tmp_path))
    weights = (f"published-dvae:{FIRST}", f"starter-guide:{FIRST}", f"ViT-B/32:{FIRST}")
    shard = ShardManifest(shard_id="s1", trial_ids=(), picture_sha256=(), statuses=(), scores=(), weights=weights, tables={})
    store.write("night/staging/s1/manifest.json", shard.model_dump_json().encode())
    return store


@pytest.mark.parametrize("used", [{"published-dvae": FIRST}, {"RN50": OTHER}, {"starter-guide": OTHER}, {}])
def test_the_same_new_and_starter_weights_are_let_through(used: dict[str, str], store: Store) -> None:
    refuse_other_weights(store, "night", used)
    refuse_other_weights(store, "another", {"published-dvae": OTHER})


@pytest.mark.parametrize("name", ["published-dvae", "ViT-B/32"])
def test_others_are_refused(name: str, store: Store) -> None:
    sentence = rf"sweep 'night': its trials so far were made with weights '{name}' of SHA-256 a{{12}}…, but those here have b{{12}}…; bring"
    with pytest.raises(WeightsError, match=sentence):
        refuse_other_weights(store, "night", {name: OTHER})
