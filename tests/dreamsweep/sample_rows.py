"""Rows of trials that were never run, for tests of what is kept of them."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from dreamsweep.results.manifest import Manifest, stage_shard
from dreamsweep.results.publishing import gather, publish
from dreamsweep.spec import DescentSpec, Trial
from dreamsweep.store import Store, keys
from dreamsweep.tables.rows import ScoreRows, TrialRecord, shard_tables
from tests.dreamsweep.copied import publish_once

OPTIMIZERS = ("adam", "sgd", "adagrad")
PROMPTS = ("a red heart", "a slice of pizza", "don't 'quote' \"me\" {or} ../../etc; DROP TABLE trials")


def sample_trial(prompt: str = PROMPTS[0], engine: str = "strokes", optimizer: str = "adam", seed: int = 0, iterations: int = 6) -> Trial:
    """A trial of a few iterations."""
    settings: dict[str, Any] = {"engine": engine, "num_iter": iterations, "optimizer": optimizer}
    perceptors = {"guide": "starter-guide", "weights": "starter"}
    return Trial.model_validate({"prompt": prompt, "engine": settings, "seed": seed, **perceptors})


def sample_rows(store: Store, sweep: str, shard: str, trial: Trial, diverged_at: int | None = None) -> tuple[TrialRecord, ScoreRows]:
    """What a run of it might have left: the judge marks every second iteration; the curves depend on the optimizer and the seed."""
    done = diverged_at or trial.num_iter
    iteration = np.arange(1, done + 1, dtype=np.int32)
    assert isinstance(trial.engine, DescentSpec)
    lift = {"adam": 0.5, "sgd": 0.3, "adagrad": 0.4}[trial.engine.optimizer.name] + 0.01 * trial.seed
    guide = (lift * (1 - np.exp(-iteration / 3))).astype(np.float32)
    loss = (-10 * guide).astype(np.float32)
    judge = np.where(iteration % 2 == 0, guide * 0.8, np.nan).astype(np.float32)
    if diverged_at:
        loss[-1] = math.nan
    marked = judge[~np.isnan(judge)]
    record = TrialRecord(
        trial=trial,
        judge_name="starter-judge",
        shard_id=shard,
        iterations_done=done,
        loss_first=float(loss[0]),
        loss_last=None if diverged_at else float(loss[-1]),
        guide_first=float(guide[0]),
        guide_best=float(guide.max()),
        guide_last=float(guide[-1]),
        judge_first=float(marked[0]) if len(marked) else None,
        judge_best=float(marked.max()) if len(marked) else None,
        judge_last=float(marked[-1]) if len(marked) else None,
        best_iteration=done - done % 2 or None,
        final_uri=keys.picture_address(trial.id, "final.png"),
        best_uri=keys.picture_address(trial.id, "best.png"),
        film_uri=keys.picture_address(trial.id, "film.webp"),
        svg_uri=keys.picture_address(trial.id, "strokes.svg") if trial.engine.engine == "strokes" else None,
        artefacts={"strokes.svg": keys.picture_address(trial.id, "strokes.svg")} if trial.engine.engine == "strokes" else {},
        embedding=[float(x) for x in np.random.default_rng(int(trial.id[:8], 16)).normal(size=16)],
        picture_sha256=trial.id * 4,
        seconds=1.0 + trial.seed,
        iterations_per_second=done / (1.0 + trial.seed),
        device="cpu",
        trials_at_once=8,
        versions={"dreamsweep": "0", "python": "3.11", "torch": "2", "platform": "test"},
        weights_sha256={"starter-guide": "a" * 64, "starter-judge": "b" * 64},
        warnings=("too long",) if "DROP" in trial.prompt.text else (),
        status="diverged" if diverged_at else "done",
        error=f"trial {trial.id}: loss is not a number at iteration {diverged_at}. Lower learning_rate." if diverged_at else None,
        finished_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(seconds=trial.seed),
    )
    uris = [keys.picture_address(trial.id, f"{i:06d}.png") if i % 2 == 0 else None for i in iteration.tolist()]
    rate = np.full(done, trial.engine.optimizer.learning_rate, dtype=np.float32)
    elapsed = (iteration * 0.1).astype(np.float32)
    return record, ScoreRows(trial.id, iteration, loss, guide, judge, rate, elapsed, uris)


def stage_sample_rows(store: Store, sweep: str, shard: str, trials: Sequence[Trial], diverged: Sequence[str] = ()) -> None:
    """Stages a shard of such trials; those whose ids are in `diverged` broke off at iteration 3."""
    rows = [sample_rows(store, sweep, shard, trial, 3 if trial.id in diverged else None) for trial in trials]
    stage_shard(store, sweep, shard, shard_tables(sweep, [r for r, _ in rows], [s for _, s in rows]))


def publish_sample_rows(store: Store, sweep: str = "demo") -> Manifest:
    """A published sweep: strokes with three optimizers and dVAE with one, three prompts, two seeds; one trial diverged."""
    return publish_once(store, sweep, f"rows of {sweep}", lambda store: _publish(store, sweep))


def _publish(store: Store, sweep: str) -> Manifest:
    diverged = sample_trial(PROMPTS[1], "strokes", "sgd", seed=1).id
    wanted = set()
    for name, engine, optimizer in [
        ("s1", "strokes", "adam"),
        ("s2", "strokes", "sgd"),
        ("s3", "strokes", "adagrad"),
        ("d1", "dalle", "adam"),
    ]:
        trials = [sample_trial(prompt, engine, optimizer, seed) for prompt in PROMPTS for seed in (0, 1)]
        stage_sample_rows(store, sweep, name, trials, [diverged])
        wanted |= {trial.id for trial in trials}
    manifest = gather(store, sweep, wanted, "c" * 64)
    publish(store, manifest)
    return manifest
