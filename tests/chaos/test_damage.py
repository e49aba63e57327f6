"""Kinds of damage in a table, each with what `dreamsweep verify` says of it; after its repair and a run, nothing of it is left."""

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dreamsweep.results.manifest import published_manifest
from dreamsweep.results.repair import repair
from dreamsweep.results.verification import verify
from dreamsweep.store import Store, keys
from dreamsweep.store.local import LocalStore
from tests.chaos.harness import Runs, differences

Change = Callable[[Store, str], None]


def cut(store: Store, key: str) -> None:
    data = store.read(key)
    store.write(key, data[: len(data) // 2])


def flip(store: Store, key: str) -> None:
    data = bytearray(store.read(key))
    data[random.Random(key).randrange(len(data))] ^= 1
    store.write(key, bytes(data))


def flip_footer(store: Store, key: str) -> None:
    data = bytearray(store.read(key))
    data[-30] ^= 1
    store.write(key, bytes(data))


def empty(store: Store, key: str) -> None:
    store.write(key, b"")


def fill(store: Store, key: str) -> None:
    store.write(key, b"\x00another program's bytes")


def delete(store: Store, key: str) -> None:
    store.delete(key)


def lead_out(store: Store, key: str) -> None:
    fields = json.loads(store.read(key))
    del fields["checksum"]
    store.write(key, json.dumps(fields).replace('"t/', '"../t/').encode())


def change_a_number(store: Store, key: str) -> None:
    store.write(key, re.sub(rb'"scores": \d', b'"scores": 9', store.read(key)))


@dataclass(frozen=True)
class Damage:
    """A kind of damage: which objects it meets, what happens to them, and the faults that are named."""

    place: str
    """Pattern of the keys."""
    change: Change
    faults: str
    """Kinds of the faults that are named, each once; `none` where the next run mends it without a repair."""
    every: bool = False
    """Whether all of these objects are damaged, and not only the first."""


TABLE, SHARD, TRIAL = "t/tables/[^/]+", "t/staging/[^/]+", "t/pictures/[^/]+"
KINDS = {
    "gathered trials cut": Damage(f"{TABLE}/trials.parquet", cut, "table"),
    "gathered trials, a bit flipped": Damage(f"{TABLE}/trials.parquet", flip, "table"),
    "gathered scores cut": Damage(f"{TABLE}/scores.parquet", cut, "table"),
    "gathered scores, a bit flipped in the footer": Damage(f"{TABLE}/scores.parquet", flip_footer, "table"),
    "gathered scores deleted": Damage(f"{TABLE}/scores.parquet", delete, "table"),
    "gathered embeddings empty": Damage(f"{TABLE}/embeddings.parquet", empty, "table"),
    "gathered table of files overwritten": Damage(f"{TABLE}/files.parquet", fill, "table"),
    "every gathered table cut": Damage(f"{TABLE}/.*parquet", cut, "table", every=True),
    "every gathered table deleted": Damage(f"{TABLE}/.*", delete, "table", every=True),
    "record of gathered tables deleted": Damage(f"{TABLE}/contents.json", delete, "none"),
    "record of gathered tables overwritten": Damage(f"{TABLE}/contents.json", fill, "none"),
    "manifest empty": Damage("t/manifest.json", empty, "manifest"),
    "manifest overwritten": Damage("t/manifest.json", fill, "manifest"),
    "manifest cut": Damage("t/manifest.json", cut, "manifest"),
    "manifest with another number": Damage("t/manifest.json", change_a_number, "manifest"),
    "manifest that leads out of the sweep": Damage("t/manifest.json", lead_out, "manifest"),
    "manifest deleted": Damage("t/manifest.json", delete, "none"),
    "a shard's manifest overwritten": Damage(f"{SHARD}/manifest.json", fill, "staged"),
    "a shard's manifest, a bit flipped": Damage(f"{SHARD}/manifest.json", flip, "staged"),
    "a shard's manifest deleted": Damage(f"{SHARD}/manifest.json", delete, "none"),
    "staged trials, a bit flipped": Damage(f"{SHARD}/trials.parquet", flip, "staged"),
    "staged scores cut": Damage(f"{SHARD}/scores.parquet", cut, "staged"),
    "staged scores deleted": Damage(f"{SHARD}/scores.parquet", delete, "staged"),
    "staging deleted": Damage(f"{SHARD}/.*", delete, "none", every=True),
    "best picture deleted": Damage(f"{TRIAL}/best.png", delete, "picture"),
    "best picture, a bit flipped": Damage(f"{TRIAL}/best.png", flip, "picture"),
    "final picture cut": Damage(f"{TRIAL}/final.png", cut, "picture"),
    "snapshot deleted": Damage(f"{TRIAL}/000002.png", delete, "picture"),
    "film overwritten": Damage(f"{TRIAL}/film.webp", fill, "picture"),
    "strokes empty": Damage(f"{TRIAL}/strokes.svg", empty, "picture"),
    "every picture deleted": Damage(f"{TRIAL}/.*", delete, "picture", every=True),
    "sweep file overwritten": Damage("t/sweep.yaml", fill, "none"),
}
QUICK = {"gathered scores cut", "manifest overwritten", "best picture deleted"}


@pytest.mark.parametrize("kind", [name if name in QUICK else pytest.param(name, marks=pytest.mark.chaos) for name in KINDS])
def test_a_damage_is_named_and_after_its_repair_and_a_run_nothing_is_left_of_it(
    kind: str, some_runs: Runs, calm: LocalStore, tmp_path: Path
) -> None:
    damage, store = KINDS[kind], LocalStore(tmp_path / "damaged")
    shutil.copytree(calm.folder, store.folder)
    keys_met = [key for key in store.keys("t/") if re.fullmatch(damage.place, key)]
    assert keys_met
    for key in keys_met if damage.every else keys_met[:1]:
        damage.change(store, key)
    faults = [fault for checked in verify(store, "t") for fault in checked.faults]
    assert {fault.kind for fault in faults} == ({damage.faults} - {"none"})
    if faults:
        assert {fault.key for fault in faults} <= set(keys_met)
        repair(store, "t", faults)
    assert some_runs.run(str(store.folder)) == 0
    assert differences(store, calm, repaired=True) == []


@pytest.mark.chaos
def test_tables_that_nothing_staged_can_give_again_are_made_again(some_runs: Runs, calm: LocalStore, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "damaged")
    shutil.copytree(calm.folder, store.folder)
    for key in list(store.keys(keys.staging("t"))):
        store.delete(key)
    cut(store, published_manifest(store, "t").tables["scores"][0])
    faults = [fault for checked in verify(store, "t") for fault in checked.faults]
    assert [fault.kind for fault in faults] == ["table"]
    assert not repair(store, "t", faults).published, "its trials are in no shard"
    assert some_runs.run(str(store.folder)) == 0
    assert differences(store, calm, repaired=True) == []
