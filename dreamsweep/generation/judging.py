"""Judging of stored pictures: scores by any judge into rows of their own, within a shard as well as after the fact.

    judge_sweep     every trial of a published sweep, by `dreamsweep judge`: what is scored already is left out
    judge_trials    some trials, by one judge: the step that both share; a shard calls it for its own (`generation/extend.py`)

What was generated is read and never changed. Rows are written a chunk of trials at a time, under a name that the judge and the pictures
decide: a run that was cut off and is run again leaves the same rows.
"""

import hashlib
import json
import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import torch
from jaxtyping import UInt8
from pydantic import ValidationError
from torch import Tensor

from dreamsweep.compute.devices import resolve_device
from dreamsweep.compute.images import decode_png, spec_json_of
from dreamsweep.errors import DreamsweepError, StoreError
from dreamsweep.generation.concepts import Lexicon, reason_unread
from dreamsweep.judges.protocol import Explains, Judgement
from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.report.kept_catalogue import keep_catalogue
from dreamsweep.report.query import query
from dreamsweep.report.views import quoted
from dreamsweep.results.appended import fold_judged, write_judged
from dreamsweep.spec import PERCEPTORS, SHIPPED_JUDGES, Trial
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import ahead

PictureKind = Literal["best", "final", "snapshots"]
TRIALS_A_CHUNK = 64
"""Trials whose rows are written together: what a run that is cut off loses at most."""
PICTURES_AT_ONCE = 16
"""Pictures that a judge scores in one batch."""
TRIAL_COLUMNS = ("trial_id", "best_iteration", "iterations_done", "best_uri", "final_uri")
"""Columns of `trials` that say which pictures there are of each."""
_Trial = Mapping[str, Any]
"""A row of `trials`, with these columns."""


@dataclass(frozen=True)
class Judged:
    """Progress of a judge with a sweep."""

    judge: str
    done: int
    """Pictures that have a row now, those of earlier runs included."""
    pictures: int
    failed: int
    """Pictures of this run that could not be scored."""


@dataclass(frozen=True)
class _Picture:
    """A stored picture."""

    trial_id: str
    name: str
    iteration: int | None
    """None where the judge on the way scored none of the trial's pictures."""


@dataclass(frozen=True)
class _Opened:
    """A stored picture with its pixels, and the trial whose it is, as the file says."""

    picture: _Picture
    trial: Trial
    pixels: UInt8[Tensor, "3 h w"]


def judge_sweep(
    store: Store, sweep: str, judges: Sequence[str], pictures: Sequence[PictureKind] = ("best",), device: str = "auto"
) -> Generator[Judged, None, None]:
    """Scores the stored pictures of a published sweep with each judge that has not scored them yet; says after every chunk how far it is.

    Memory holds one chunk of trials. A picture that cannot be scored is a row with its error, and is tried again next time. Raises
    StoreError where there is no such sweep, PluginError and UserError for judges that there are not, WeightsError without their weights.
    """
    device = resolve_device(device)
    versions = {name: _version(name) for name in judges}  # before the first picture: a wrong name ends it here
    rows = query(store, f"SELECT {', '.join(TRIAL_COLUMNS)} FROM trials ORDER BY trial_id", sweep).to_pylist()
    for name, version in versions.items():
        yield from judge_trials(store, sweep, name, rows, pictures, device, scored=_scored(store, sweep, name, version))
    fold_judged(store, sweep, "judgements")
    keep_catalogue(store, sweep)


def judge_trials(
    store: Store,
    sweep: str,
    judge: str,
    trials: Sequence[_Trial],
    kinds: Sequence[PictureKind],
    device: str,
    *,
    labels: Sequence[str] = (),
    scored: Collection[tuple[str, str]] = (),
) -> Generator[Judged, None, None]:
    """Scores the stored pictures of these trials with one judge; says before the first chunk and after each how far it is.

    `trials` are rows with `TRIAL_COLUMNS`; `labels` those of a list that is a file, if they were read before; `scored` the trials and names
    of pictures to leave out. Raises as `judge_sweep`.
    """
    run = _Run(store, sweep, judge, tuple(labels), _version(judge, labels), device)
    chunks = [trials[start : start + TRIALS_A_CHUNK] for start in range(0, len(trials), TRIALS_A_CHUNK)]
    wanted = [[picture for trial in chunk for picture in _pictures(run, trial, kinds)] for chunk in chunks]
    total, failed = sum(map(len, wanted)), 0
    left = [[picture for picture in chunk if (picture.trial_id, picture.name) not in scored] for chunk in wanted]
    done = total - sum(map(len, left))
    yield Judged(judge, done, total, failed)
    for chunk in filter(None, left):
        judgements = _judgements(run, chunk)
        write_judged(store, sweep, "judgements", judgements, _rows_name(run, chunk))
        done += len(chunk)
        failed += sum(row["error"] is not None for row in judgements)
        yield Judged(judge, done, total, failed)


def _version(name: str, labels: Sequence[str] = ()) -> str:
    return " ".join(judge_weights(name, labels).values())


@dataclass(frozen=True)
class _Run:
    """One judge's run over the trials of a sweep."""

    store: Store
    sweep: str
    judge: str
    labels: tuple[str, ...]
    version: str
    device: str


def _pictures(run: _Run, row: _Trial, kinds: Sequence[PictureKind]) -> Iterator[_Picture]:
    """Yields the pictures of a trial that are asked for and kept."""
    trial = row["trial_id"]
    if "snapshots" in kinds:
        folder = keys.picture(run.sweep, trial, "")
        for key in run.store.keys(folder):
            if re.fullmatch(r"\d{6}\.png", name := key.removeprefix(folder)):
                yield _Picture(trial, name, int(name[:6]))
    if "best" in kinds and row["best_uri"]:
        yield _Picture(trial, keys.BEST, row["best_iteration"])
    if "final" in kinds and row["final_uri"]:
        yield _Picture(trial, keys.FINAL, row["iterations_done"])


