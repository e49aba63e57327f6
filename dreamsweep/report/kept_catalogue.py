"""A large sweep's catalogue, kept beside its summary, so that the morning's first look at it need not compute the standings."""

import contextlib
import hashlib
import io
import tempfile
from pathlib import Path

from dreamsweep.report.catalogue import UNREADABLE, Catalogue, load_catalogue, make_catalogue
from dreamsweep.report.query import answer
from dreamsweep.results.manifest import published_manifest
from dreamsweep.store import Store, keys

KEPT_FROM = 5_000
"""Trials of a sweep from which its catalogue is kept; that of a smaller one is computed in a fraction of a second."""
VERSION = "2"
"""Version of the format of the kept catalogue files; a file of another version is not read, and its catalogue is computed again."""


def state_of(store: Store, sweep: str) -> str:
    """Returns what a sweep's catalogue depends on: it changes with what is published, and with what judges wrote afterwards.

    Raises StoreError where the sweep is not published.
    """
    parts = published_manifest(store, sweep).generation, *store.entries(keys.judged(sweep, "judgements"))
    return hashlib.sha256(repr((VERSION, sweep, parts)).encode()).hexdigest()[:32]


def keep_catalogue(store: Store, sweep: str) -> None:
    """Writes the catalogue of a published sweep of many trials to `<sweep>/summary/`, in place of an earlier one.

    Takes some 13 s of two cores and 0.8 GiB of memory for a million trials.
    """
    if published_manifest(store, sweep).trials < KEPT_FROM:
        return
    state = state_of(store, sweep)
    key = keys.summary_catalogue(sweep, state)
    if not store.exists(key):
        catalogue = answer(store, make_catalogue, sweep)
        if state_of(store, sweep) != state:
            return  # another has published or judged meanwhile, and keeps its own
        with tempfile.TemporaryDirectory(prefix="dreamsweep-summary-") as scratch:
            path = Path(scratch) / "catalogue.npz"
            catalogue.save(path)
            store.write_file(key, path)
    for old in list(store.keys(keys.summary_catalogues(sweep))):
        if old != key:
            store.delete(old)


def kept_catalogue(store: Store, sweep: str, state: str) -> Catalogue | None:
    """Returns the catalogue that was kept of this state of a sweep; None where none was, or it is damaged."""
    data = store.get(keys.summary_catalogue(sweep, state))
    with contextlib.suppress(*UNREADABLE):
        return load_catalogue(io.BytesIO(data)) if data else None
    return None
