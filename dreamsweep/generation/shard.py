"""Generation of one shard: a batch of trials from its first iteration, or its last checkpoint, to staged pictures and rows."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from dreamsweep.compute.devices import resolve_device
from dreamsweep.compute.images import decode_png, grid, strip
from dreamsweep.compute.precision import fast_precision, iterate_with_precision
from dreamsweep.engines import make_engine, weights_used
from dreamsweep.engines.protocol import Engine, State, Step
from dreamsweep.environment import checkpoint_seconds
from dreamsweep.errors import DeviceError
from dreamsweep.generation.artefacts import TrialFiles, files_of, film_file, picture_file
from dreamsweep.generation.batch_log import ENDLESS, BatchLog, Row, is_due, is_judged
from dreamsweep.generation.batching import generate_in_parts, part_size
from dreamsweep.generation.checkpoint import Checkpoint, checkpoint_bytes, read_checkpoint
from dreamsweep.generation.concepts import Lexicon
from dreamsweep.generation.continuation import continuation
from dreamsweep.generation.extend import extend_shard
from dreamsweep.generation.records import DAMAGED, IMITATED, REDRAWN, spec_json, trial_records
from dreamsweep.generation.write_queue import WriteQueue
from dreamsweep.guidance.guides import make_guide
from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.perceptors import load_perceptor
from dreamsweep.planning.expand import Shard, snapshots_every
from dreamsweep.results.handoff import Progress, forget_progress, write_progress
from dreamsweep.results.kept_states import state_key
from dreamsweep.results.manifest import read_shard_manifest, stage_shard
from dreamsweep.results.missing import Missing, kept_by_trial, missing
from dreamsweep.spec import Kept, Trial, guides_of
from dreamsweep.store import Store, keys
from dreamsweep.tables.rows import shard_tables

ROWS_AT_ONCE = {"cuda": 16}
"""Iterations whose rows are read from a device together, by its kind: reading one waits until it is computed. One on other devices."""


class ShardStoppedError(Exception):
    """Raised when a shard is interrupted on request, after it saved a checkpoint."""


def run_shard(shard: Shard, store: Store, device: str = "auto", stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Generates a shard and stages it; says after every iteration how far it is.

    A staged shard is left as it is; one that was cut off goes on from its checkpoint. Once it is staged, its further judges score the best
    pictures. Raises UserError for what the user can mend, and ShardStoppedError, with a checkpoint of the very iteration, once `stop` says
    so; a trial that diverges is no error but a row with its reason.
    """
    staged = read_shard_manifest(store, shard.sweep, shard.shard_id)
    lacks, kept = missing(shard, staged), {trial_id: had for trial_id, had in kept_by_trial(staged).items() if had} if staged else {}
    if not lacks:
        yield Progress.of_made(shard)
        return
    device = resolve_device(device)
    done = replace(Progress.of_made(shard), status="done")
    if lacks.trials or lacks.snapshots:
        done = yield from _generate(_to_draw(shard, lacks, kept), store, device, stop, kept)
        staged = read_shard_manifest(store, shard.sweep, shard.shard_id)
        kept = {trial_id: had for trial_id, had in kept_by_trial(staged).items() if had} if staged else {}
        lacks = missing(shard, staged)
    for _ in extend_shard(shard, store, device, lacks, kept):
        if stop():
            raise ShardStoppedError(f"shard {shard.shard_id} was told to stop while films or scores were added to its pictures")
        yield replace(done, status="running")
    yield done


def _to_draw(shard: Shard, lacks: Missing, kept: Mapping[str, Kept]) -> Shard:
    """Returns the part of a shard that an engine must draw. Trials drawn again keep the judge and films they have, and get the new
    snapshots.
    """
    ids = {*lacks.trials, *lacks.snapshots}
    before = [had for trial_id, had in kept.items() if trial_id in lacks.snapshots]
    films = dict.fromkeys((*shard.keep.films, *(kind for had in before for kind in had.films)))
    return shard.model_copy(
        update={
            "trials": tuple(trial for trial in shard.trials if trial.id in ids),
            "keep": shard.keep.model_copy(update={"films": tuple(films)}),
            "judging": before[0].judged[0] if before and before[0].judged else shard.judging,
        }
    )


def _generate(
    shard: Shard, store: Store, device: str, stop: Callable[[], bool], kept: Mapping[str, Kept]
) -> Generator[Progress, None, Progress]:
    """Draws all trials of a shard and stages them; returns its last progress."""
    iterations = shard.trials[0].num_iter
    with WriteQueue() as queue:
        run = _Run(shard, store, device, kept, queue)
        yield run.progress("resumed" if run.resumed_at else "running")
        for step in run.steps():
            run.take(step)
            if stop() and step.iteration < iterations:
                run.checkpoint(step)
                queue.join()
                raise ShardStoppedError(f"shard {shard.shard_id} was told to stop at iteration {step.iteration}/{iterations}")
            yield run.progress("running")
            if not run.log.running(step.iteration + 1).any() and step.iteration < iterations:
                break
        run.stage()
        return run.progress("done")