def _scored(store: Store, sweep: str, judge: str, version: str) -> set[tuple[str, str]]:
    """Returns trial and name of each picture that this version of a judge has scored."""
    statement = f"SELECT trial_id, picture FROM judgements WHERE error IS NULL AND judge = {quoted(judge)} AND version = {quoted(version)}"
    return {(row["trial_id"], row["picture"]) for row in query(store, statement, sweep).to_pylist()}


def _judgements(run: _Run, pictures: Sequence[_Picture]) -> list[dict[str, Any]]:
    """Returns a row for each picture, in their order."""
    said: dict[_Picture, tuple[Judgement | None, str | None, str | None]] = {}
    batches: dict[tuple[Any, ...], list[_Opened]] = {}
    for picture, opened in zip(pictures, ahead(lambda picture: _open(run, picture), pictures), strict=True):
        if isinstance(opened, str):
            said[picture] = (None, None, opened)
        elif opened.trial.concepts and (reason := _unread(run, opened.trial)):
            said[picture] = (Judgement(None, reason), opened.trial.prompt.text, None)
        else:
            batches.setdefault(_batch_of(run.judge, opened), []).append(opened)
    for alike in batches.values():
        for start in range(0, len(alike), PICTURES_AT_ONCE):
            batch = alike[start : start + PICTURES_AT_ONCE]
            for opened, judgement in zip(batch, _score(run, batch), strict=True):
                prompt = opened.trial.prompt.text
                said[opened.picture] = (None, prompt, judgement) if isinstance(judgement, str) else (judgement, prompt, None)
    now = datetime.now(UTC)
    return [_row(run, picture, *said[picture], now) for picture in pictures]


def _unread(run: _Run, trial: Trial) -> str | None:
    """Returns why the judge has no score for a trial with new words; None where it knows them."""
    return reason_unread(run.store, run.sweep, run.judge, run.version.partition(" ")[0], trial)


def _batch_of(judge: str, opened: _Opened) -> tuple[Any, ...]:
    """Returns what pictures of one batch have in common: their size, and their iteration where a score may depend on it."""
    engine = opened.trial.engine
    depends = engine.draws_frames or (judge not in PERCEPTORS and judge not in SHIPPED_JUDGES and ":" not in judge)
    walks = tuple(opened.trial.prompt.to) if engine.draws_frames else ()
    return engine.engine, engine.num_iter, opened.pixels.shape, len(walks), opened.picture.iteration if depends else None


def _open(run: _Run, picture: _Picture) -> _Opened | str:
    """Returns a picture and its trial, or why they cannot be read."""
    key = keys.picture(run.sweep, picture.trial_id, picture.name)
    try:
        data = run.store.read(key)
        pixels, written = decode_png(data), spec_json_of(data)
        if written is None:
            return f"{picture.name} does not say of which trial it is: it was written by another program"
        spec = json.loads(written)
        spec.pop("trial_id", None)
        return _Opened(picture, Trial.model_validate(spec), pixels)
    except StoreError as error:
        return str(error)
    except ValidationError as error:
        return f"{picture.name} is of a trial that this version does not know ({error.errors(include_url=False)[0]['msg']})"
    except (OSError, ValueError, SyntaxError) as error:
        return f"{picture.name} cannot be read ({' '.join(str(error).split())})"


def _score(run: _Run, batch: Sequence[_Opened]) -> list[Judgement | str]:
    """Returns the judge's word on each picture of a batch, or why it has none: where a batch fails, each picture by itself."""
    try:
        trials = [opened.trial for opened in batch]
        judge = make_judge(run.judge, trials, run.device, run.labels, Lexicon(run.store, run.sweep, trials).teach)
        pixels = torch.stack([opened.pixels for opened in batch]).float().div(255).to(run.device)
        iteration = batch[0].picture.iteration or batch[0].trial.num_iter
        if isinstance(judge, Explains):
            return [*judge.judgements(pixels, iteration)]
        scores, _ = judge.score(pixels, iteration)
        return [Judgement(float(score)) for score in scores]
    except DreamsweepError:  # of the machine or the weights: of no single picture
        raise
    except Exception as error:  # noqa: BLE001 - a judge may be anybody's
        if len(batch) == 1:
            return [f"{type(error).__name__}: {' '.join(str(error).split())}"]
        return [judgement for opened in batch for judgement in _score(run, [opened])]


def _row(run: _Run, picture: _Picture, judgement: Judgement | None, prompt: str | None, error: str | None, now: datetime) -> dict[str, Any]:
    return {
        "trial_id": picture.trial_id,
        "picture": picture.name,
        "iteration": picture.iteration,
        "judge": run.judge,
        "version": run.version,
        "prompt": prompt,
        "score": judgement and judgement.score,
        "reason": judgement and judgement.reason,
        "details": sorted(judgement.details.items()) if judgement and judgement.details else None,
        "error": error,
        "scored_at": now,
    }


def _rows_name(run: _Run, pictures: Sequence[_Picture]) -> str:
    """Returns the name of a chunk's rows: the same for the same judge and pictures, whoever writes them."""
    lines = (f"{picture.trial_id} {picture.name}" for picture in pictures)
    return hashlib.sha256("\n".join((run.judge, run.version, *lines)).encode()).hexdigest()[:16]
