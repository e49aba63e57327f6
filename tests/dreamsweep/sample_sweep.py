"""A published sweep without a network in sight: made-up pictures and curves, real tables and manifest."""

import hashlib
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamsweep.compute.images import pixels_sha256, png_bytes
from dreamsweep.generation.records import spec_json
from dreamsweep.planning.expand import Shard, shards, trials
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.manifest import Manifest, stage_shard
from dreamsweep.results.publishing import gather, publish
from dreamsweep.spec import Sweep, Trial
from dreamsweep.store import Store, keys
from dreamsweep.tables.rows import ScoreRows, TrialRecord, shard_tables
from tests.dreamsweep.copied import publish_once


def publish_sample(store: Store, diverged: int = 0, snapshots: tuple[int, ...] = (), **changes: Any) -> Manifest:
    """Publishes a sweep as if it had been run; the first `diverged` trials of each shard did not end well. Pictures were kept at those
    iterations, and then the last one as well."""
    sweep = sample_sweep(**changes)
    content = f"{diverged} {snapshots} {sweep.model_dump_json()}"
    return publish_once(store, sweep.name, content, lambda store: _publish(store, sweep, diverged, snapshots))


def _publish(store: Store, sweep: Sweep, diverged: int, snapshots: tuple[int, ...]) -> Manifest:
    for shard in shards(sweep):
        stage_sample(store, shard, diverged, snapshots)
    manifest = gather(store, sweep.name, {trial.id for trial in trials(sweep)}, "0" * 64)
    publish(store, manifest)
    return manifest


def stage_sample(store: Store, shard: Shard, diverged: int = 0, snapshots: tuple[int, ...] = ()) -> None:
    """Stages one of its shards."""
    rows = (_trial(store, shard, trial, number < diverged, snapshots) for number, trial in enumerate(shard.trials))
    records, scores = zip(*rows, strict=True)
    stage_shard(store, shard.sweep, shard.shard_id, shard_tables(shard.sweep, records, scores))


def sample_sweep(**changes: Any) -> Sweep:
    """Six prompts and two engines, unless told otherwise."""
    things = ("a red heart", "a slice of pizza", "a rocket", "a green apple", "a sun behind a cloud", "a cat face with a hat")
    content = {"name": "made-up", "prompts": list(things), "engines": ["dalle", "strokes"], "iterations": 60, **changes}
    return parse_sweep(content, Path(), "made-up")


def _trial(store: Store, shard: Shard, trial: Trial, diverged: bool, snapshots: tuple[int, ...]) -> tuple[TrialRecord, ScoreRows]:
    draw = np.random.default_rng(int(trial.id[:8], 16))
    done = trial.num_iter // 3 if diverged else trial.num_iter
    steps = np.arange(1, done + 1)
    reach = 0.25 + 0.3 * draw.random()
    guide = (reach * (1 - np.exp(-steps / done * 4)) + draw.normal(0, 0.012, done)).astype(np.float32)
    judge = np.where((steps % 10 == 0) | (steps == 1), 0.7 * guide + draw.normal(0, 0.01, done), math.nan).astype(np.float32)
    picture = _blob(draw)
    folder = f"{shard.sweep}/pictures/{trial.id}"
    store.write(f"{folder}/best.png", png_bytes(picture, spec_json(trial)), "image/png")
    kept = {at: keys.picture_address(trial.id, f"{at:06d}.png") for at in snapshots if at <= done}
    for name in [*(f"{at:06d}" for at in kept), *(["final"] if snapshots else [])]:
        store.write(f"{folder}/{name}.png", png_bytes(_blob(draw), spec_json(trial)), "image/png")
    marked = judge[~np.isnan(judge)]
    record = TrialRecord(
        trial=trial,
        judge_name=shard.judging.judge,
        shard_id=shard.shard_id,
        iterations_done=done,
        loss_first=1.0,
        loss_last=math.nan if diverged else float(1 - guide[-1]),
        guide_first=float(guide[0]),
        guide_best=float(guide.max()),
        guide_last=float(guide[-1]),
        judge_first=float(marked[0]),
        judge_best=float(marked.max()),
        judge_last=float(marked[-1]),
        best_iteration=done,
        final_uri=keys.picture_address(trial.id, "final.png"),
        best_uri=keys.picture_address(trial.id, "best.png"),
        film_uri=keys.picture_address(trial.id, "film.webp"),
        svg_uri=None,
        embedding=[0.6, 0.8],
        picture_sha256=pixels_sha256(picture),
        seconds=4.0,
        iterations_per_second=done / 4.0,
        device="cpu",
        trials_at_once=8,
        versions={"dreamsweep": "0", "python": "3.11", "torch": "2", "platform": "any"},
        weights_sha256={"starter-guide": hashlib.sha256(b"").hexdigest()},
        warnings=(),
        status="diverged" if diverged else "done",
        error="loss is not a number" if diverged else None,
        finished_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    rates, elapsed = np.full(done, 0.1, np.float32), steps.astype(np.float32)
    rows = ScoreRows(trial.id, steps.astype(np.int32), 1 - guide, guide, judge, rates, elapsed, [kept.get(at) for at in steps.tolist()])
    return record, rows


def _blob(draw: np.random.Generator) -> torch.Tensor:
    """Some soft discs on white, `3 128 128`."""
    y, x = np.mgrid[0:128, 0:128] / 128
    picture = np.ones((128, 128, 3))
    for _ in range(5):
        cx, cy, r = draw.uniform((0.2, 0.2, 0.08), (0.8, 0.8, 0.3))
        inside = 1 / (1 + np.exp(60 * (np.hypot(x - cx, y - cy) - r)))
        picture = picture * (1 - inside[..., None]) + draw.random(3) * inside[..., None]
    return torch.from_numpy((picture * 255).astype(np.uint8)).permute(2, 0, 1)
