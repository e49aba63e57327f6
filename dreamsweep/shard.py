"""One shard: a batch of trials from its first iteration, or its last checkpoint, to staged pictures and rows."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from dreamsweep.batch import BatchLog, is_due
from dreamsweep.devices import resolve_device
from dreamsweep.engines import make_engine, weights_used
from dreamsweep.engines.parts import generate_in_parts, part_size
from dreamsweep.engines.protocol import Engine, State, Step
from dreamsweep.environment import checkpoint_seconds
from dreamsweep.errors import DeviceError
from dreamsweep.expand import Shard, snapshots_every
from dreamsweep.guidance import Judge, make_guide
from dreamsweep.manifest import shard_is_done, stage_shard
from dreamsweep.perceptors import load_perceptor
from dreamsweep.pictures import FILM_TYPES, decode_png, film_bytes, grid, png_bytes, strip, to_bytes
from dreamsweep.planned import Progress, forget_progress, write_progress
from dreamsweep.precision import each_in
from dreamsweep.records import trial_records
from dreamsweep.spec import FramesSpec, GuidedSpec, Trial, UnclipSpec, guides_of
from dreamsweep.store import Store
from dreamsweep.tables import scores_table, trials_table


class ShardStoppedError(Exception):
    """A shard that was told to stop has kept where it is."""


def run_shard(shard: Shard, store: Store, device: str = "auto", stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Generates a shard and stages it; says after every iteration how far it is.

    A staged shard is left as it is; one that was cut off goes on from its checkpoint. Raises DreamsweepError for what the
    user can mend, and ShardStoppedError, with a checkpoint of the very iteration, once `stop` says so; a trial that diverges is
    no error but a row with its reason.
    """
    trials, iterations = shard.trials, shard.trials[0].num_iter
    if shard_is_done(store, shard.sweep, shard.shard_id, (t.id for t in trials)):
        yield Progress.of_made(shard)
        return
    device = resolve_device(device)
    run = _Run(shard, store, device)
    yield run.progress("resumed" if run.resumed_at else "running")
    for step in run.steps():
        run.take(step)
        if stop() and step.iteration < iterations:
            run.checkpoint(step)
            raise ShardStoppedError(f"shard {shard.shard_id} was told to stop at iteration {step.iteration}/{iterations}")
        yield run.progress("running")
        if not run.log.running(step.iteration + 1).any() and step.iteration < iterations:
            break
    run.stage()
    yield run.progress("done")


