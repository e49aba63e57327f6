"""Continuation of kept states: a longer sweep leaves what it would have left from the first iteration, and draws only what is new."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from dreamsweep.engines import make_engine
from dreamsweep.engines.protocol import Engine, State, Step
from dreamsweep.errors import StoreUnavailableError
from dreamsweep.generation import shard as shard_module
from dreamsweep.generation.batching import generate_in_parts
from dreamsweep.generation.shard import run_shard
from dreamsweep.guidance.guides import ClipGuide
from dreamsweep.guidance.protocol import Guidance, Guide
from dreamsweep.judges import registry as judges
from dreamsweep.planning.expand import Shard, shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.kept_states import state_key
from dreamsweep.results.manifest import read_shard_manifest
from dreamsweep.spec import EngineSpec, Trial, WeightsName
from dreamsweep.store import Store, keys, open_store
from dreamsweep.store.local import LocalStore
from tests.dreamsweep.fakes import ColourPerceptor

STROKES = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2, "rate_schedule": "constant"}
DALLE = {"engine": "dalle", "image_size": 32, "cutouts": 2, "tau_start": 0.7, "tau_end": 0.7}
BIG_SLEEP = {"engine": "big-sleep", "cutouts": 2}


@pytest.fixture(autouse=True)
def colours_for_perceptors(monkeypatch: pytest.MonkeyPatch, tiny_weights: object) -> None:
    for module in (shard_module, judges):
        monkeypatch.setattr(module, "load_perceptor", lambda name, device: ColourPerceptor())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


@pytest.fixture
def iterations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations that an engine draws from here on."""
    drawn: list[int] = []

    class Counting:
        def __init__(self, engine: Engine) -> None:
            self.engine = engine

        def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
            for step in self.engine.generate(trials, guide, state):
                drawn.append(step.iteration)
                yield step

    def counting(spec: EngineSpec, weights: WeightsName, device: str) -> Engine:
        return Counting(make_engine(spec, weights, device))

    monkeypatch.setattr(shard_module, "make_engine", counting)
    return drawn


def a_shard(engine: dict[str, Any], iterations: int, **changes: Any) -> Shard:
    content = {"name": "t", "prompts": ["red", "blue"], "engines": [engine], "iterations": iterations, "keep_states": True, "judges": []}
    (shard,) = shards(parse_sweep({"snapshot_every": 3, "judge_every": 3, **content, **changes}, Path("/"), "test"))
    return shard


def run(shard: Shard, store: Store) -> list[str]:
    return [progress.status for progress in run_shard(shard, store, "cpu")]


def left_by(store: Store, shard: Shard) -> dict[str, Any]:
    """All that a shard left in a store, but the times that it took."""
    manifest = read_shard_manifest(store, "t", shard.shard_id)
    assert manifest is not None
    trials, scores, embeddings = (
        pq.read_table(io.BytesIO(store.read(manifest.tables[name][0]))) for name in ("trials", "scores", "embeddings")
    )
    files = {key: store.read(key) for trial in shard.trials for key in store.keys(keys.picture("t", trial.id, ""))}
    return {
        **files,
        "trials": trials.drop(["seconds", "iterations_per_second", "finished_at"]).to_pylist(),
        "scores": str(scores.drop(["elapsed"]).to_pylist()),  # as text, for NaN is not equal to NaN
        "embeddings": embeddings.to_pylist(),
    }


def undisturbed(shard: Shard, folder: Path) -> dict[str, Any]:
    """All that the shard leaves when it runs from its first iteration."""
    store = open_store(str(folder / "whole"))
    run(shard, store)
    return left_by(store, shard)


