"""Extension of a staged shard: films and scores from what it stored. No engine iterates here."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from dreamsweep.compute.images import FILM_TYPES, decode_png, film_bytes
from dreamsweep.engines import make_engine
from dreamsweep.engines.protocol import RemakesFilms
from dreamsweep.generation.artefacts import files_of
from dreamsweep.generation.judging import TRIAL_COLUMNS, judge_trials
from dreamsweep.planning.expand import Shard
from dreamsweep.results.manifest import read_shard_manifest, record_kept
from dreamsweep.results.missing import Missing
from dreamsweep.retry import PROGRESS
from dreamsweep.spec import FilmFormat, Kept, Trial
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import read_table
from dreamsweep.text import counted


def extend_shard(shard: Shard, store: Store, device: str, lacks: Missing, kept: Mapping[str, Kept]) -> Iterator[None]:
    """Encodes the films and computes the scores that a staged shard lacks; records each part in its manifest as soon as it is there.

    Yields between steps, where it can be left and begun again: what is not recorded is then computed anew, into the same files.
    """
    known = dict(kept)

    def record(more: Mapping[str, Kept]) -> None:
        known.update(more)
        record_kept(store, shard.sweep, shard.shard_id, more)

    if lacks.films:
        yield from _add_films(shard, store, device, lacks.films, known)
        record({trial_id: known[trial_id].with_more(keep=shard.keep) for trial_id in lacks.films})
    if lacks.judging:
        trials = _staged_rows(store, shard, lacks.judging)
        for _ in judge_trials(store, shard.sweep, shard.judging.judge, trials, ("snapshots", "final"), device):
            yield
        record({trial_id: known[trial_id].with_more(judging=shard.judging) for trial_id in lacks.judging})
    for judge in shard.judges if lacks.judges else ():
        ids = [trial_id for trial_id in lacks.judges if judge.key not in known[trial_id].judges]
        trials = _staged_rows(store, shard, ids)
        for _ in judge_trials(store, shard.sweep, judge.name, trials, ("best",), device, labels=judge.labels):
            yield
        record({trial_id: known[trial_id].with_more(judge=judge) for trial_id in ids})


def _add_films(shard: Shard, store: Store, device: str, trial_ids: Sequence[str], kept: Mapping[str, Kept]) -> Iterator[None]:
    """Encodes the films that trials lack, trial by trial."""
    by_id = {trial.id: trial for trial in shard.trials}
    lost = Counter[str]()
    for trial_id in trial_ids:
        pictures = stored_pictures(store, shard.sweep, trial_id)
        frames = list(pictures.values())
        if len(frames) > 1 and torch.equal(frames[-1], frames[-2]):
            frames.pop()  # the last snapshot is the final picture
        kinds = set(shard.keep.films) - set(kept[trial_id].films)
        lost.update(_refilm(by_id[trial_id], shard.sweep, sorted(kinds), store, device))
        for kind in kinds:
            store.write(keys.picture(shard.sweep, trial_id, keys.film_name(kind)), film_bytes(frames, kind), FILM_TYPES[kind])
        yield
    for name, count in sorted(lost.items()):
        PROGRESS.warning(
            "shard %s: %s of %s cannot be made afterwards, only by a sweep of another name.", shard.shard_id, name, counted(count, "trial")
        )


def _staged_rows(store: Store, shard: Shard, trial_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the rows of these trials in the shard's staged table, as far as judging reads them."""
    manifest = read_shard_manifest(store, shard.sweep, shard.shard_id)
    rows: list[dict[str, Any]] = []
    if manifest is None:
        return rows
    for key in manifest.tables.get("trials", ()):
        table = read_table(store, key, TRIAL_COLUMNS, manifest.contents.get(key))
        rows += table.filter(pc.is_in(table["trial_id"], pa.array(trial_ids, pa.string()))).to_pylist()
    order = {trial_id: number for number, trial_id in enumerate(trial_ids)}
    return sorted(rows, key=lambda row: order[row["trial_id"]])


def _refilm(trial: Trial, sweep: str, kinds: Sequence[FilmFormat], store: Store, device: str) -> set[str]:
    """Makes the films that a trial left beside that of its iterations in other formats; returns the names of those that it cannot make."""
    folder = keys.picture(sweep, trial.id, "")
    names = [name for key in store.keys(folder) if not (name := key.removeprefix(folder)).endswith(".png")]
    films = {stem for stem, _, ending in (name.rpartition(".") for name in names) if ending in FILM_TYPES and stem != "film"}
    missing = {keys.film_name(kind, stem) for stem in films for kind in kinds} - set(names)
    engine = make_engine(trial.engine, trial.weights, device) if missing else None
    if isinstance(engine, RemakesFilms):
        others = {name: store.read(folder + name) for name in names if name.rpartition(".")[2] not in FILM_TYPES}
        for film in engine.films_of(others):
            for file in files_of(film, kinds):
                store.write(folder + file.name, file.encode(), file.content_type)
                missing.discard(file.name)
    return missing


def stored_pictures(store: Store, sweep: str, trial_id: str) -> dict[str, Tensor]:
    """Returns a trial's stored snapshots in order, then its final picture, by name: `3 h w`, 8-bit."""
    folder = keys.picture(sweep, trial_id, "")
    names = [name for key in store.keys(folder) if re.fullmatch(r"\d{6}\.png", name := key.removeprefix(folder))]
    return {name: decode_png(store.read(folder + name)) for name in (*names, keys.FINAL)}
