"""Extension of a staged shard: films and scores from what it stored. No engine iterates here."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import torch
from torch import Tensor

from dreamsweep.compute.images import FILM_TYPES, decode_png, film_bytes
from dreamsweep.engines import make_engine
from dreamsweep.engines.protocol import RemakesFilms
from dreamsweep.generation.artefacts import files_of
from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.planning.expand import Shard
from dreamsweep.results.manifest import record_kept
from dreamsweep.results.missing import Missing
from dreamsweep.retry import PROGRESS
from dreamsweep.spec import FilmFormat, Kept, Trial, canonical_json
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import PARQUET, parquet_bytes
from dreamsweep.tables.schemas import JUDGEMENTS
from dreamsweep.text import counted


def extend_shard(shard: Shard, store: Store, device: str, lacks: Missing, kept: dict[str, Kept]) -> None:
    """Encodes the films and computes the scores that a staged shard lacks, then records them in its manifest."""
    by_id = {trial.id: trial for trial in shard.trials}
    lost = Counter[str]()
    for trial_id in lacks.films:
        pictures = stored_pictures(store, shard.sweep, trial_id)
        frames = list(pictures.values())
        if len(frames) > 1 and torch.equal(frames[-1], frames[-2]):
            frames.pop()  # the last snapshot is the final picture
        kinds = set(shard.keep.films) - set(kept[trial_id].films)
        lost.update(_refilm(by_id[trial_id], shard.sweep, sorted(kinds), store, device))
        for kind in kinds:
            store.write(keys.picture(shard.sweep, trial_id, keys.film_name(kind)), film_bytes(frames, kind), FILM_TYPES[kind])
    for name, count in sorted(lost.items()):
        PROGRESS.warning(
            "shard %s: %s of %s cannot be made afterwards, only by a sweep of another name.", shard.shard_id, name, counted(count, "trial")
        )
    if lacks.judging:
        scored = [by_id[trial_id] for trial_id in lacks.judging]
        rows = score_stored(shard, scored, store, device)
        store.write(judgements_key(shard, scored), parquet_bytes(rows), PARQUET)
    more = {
        trial_id: kept[trial_id].with_more(
            shard.keep if trial_id in lacks.films else None, shard.judging if trial_id in lacks.judging else None
        )
        for trial_id in {*lacks.films, *lacks.judging}
    }
    record_kept(store, shard.sweep, shard.shard_id, more)


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
            for name, content_type, data in files_of(film, kinds):
                store.write(folder + name, data, content_type)
                missing.discard(name)
    return missing


def score_stored(shard: Shard, trials: Sequence[Trial], store: Store, device: str) -> pa.Table:
    """Returns the judge's score of every stored picture of these trials, snapshots and final ones: a row a picture."""
    name_of_judge = shard.judging.judge
    version = " ".join(judge_weights(name_of_judge).values())
    now, rows = datetime.now(UTC), []
    for trial in trials:
        judge = make_judge(name_of_judge, [trial], device)
        for name, picture in stored_pictures(store, shard.sweep, trial.id).items():
            iteration = None if name == keys.FINAL else int(name[:6])
            scores, _ = judge.score(picture[None].float().div(255).to(device), iteration or trial.num_iter)
            entry = {"sweep": shard.sweep, "trial_id": trial.id, "picture": name, "iteration": iteration, "judge": name_of_judge}
            entry["prompt"] = trial.prompt.text
            rows.append({**entry, "version": version, "score": float(scores[0]), "scored_at": now})
    return pa.Table.from_pylist(rows, schema=JUDGEMENTS)


def stored_pictures(store: Store, sweep: str, trial_id: str) -> dict[str, Tensor]:
    """Returns a trial's stored snapshots in order, then its final picture, by name: `3 h w`, 8-bit."""
    folder = keys.picture(sweep, trial_id, "")
    names = [name for key in store.keys(folder) if re.fullmatch(r"\d{6}\.png", name := key.removeprefix(folder))]
    return {name: decode_png(store.read(folder + name)) for name in (*names, keys.FINAL)}


def judgements_key(shard: Shard, trials: Sequence[Trial]) -> str:
    """Returns the key of a judge's scores of these trials: the same, however often they are computed."""
    text = canonical_json(shard.judging) + ",".join(trial.id for trial in trials)
    return keys.judged_rows(shard.sweep, "judgements", hashlib.sha256(text.encode()).hexdigest()[:16])