@pytest.mark.parametrize("engine", [STROKES, DALLE, BIG_SLEEP], ids=lambda engine: engine["engine"])
def test_a_longer_sweep_draws_what_is_new_and_leaves_what_it_would_have_left(
    store: Store, tmp_path: Path, iterations: list[int], engine: dict[str, Any]
) -> None:
    run(a_shard(engine, 4), store)
    longer = a_shard(engine, 8, keep_states=False)
    iterations.clear()
    statuses = run(longer, store)
    assert iterations == [5, 6, 7, 8] and statuses == ["resumed", *["running"] * 4, "done"]
    assert left_by(store, longer) == undisturbed(longer, tmp_path)


@pytest.mark.parametrize("films", [["webp"], ["gif", "webp"]])
@pytest.mark.parametrize("first", [3, 4, 6])
def test_trials_that_have_ended_stay_as_they_are(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iterations: list[int], first: int, films: list[str]
) -> None:
    """One diverges in iteration 3; one no longer rises after iteration 3, and stops early in iteration 6; one runs to the end."""
    plain = ClipGuide.__call__

    def breaks(self: ClipGuide, pictures: torch.Tensor, iteration: int) -> Guidance:
        guidance = plain(self, pictures, iteration)
        return Guidance(guidance.loss + torch.tensor([torch.nan if iteration >= 3 else 0.0, 0.0, 0.0]), guidance.similarity)

    def mark(self: object, pictures: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([0.1, 0.5, iteration / 100]), torch.full((3, 3), iteration / 100)

    monkeypatch.setattr(ClipGuide, "__call__", breaks)
    monkeypatch.setattr("dreamsweep.judges.similarity.SimilarityJudge.score", mark)
    engine, changes = {**STROKES, "early_stop": 4}, {"prompts": ["red", "blue", "green"], "films": films}
    run(a_shard(engine, first, **changes), store)
    longer = a_shard(engine, 9, **changes)
    iterations.clear()
    run(longer, store)
    assert iterations == list(range(first + 1, 10))
    left = left_by(store, longer)
    assert left == undisturbed(longer, tmp_path)
    assert [(row["status"], row["iterations_done"]) for row in left["trials"]] == [("diverged", 3), ("done", 6), ("done", 9)]


def test_where_a_trial_has_ended_without_its_film_in_a_format_it_begins_at_the_first_iteration(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iterations: list[int]
) -> None:
    plain = ClipGuide.__call__

    def breaks(self: ClipGuide, pictures: torch.Tensor, iteration: int) -> Guidance:
        guidance = plain(self, pictures, iteration)
        return Guidance(guidance.loss + torch.tensor([torch.nan if iteration >= 3 else 0.0, 0.0]), guidance.similarity)

    monkeypatch.setattr(ClipGuide, "__call__", breaks)
    run(a_shard(STROKES, 4), store)
    longer = a_shard(STROKES, 6, films=["gif"])
    iterations.clear()
    run(longer, store)
    assert iterations == list(range(1, 7))
    assert left_by(store, longer) == undisturbed(longer, tmp_path)


def test_of_several_states_the_longest_one_counts(store: Store, iterations: list[int]) -> None:
    for count in (2, 6, 9):
        run(a_shard(STROKES, count), store)
    iterations.clear()
    run(a_shard(STROKES, 8), store)
    assert iterations == [7, 8]


@pytest.mark.parametrize(
    ("engine", "changes"),
    [
        ({**STROKES, "rate_schedule": "steps"}, {}),
        ({**DALLE, "tau_end": 0.5}, {}),
        ({**BIG_SLEEP, "rate_schedule": "linear"}, {}),
        (STROKES, {"judge_every": 2}),
        (STROKES, {"snapshot_every": 2}),
        (STROKES, {"judge": "RN50"}),
        (STROKES, {"prompts": ["blue", "red"]}),
        (STROKES, {"seeds": [1]}),
    ],
)
def test_where_rows_or_pixels_would_differ_it_begins_at_the_first_iteration(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iterations: list[int], engine: dict[str, Any], changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(shard_module, "judge_weights", lambda name: {name: "0" * 64})
    run(a_shard(engine, 4), store)
    longer = a_shard(engine, 8, **changes)
    iterations.clear()
    assert run(longer, store)[0] == "running" and iterations == list(range(1, 9))
    assert left_by(store, longer) == undisturbed(longer, tmp_path)


def test_fewer_snapshots_than_before_are_enough(store: Store, tmp_path: Path, iterations: list[int]) -> None:
    run(a_shard(STROKES, 4), store)
    longer = a_shard(STROKES, 12, snapshot_every=6)
    iterations.clear()
    run(longer, store)
    assert iterations == list(range(5, 13))
    assert left_by(store, longer) == undisturbed(longer, tmp_path)


def test_without_the_word_no_state_is_kept(store: Store, iterations: list[int]) -> None:
    shard = a_shard(STROKES, 4, keep_states=False)
    run(shard, store)
    assert not list(store.keys(keys.states("t")))
    assert run(a_shard(STROKES, 4), store) == ["already done"], "a shard that lacks only its state lacks nothing"


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 2]


def of_other_weights(data: bytes) -> bytes:
    return data.replace(b"0" * 64, b"1" * 64)


@pytest.mark.parametrize("change", [damaged, of_other_weights, lambda data: b"", lambda data: b"no state"])
def test_a_state_that_cannot_be_used_is_passed_over(store: Store, iterations: list[int], change: Any) -> None:
    shard = a_shard(STROKES, 4)
    run(shard, store)
    store.write(state_key(shard), change(store.read(state_key(shard))))
    iterations.clear()
    run(a_shard(STROKES, 8), store)
    assert iterations == list(range(1, 9))


def test_where_a_snapshot_has_gone_it_begins_at_the_first_iteration(store: Store, iterations: list[int]) -> None:
    shard = a_shard(STROKES, 4)
    run(shard, store)
    store.delete(keys.picture("t", shard.trials[1].id, keys.snapshot_name(3)))
    iterations.clear()
    run(a_shard(STROKES, 8), store)
    assert iterations == list(range(1, 9))


def test_a_batch_in_parts_continues_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch, iterations: list[int]) -> None:
    def crowded(engine: Engine, guide_of: Any, trials: Sequence[Trial], size: int, state: State | None = None) -> Iterator[Step]:
        if size > 1:
            raise torch.OutOfMemoryError("no room")
        return generate_in_parts(engine, guide_of, trials, size, state)

    with monkeypatch.context() as patched:
        patched.setattr(shard_module, "generate_in_parts", crowded)
        run(a_shard(STROKES, 4), store)
    longer = a_shard(STROKES, 8)
    assert run(longer, store)[0] == "resumed"
    assert [row["trials_at_once"] for row in left_by(store, longer)["trials"]] == [1, 1]