class _Run:
    """A shard while it runs: its engine, guide and judge, and the log that its checkpoints hold."""

    def __init__(self, shard: Shard, store: Store, device: str) -> None:
        first = shard.trials[0]
        self.shard, self.store, self.device = shard, store, device
        self.trials: Sequence[Trial] = shard.trials
        self.iterations = first.num_iter
        self.engine: Engine = make_engine(first.engine, first.weights, device)
        guides = [(load_perceptor(guide.name, device), guide.weight) for guide in guides_of(first.guide)]
        perceptors = [*(guide for guide, _ in guides), judge := load_perceptor(first.judge, device)]
        self.guide_of = partial(make_guide, guides)
        self.judge = Judge(judge, self.trials)
        self.sha256 = {p.name: p.sha256 for p in perceptors} | weights_used(first.engine, first.weights, device)
        self.warnings = [_warnings_for(trial, perceptors) for trial in self.trials]
        self.frames: dict[tuple[str, int], Tensor] = {}
        self.state, self.log = self._resume()
        self.at_once = part_size(self.state, len(self.trials))
        self.iteration = self.resumed_at = int(self.state["iteration"]) if self.state else 0
        self.spent_before = float(self.log.elapsed[self.resumed_at - 1]) if self.resumed_at else 0.0
        self.started = self.checkpointed = time.monotonic()
        self.checkpoint_every = checkpoint_seconds()

    def steps(self) -> Iterator[Step]:
        """The batch, iteration by iteration; where it does not fit into the device's memory, anew, half as many trials at once."""
        while True:
            try:
                steps = generate_in_parts(self.engine, self.guide_of, self.trials, self.at_once, self.state)
                yield from each_in(self.trials[0].precision, steps)
            except torch.OutOfMemoryError:
                if self.at_once == 1:
                    raise DeviceError(
                        f"device {self.device!r} has too little free memory for one trial of {self.trials[0].engine.engine!r}: lower its "
                        "cutouts or its picture's size, or free the device."
                    ) from None
            else:
                return
            self.at_once = -(-self.at_once // 2)
            self._begin_anew()

    def _begin_anew(self) -> None:
        self.store.delete(self._checkpoint_key)
        self.state, self.log = self._resume()
        self.iteration = self.resumed_at = 0
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    @property
    def elapsed(self) -> float:
        return self.spent_before + time.monotonic() - self.started

    def progress(self, status: Literal["running", "resumed", "done"]) -> Progress:
        best = float(self.log.best_mark.max())
        pace = (self.iteration - self.resumed_at) * len(self.trials) / max(1e-9, time.monotonic() - self.started)
        engine, known = self.trials[0].engine.engine, best if best > -1 else None
        return Progress(self.shard.shard_id, engine, self.iteration, self.iterations, len(self.trials), known, pace, status)

    def take(self, step: Step) -> None:
        """Logs one step: marks, snapshots and checkpoints where they are due."""
        first, self.iteration = self.trials[0], step.iteration
        self.log.add(step, self.elapsed)
        snapshot = is_due(step.iteration, snapshots_every(first.engine, first.snapshot_every), self.iterations)
        last = step.iteration == self.iterations
        if last or snapshot or step.iteration == 1 or is_due(step.iteration, first.judge_every, self.iterations):
            pictures = step.draw()
            marks, embeddings = self.judge.mark(pictures, step.iteration)
            early_stop = first.engine.early_stop if isinstance(first.engine, GuidedSpec) else None
            self.log.mark(step.iteration, pictures, marks, embeddings, early_stop)
            if snapshot:
                self._keep_snapshots(step.iteration)
        self._keep_strokes(step)
        if time.monotonic() - self.checkpointed > self.checkpoint_every and not last:
            self.checkpoint(step)

    def stage(self) -> None:
        """Writes the pictures, then the rows, then the shard's manifest; the checkpoint is no longer needed."""
        for index, trial in enumerate(self.trials):
            told = spec_json(trial)
            self.store.write(self._picture_key(trial, "final.png"), png_bytes(self.log.final[index], told), "image/png")
            self.store.write(self._picture_key(trial, "best.png"), png_bytes(self.log.best[index], told), "image/png")
            frames = self._film(index)
            for kind in trial.films:
                self.store.write(self._picture_key(trial, f"film.{kind}"), film_bytes(frames, kind), FILM_TYPES[kind])
            if isinstance(trial.engine, FramesSpec):
                sheet = strip(frames) if is_walk(trial) else grid(frames)
                self.store.write(self._picture_key(trial, "sheet.png"), png_bytes(sheet, told), "image/png")
        records, scores = trial_records(
            self.shard, self.log, self.store, self.sha256, self.warnings, self.device, self.elapsed, self.at_once
        )
        sweep = self.shard.sweep
        stage_shard(self.store, sweep, self.shard.shard_id, trials_table(sweep, records), scores_table(sweep, scores))
        self.store.delete(self._checkpoint_key)
        forget_progress(self.store, sweep, self.shard.shard_id)

    def _keep_snapshots(self, iteration: int) -> None:
        kept = self.log.running(iteration) & ~self.log.diverged
        self.log.snapshot[kept, iteration - 1] = True
        for index in kept.nonzero().flatten().tolist():
            trial = self.trials[index]
            self.frames[trial.id, iteration] = self.log.final[index].clone()
            data = png_bytes(self.log.final[index], spec_json(trial))
            self.store.write(self._picture_key(trial, f"{iteration:06d}.png"), data, "image/png")

    def _keep_strokes(self, step: Step) -> None:
        """Of trials that end in this iteration: the strokes, and the film of how they are drawn one after the other."""
        ended = (self.log.stopped_at == step.iteration).nonzero().flatten().tolist()
        if step.svg is None or step.paint is None or not ended:
            return
        texts = step.svg()
        for index in ended:
            trial = self.trials[index]
            self.store.write(self._picture_key(trial, "strokes.svg"), texts[index].encode(), "image/svg+xml")
            frames = [to_bytes(picture[None])[0] for picture in step.paint(index)]
            for kind in trial.films:
                self.store.write(self._picture_key(trial, f"strokes.{kind}"), film_bytes(frames, kind), FILM_TYPES[kind])

    def _film(self, index: int) -> list[Tensor]:
        """The snapshots, those from before a resume read back, and the final picture."""
        trial = self.trials[index]
        frames = []
        for iteration in (self.log.snapshot[index].nonzero().flatten() + 1).tolist():
            if (trial.id, iteration) not in self.frames:
                self.frames[trial.id, iteration] = decode_png(self.store.read(self._picture_key(trial, f"{iteration:06d}.png")))
            frames.append(self.frames[trial.id, iteration])
        whole = frames and torch.equal(frames[-1], self.log.final[index])
        return frames if whole else [*frames, self.log.final[index]]

    def _picture_key(self, trial: Trial, name: str) -> str:
        return f"{self.shard.sweep}/pictures/{trial.id}/{name}"

    @property
    def _checkpoint_key(self) -> str:
        return f"{self.shard.sweep}/staging/{self.shard.shard_id}/checkpoint.safetensors"

    def checkpoint(self, step: Step) -> None:
        """Keeps all that is needed to go on after this step, and says how far that is."""
        tensors = {key: value.detach().cpu().contiguous() for key, value in {**step.state(), **self.log.state()}.items()}
        self.store.write(self._checkpoint_key, save_tensors(tensors, {"trials": json.dumps([t.id for t in self.trials])}))
        write_progress(self.store, self.shard.sweep, self.progress("running"))
        self.checkpointed = time.monotonic()

    def _resume(self) -> tuple[State | None, BatchLog]:
        """The last checkpoint, where it is of these very trials; else a fresh log."""
        fresh = BatchLog.empty(len(self.trials), self.iterations)
        if not self.store.exists(self._checkpoint_key):
            return None, fresh
        data = self.store.read(self._checkpoint_key)
        if checkpoint_trials(data) != [t.id for t in self.trials]:
            return None, fresh
        tensors = load_tensors(data)
        return {k: v for k, v in tensors.items() if not k.startswith("log.")}, BatchLog.from_state(tensors)


def checkpoint_trials(data: bytes) -> list[str]:
    """The ids of the trials that a checkpoint is of; none if it cannot be read."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        found: list[str] = json.loads(header["__metadata__"]["trials"])
    except (ValueError, KeyError):
        return []
    return found


def is_walk(trial: Trial) -> bool:
    """Whether a trial's frames go from one thing to another."""
    return bool(trial.prompt.to) or (isinstance(trial.engine, UnclipSpec) and trial.engine.to_image is not None)


def spec_json(trial: Trial) -> str:
    """A trial's spec and id, as its pictures carry it."""
    return json.dumps({"trial_id": trial.id, **trial.model_dump(mode="json")}, sort_keys=True)


def _warnings_for(trial: Trial, perceptors: Sequence[object]) -> list[str]:
    texts = [trial.prompt.text, *trial.prompt.to, *(p.text for p in trial.prompt.also), *(p.text for p in trial.prompt.negatives)]
    return [w for p in perceptors for text in texts for w in p.warnings_for(text)]  # type: ignore[attr-defined]