class _Run:
    """A shard while it runs: its engine, guide and judge, and the log that its checkpoints hold."""

    def __init__(self, shard: Shard, store: Store, device: str, kept: Mapping[str, Kept], queue: WriteQueue) -> None:
        first = shard.trials[0]
        self.kept = {trial.id: kept[trial.id] for trial in shard.trials if trial.id in kept}
        """Trials that are drawn again, with what exists of each."""
        self.snapshot_periods = {shard.keep.snapshot_every, *(every for had in self.kept.values() for every in had.snapshots_every)}
        self.shard, self.store, self.device, self.queue = shard, store, device, queue
        self.planned = Progress.of_planned(shard)
        self.trials: Sequence[Trial] = shard.trials
        self.iterations = first.num_iter
        self.engine: Engine = make_engine(first.engine, first.weights, device)
        lexicon = Lexicon(store, shard.sweep, self.trials)
        guides = [(lexicon.teach(load_perceptor(guide.name, device)), guide.weight) for guide in guides_of(first.guide)]
        self.guide_of = partial(make_guide, guides)
        self.judge = make_judge(shard.judging.judge, self.trials, device, teach=lexicon.teach)
        self.sha256 = {p.name: p.sha256 for p, _ in guides} | judge_weights(shard.judging.judge) | weights_used(first.engine, first.weights)
        self.sha256 |= lexicon.sha256
        self.warnings = [_warnings_for(trial, device, [*(guide for guide, _ in guides), self.judge]) for trial in self.trials]
        self.frames: dict[tuple[str, int], Tensor] = {}
        self.files = TrialFiles(store, shard.sweep, queue)
        self.artefacts: dict[str, list[str]] = {}
        self.keeps_state = shard.keep.states and first.engine.can_continue and not self.kept
        self.last_state: bytes | None = None
        """Encoded checkpoint of the last iteration, as a run of more iterations leaves it behind; None before."""
        self.state, self.log = self._resume()
        self.at_once = part_size(self.state, len(self.trials))
        self.iteration = self.resumed_at = self.logged = int(self.state["iteration"]) if self.state else 0
        self.rows: list[Row] = []
        """Rows of the iterations after `logged`, which the log does not have yet."""
        self.rows_at_once = ROWS_AT_ONCE.get(device.partition(":")[0], 1)
        self.spent_before = float(self.log.elapsed[self.resumed_at - 1]) if self.resumed_at else 0.0
        self.started = self.checkpointed = time.monotonic()
        self.checkpoint_every = checkpoint_seconds()

    def steps(self) -> Iterator[Step]:
        """Yields the batch, iteration by iteration; where it does not fit into the device's memory, anew, half as many trials at once."""
        while True:
            try:
                steps = generate_in_parts(self.engine, self.guide_of, self.trials, self.at_once, self.state)
                yield from iterate_with_precision(self.trials[0].precision, steps)
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise DeviceError(
                        f"device {self.device!r} has too little free memory for one trial of {self.trials[0].engine.engine!r}: lower its "
                        "cutouts or its picture's size, or free the device."
                    ) from None
                self.at_once = -(-self.at_once // 2)
            except (LookupError, RuntimeError, TypeError, ValueError):
                if not self.resumed_at or self.iteration > self.resumed_at:
                    raise
                self._warn_of_checkpoint()  # of another layout; a fault of another kind shows again in the first iteration
            else:
                return
            self._begin_anew()

    def _warn_of_checkpoint(self) -> None:
        self.warnings = [[*warnings, DAMAGED] for warnings in self.warnings]

    def _begin_anew(self) -> None:
        self.queue.join()  # or an earlier write may come after one of the same name
        self.store.delete(self._checkpoint_key)
        self.state, self.log = None, BatchLog.empty(len(self.trials), self.iterations)
        self.iteration = self.resumed_at = self.logged = 0
        self.rows = []
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    @property
    def elapsed(self) -> float:
        return self.spent_before + time.monotonic() - self.started

    def progress(self, status: Literal["running", "resumed", "done"]) -> Progress:
        best = float(self.log.best_mark.max())
        pace = (self.iteration - self.resumed_at) * len(self.trials) / max(1e-9, time.monotonic() - self.started)
        known = best if math.isfinite(best) else None
        return replace(self.planned, iteration=self.iteration, best=known, iterations_per_second=pace, status=status)

    def take(self, step: Step) -> None:
        """Takes one step: marks, snapshots and checkpoints where they are due. Its row is logged with them, or some iterations later."""
        self.iteration = step.iteration
        self.rows.append(Row.of(step, self.elapsed))
        last, is_marked = step.iteration == self.iterations, any(self._due(step.iteration, self.iterations))
        saves = time.monotonic() - self.checkpointed > self.checkpoint_every and not last
        if last or is_marked or saves or len(self.rows) >= self.rows_at_once:
            self._log(step, last, is_marked)
        if saves:
            self.checkpoint(step)

    def _log(self, step: Step, last: bool = False, is_marked: bool = False) -> None:
        """Brings the log up to a step."""
        self.log.add(self.rows)
        self.rows = []
        longer = self.log.without_end() if last and self.keeps_state else None
        if is_marked:
            pictures = step.draw()
            marks, embeddings = self.judge.score(pictures, step.iteration)
            for log, iterations in ((self.log, self.iterations), (longer, ENDLESS)):
                if log:
                    self._mark(log, step.iteration, iterations, pictures, marks, embeddings)
            self._keep_snapshots(step.iteration)
        self._keep_artefacts(step)
        self.logged = step.iteration
        if longer and longer.running(step.iteration + 1).any():
            self.last_state = checkpoint_bytes(self._checkpoint_of(step, longer))

    def _due(self, iteration: int, iterations: int) -> tuple[bool, bool]:
        """Returns whether an iteration, of so many, is judged, and whether its picture is kept."""
        periods = (snapshots_every(self.trials[0].engine, every) for every in self.snapshot_periods)
        snapshot = any(is_due(iteration, every, iterations) for every in periods)
        return is_judged(iteration, self.shard.judging.judge_every, iterations), snapshot

    def _mark(self, log: BatchLog, iteration: int, iterations: int, pictures: Tensor, marks: Tensor, embeddings: Tensor) -> None:
        """Takes the judge's scores into a log, where they are due in a run of so many iterations."""
        judged, snapshot = self._due(iteration, iterations)
        if judged or snapshot:
            log.mark(iteration, pictures, marks, embeddings)
        if judged and (patience := self.trials[0].engine.patience):
            log.stop_stale(iteration, self.shard.judging.judge_every, patience)
        if snapshot:
            log.snapshot[log.running(iteration) & ~log.diverged, iteration - 1] = True

    def stage(self) -> None:
        """Writes the pictures and the state to keep, then the rows, then the shard's manifest; the checkpoint is no longer needed."""
        for index, trial in enumerate(self.trials):
            metadata = spec_json(trial)
            if trial.id in self.kept and self._differs(index):
                continue  # what exists stays, and the trial's row says so
            self.files.write(trial.id, picture_file(keys.FINAL, self.log.final[index], metadata))
            self.files.write(trial.id, picture_file(keys.BEST, self.log.best[index], metadata))
            frames = self._film(index)
            for kind in self.shard.keep.films:
                self.files.write(trial.id, film_file(kind, frames))
            if trial.engine.draws_frames:
                sheet = strip(frames) if trial.engine.is_walk(trial.prompt) else grid(frames)
                self.files.write(trial.id, picture_file(keys.SHEET, sheet, metadata))
        self.queue.join()
        if self.last_state:
            self.store.write(state_key(self.shard), self.last_state)
        records, scores = trial_records(
            self.shard, self.log, self.sha256, self.warnings, self.device, self.elapsed, self.at_once, self.artefacts
        )
        sweep = self.shard.sweep
        now = {t.id: self.kept.get(t.id, Kept()).with_more(self.shard.keep, self.shard.judging) for t in self.trials}
        files = self.files.of_trials([trial.id for trial in self.trials], complete=bool(self.resumed_at or self.kept))
        stage_shard(self.store, sweep, self.shard.shard_id, shard_tables(sweep, records, scores, files), now)
        self.store.delete(self._checkpoint_key)
        forget_progress(self.store, sweep, self.shard.shard_id)

    def _differs(self, index: int) -> bool:
        """Returns whether a redrawn trial differs from before, as on another device; its stored pictures are then kept."""
        trial = self.trials[index]
        final, best = (decode_png(self.store.read(self._picture_key(trial, name))) for name in (keys.FINAL, keys.BEST))
        if self.log.diverged[index] or torch.equal(final, self.log.final[index]):
            return False
        self.log.final[index], self.log.best[index] = final, best
        self.warnings[index] = [*self.warnings[index], REDRAWN]
        return True

    def _keep_snapshots(self, iteration: int) -> None:
        for index in self.log.snapshot[:, iteration - 1].nonzero().flatten().tolist():
            trial = self.trials[index]
            picture = self.frames[trial.id, iteration] = self.log.final[index].clone()
            name = keys.snapshot_name(iteration)
            if trial.id not in self.kept or not self.store.exists(self._picture_key(trial, name)):
                self.files.write(trial.id, picture_file(name, picture, spec_json(trial)))

    def _keep_artefacts(self, step: Step) -> None:
        """Stores what trials that ended since the last step in the log leave beside their pictures; none of them has moved since."""
        if step.artefacts is None:
            return
        ended = (self.logged < self.log.stopped_at) & (self.log.stopped_at <= step.iteration)
        for index in ended.nonzero().flatten().tolist():
            trial = self.trials[index]
            names = self.artefacts[trial.id] = []
            for artefact in step.artefacts(index):
                for file in files_of(artefact, self.shard.keep.films):
                    if trial.id not in self.kept or not self.store.exists(self._picture_key(trial, file.name)):
                        self.files.write(trial.id, file)
                    names.append(file.name)

    def _film(self, index: int) -> list[Tensor]:
        """Returns the snapshots, those from before a resume read back, and the final picture."""
        trial = self.trials[index]
        frames = []
        for iteration in (self.log.snapshot[index].nonzero().flatten() + 1).tolist():
            if (trial.id, iteration) not in self.frames:
                self.frames[trial.id, iteration] = decode_png(self.store.read(self._picture_key(trial, keys.snapshot_name(iteration))))
            frames.append(self.frames[trial.id, iteration])
        whole = frames and torch.equal(frames[-1], self.log.final[index])
        return frames if whole else [*frames, self.log.final[index]]

    def _picture_key(self, trial: Trial, name: str) -> str:
        return keys.picture(self.shard.sweep, trial.id, name)

    @property
    def _checkpoint_key(self) -> str:
        return keys.checkpoint(self.shard.sweep, self.shard.shard_id)

    def checkpoint(self, step: Step) -> None:
        """Has a checkpoint of this step saved, once the files that it names are there, and then the shard's progress written."""
        if self.rows:
            self._log(step)
        checkpoint, progress = self._checkpoint_of(step, self.log), self.progress("running")

        def save() -> None:
            self.store.write(self._checkpoint_key, checkpoint_bytes(checkpoint))
            write_progress(self.store, self.shard.sweep, progress)

        self.queue.submit(save, checkpoint.size, after_all=True)
        self.checkpointed = time.monotonic()

    def _checkpoint_of(self, step: Step, log: BatchLog) -> Checkpoint:
        """Copies a step and a log into memory, where no later iteration changes them."""
        state = {name: value.detach().cpu() for name, value in step.state().items()}
        artefacts = {trial_id: list(names) for trial_id, names in self.artefacts.items()}
        return Checkpoint(state, BatchLog.from_state(log.state()), [t.id for t in self.trials], artefacts, self.sha256)

    def _resume(self) -> tuple[State | None, BatchLog]:
        """Returns the last checkpoint, where it is of these very trials; else the kept state of a shorter run; else a fresh log."""
        data = self.store.get(self._checkpoint_key)
        checkpoint = read_checkpoint(data) if data is not None else None
        if data is not None and (checkpoint is None or not self._fits(checkpoint)):
            checkpoint = None
            self._warn_of_checkpoint()
        if checkpoint is None or checkpoint.trials != [t.id for t in self.trials]:
            checkpoint = None if self.kept else continuation(self.shard, self.store, self.sha256)
        if checkpoint is None:
            return None, BatchLog.empty(len(self.trials), self.iterations)
        self.artefacts = {trial_id: list(names) for trial_id, names in checkpoint.artefacts.items()}
        return checkpoint.state, checkpoint.log

    def _fits(self, checkpoint: Checkpoint) -> bool:
        """Returns whether the log of a checkpoint has the shapes that a log of its trials has in this version."""
        empty = BatchLog.empty(len(checkpoint.trials), self.iterations).state()
        shapes = {name: value.shape for name, value in checkpoint.log.state().items() if value.numel()}
        return "iteration" in checkpoint.state and all(shapes.get(name) == value.shape for name, value in empty.items() if value.numel())


def _warnings_for(trial: Trial, device: str, readers: Sequence[object]) -> list[str]:
    """Returns warnings, each once, about text that the guides or the judge cannot read, such as words past the context length, and about
    arithmetic that the device only imitates."""
    warn = [reader.warnings_for for reader in readers if hasattr(reader, "warnings_for")]
    imitated = [IMITATED] if trial.precision == "bfloat16" != fast_precision(device) else []
    unread = dict.fromkeys(warning for warnings_for in warn for text in trial.prompt.texts.values() for warning in warnings_for(text))
    return [*imitated, *unread]
