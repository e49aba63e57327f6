"""The catalogues that walls are read from: in memory, and in a folder of this machine, as long as nothing that they show has changed."""

import contextlib
import hashlib
import os
import tempfile
import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from dreamsweep.errors import StoreError
from dreamsweep.report.catalogue import UNREADABLE, Catalogue, load_catalogue, make_catalogue
from dreamsweep.report.kept_catalogue import kept_catalogue, state_of
from dreamsweep.report.query import answer
from dreamsweep.results.manifest import published_manifest, readable_manifest
from dreamsweep.store import Store
from dreamsweep.tables.parquet import ahead

IN_MEMORY = 3_000_000
"""Trials of all catalogues that are kept in memory, some 80 bytes each; the one asked for last is kept however large it is."""


@dataclass(frozen=True)
class Kept:
    """A catalogue, and the state of its sweeps that it shows."""

    state: str
    sweeps: tuple[str, ...]
    catalogue: Catalogue


def sweeps_of(store: Store, names: str) -> tuple[str, ...]:
    """Returns the sweeps that an address names: one, several with commas between, or patterns such as `nightly-*`.

    Raises StoreError where one is not published, or a pattern matches none.
    """
    sweeps: dict[str, None] = {}
    for name in [name for name in names.split(",") if name] or [names]:
        if not any(sign in name for sign in "*?"):
            sweeps[published_manifest(store, name).sweep] = None
            continue
        matching = [sweep for sweep in store.folders() if fnmatchcase(sweep, name)]
        published = [manifest.sweep for manifest in ahead(lambda sweep: readable_manifest(store, sweep), matching) if manifest]
        if not published:
            raise StoreError(f"store {store.uri!r} has no published sweep that matches {name!r}.")
        sweeps |= dict.fromkeys(published)
    return tuple(sweeps)


class Catalogues:
    """Catalogues of a store's sweeps."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self.store, self.folder = store, folder
        self._kept: dict[str, Kept] = {}
        self._making = threading.Lock()  # one at a time: several browsers that open the same wall share one

    def of(self, names: str) -> Kept:
        """Returns the catalogue of the sweeps that an address names. Raises StoreError as `sweeps_of` does."""
        sweeps = sweeps_of(self.store, names)
        states = [state_of(self.store, sweep) for sweep in sweeps]
        state = self._together(states)
        with self._making:
            kept = self._kept.pop(state, None) or Kept(state, sweeps, self._read_or_make(sweeps, states))
            self._kept[state] = kept  # the last
            for old in [*self._kept][:-1]:
                if sum(len(each.catalogue) for each in self._kept.values()) > IN_MEMORY or self._kept[old].sweeps == sweeps:
                    del self._kept[old]
        return kept

    def state_of(self, names: str) -> str:
        """Returns what the wall of these sweeps depends on. Raises StoreError as `sweeps_of` does."""
        return self._together([state_of(self.store, sweep) for sweep in sweeps_of(self.store, names)])

    def _together(self, states: list[str]) -> str:
        return hashlib.sha256(repr((self.store.uri, states)).encode()).hexdigest()[:32]

    def _read_or_make(self, sweeps: tuple[str, ...], states: list[str]) -> Catalogue:
        path = self.folder / f"{self._together(states)}.npz" if self.folder else None
        if path:
            with contextlib.suppress(*UNREADABLE), path.open("rb") as file:
                return load_catalogue(file)
        published = kept_catalogue(self.store, sweeps[0], states[0]) if len(sweeps) == 1 else None
        catalogue = published or answer(self.store, make_catalogue, sweeps)
        if path:
            with contextlib.suppress(OSError):  # a full disk, or a folder of somebody else's: then memory alone
                _save(catalogue, path)
        return catalogue


def _save(catalogue: Catalogue, path: Path) -> None:
    """Writes a file in one step, so that another server that reads it finds it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    catalogue.save(Path(name))
    os.replace(name, path)