def test_a_shard_that_is_killed_after_its_state_is_made_again(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shard, write = a_shard(STROKES, 4), LocalStore.write

    def dies(self: LocalStore, key: str, data: bytes, *more: str) -> None:
        if key == keys.staged_manifest("t", shard.shard_id):
            raise StoreUnavailableError("gone")
        write(self, key, data, *more)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "write", dies)
        with pytest.raises(StoreUnavailableError):
            run(shard, store)
    assert store.exists(state_key(shard)) and read_shard_manifest(store, "t", shard.shard_id) is None
    before = store.read(state_key(shard))
    run(shard, store)
    assert len(store.read(state_key(shard))) == len(before)
    assert left_by(store, shard) == undisturbed(shard, tmp_path)


def test_a_longer_run_that_is_cut_off_goes_on_from_its_checkpoint(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iterations: list[int]
) -> None:
    run(a_shard(STROKES, 4), store)
    monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    longer = a_shard(STROKES, 8)
    cut = run_shard(longer, store, "cpu")
    next(progress for progress in cut if progress.iteration == 6)
    del cut
    iterations.clear()
    run(longer, store)
    assert iterations == [7, 8]
    assert left_by(store, longer) == undisturbed(longer, tmp_path)
    assert {state[1] for key in store.keys(keys.states("t")) if (state := keys.state_of(key))} == {4, 8}
