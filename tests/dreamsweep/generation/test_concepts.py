"""Sweeps with new words: learned once before the first shard, read by every worker, and unknown to judges of ordinary words."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import StoreError, SweepFileError
from dreamsweep.generation import concepts
from dreamsweep.generation.concepts import Lexicon, lessons
from dreamsweep.generation.events import Learning, SweepEvent
from dreamsweep.generation.foresight import forecast, unread_texts
from dreamsweep.generation.judging import judge_sweep
from dreamsweep.generation.make_here import SweepStoppedError
from dreamsweep.generation.run_sweep import run_sweep
from dreamsweep.generation.shard import run_shard
from dreamsweep.generation.tally import learning_text
from dreamsweep.perceptors import inversion, load_perceptor
from dreamsweep.planning.expand import shards, trials
from dreamsweep.report.query import query
from dreamsweep.results.handoff import read_shard, write_shard
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.generation.sweeps import small_sweep
from tests.dreamsweep.planning.test_concepts import write_pictures
from tests.dreamsweep.weights.conftest import cache, hub, publish  # noqa: F401 - fixtures
from tests.dreamsweep.weights.tiny_models import clip_archive, tiny_clip

Publish = Callable[..., None]
STROKES = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
PROMPTS = ["a red <zibble>", "a red heart"]


@pytest.fixture(autouse=True)
def _quick(tiny_weights: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "ITERATIONS", 3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


@pytest.fixture
def sweep_of(tmp_path: Path) -> Callable[..., Sweep]:
    write_pictures(tmp_path / "zibble")

    def build(**changes: Any) -> Sweep:
        words = {"prompts": PROMPTS, "engines": [STROKES], "concepts": {"zibble": str(tmp_path / "zibble")}, "judges": []}
        return small_sweep(**{**words, **changes})

    return build


def run(sweep: Sweep, store: Store) -> list[SweepEvent]:
    return list(run_sweep(sweep, store, device="cpu"))


def learnt(events: list[SweepEvent]) -> list[Learning]:
    return [event for event in events if isinstance(event, Learning)]


def vectors(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.keys("t/concepts/")}


def test_words_are_learned_once_before_the_first_shard(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of()
    assert [lesson.perceptor for lesson in lessons(sweep, store)] == ["starter-guide", "starter-judge"]
    events = run(sweep, store)
    assert [event.share for event in learnt(events)] == [pytest.approx(share) for share in (1 / 3, 2 / 3, 1)] * 2
    names = [type(event).__name__ for event in events]
    assert names.index("ShardProgress") > max(at for at, name in enumerate(names) if name == "Learning")
    assert learning_text(learnt(events)[4]) == "learning <zibble> for starter-judge (2 of 2), 67%"
    before = vectors(store)
    assert len(before) == 2 and lessons(sweep, store) == []
    assert not learnt(run(sweep, store)) and not learnt(run(sweep_of(seeds=[0, 1]), store))
    assert vectors(store) == before


def test_what_was_learned_is_recorded_with_the_trials_that_use_it(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    run(sweep_of(shard_size=1), store)
    rows = query(store, "SELECT prompt, map_keys(weights_sha256) AS weights, warnings FROM trials").to_pylist()
    words = {row["prompt"]: {name for name in row["weights"] if "zibble" in name} for row in rows}
    assert words == {"a red <zibble>": {"<zibble>@starter-guide", "<zibble>@starter-judge"}, "a red heart": set()}
    assert not any("zibble" in warning for row in rows for warning in row["warnings"])


def test_another_sweep_of_the_same_pictures_learns_the_same_vectors(tmp_path: Path, sweep_of: Callable[..., Sweep]) -> None:
    first, second = (open_store(str(tmp_path / name)) for name in ("first", "second"))
    run(sweep_of(), first)
    POOL.clear()
    run(sweep_of(seeds=[7], prompts=["<zibble>"]), second)
    assert vectors(first) == vectors(second)


def test_a_picture_is_steered_by_the_word(store: Store, sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same trial with another vector is another picture, and its twin without concepts is the same."""
    sweep = sweep_of(shard_size=1)
    run(sweep, store)
    with_word, plain = trials(sweep)
    final = {trial.id: store.read(keys.picture("t", trial.id, keys.FINAL)) for trial in (with_word, plain)}
    other = open_store(f"{store.uri.removeprefix('file://')}-other")
    for key, data in vectors(store).items():
        other.write(key, data)
    monkeypatch.setattr(concepts, "read_word", lambda *_: _word(np.full(32, 3.0, np.float32)))
    run(sweep, other)
    assert other.read(keys.picture("t", plain.id, keys.FINAL)) == final[plain.id]
    assert other.read(keys.picture("t", with_word.id, keys.FINAL)) != final[with_word.id]


def _word(vector: Any) -> Any:
    return type("Word", (), {"vector": vector, "sha256": "0" * 64})()


def test_a_shard_on_another_worker_reads_the_same_vector(tmp_path: Path, store: Store, sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of()
    run(sweep, store)
    (shard,) = shards(sweep)
    elsewhere = open_store(str(tmp_path / "elsewhere"))
    write_shard(elsewhere, shard)
    for key, data in vectors(store).items():
        elsewhere.write(key, data)
    shutil.rmtree(tmp_path / "zibble")  # the worker has no pictures
    handed = read_shard(elsewhere, "t", shard.shard_id)
    here, there_too = (Lexicon(each, "t", handed.trials) for each in (store, elsewhere))
    texts = ["a red <zibble>"]
    guide = load_perceptor("starter-guide", "cpu")
    assert torch.equal(here.teach(guide).embed_texts(texts), there_too.teach(guide).embed_texts(texts))
    assert here.sha256 == there_too.sha256
    list(run_shard(handed, elsewhere, "cpu"))
    for trial in shard.trials:
        key = keys.picture("t", trial.id, keys.FINAL)
        assert elsewhere.read(key) == store.read(key)


def test_a_shard_without_its_vector_is_refused_in_a_sentence(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    (shard,) = shards(sweep_of())
    with pytest.raises(StoreError, match="concept <zibble>: starter-guide has not learned it"):
        list(run_shard(shard, store, "cpu"))


def test_coordinators_learn_for_workers_elsewhere(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    def make_elsewhere(left: Any) -> Any:
        assert len(vectors(store)) == 2
        for shard in left:
            write_shard(store, shard)
            list(run_shard(read_shard(store, "t", shard.shard_id), store, "cpu"))
            yield shard

    events = list(run_sweep(sweep_of(), store, device="cuda", make=make_elsewhere, check_here=False))
    assert len(learnt(events)) == 6


def test_judges_of_ordinary_words_have_no_score_and_say_why(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    run(sweep_of(judges=["starter-auditor", "views:starter-guide", "labels:things"]), store)
    list(judge_sweep(store, "t", ["starter-guide"], device="cpu"))
    columns = "judge, score IS NULL AS silent, reason, error"
    rows = query(store, f"SELECT {columns} FROM judgements WHERE prompt = 'a red <zibble>' ORDER BY judge").to_pylist()
    assert {row["judge"]: row["silent"] for row in rows} == {
        "labels:things": True, "starter-auditor": True, "starter-guide": False, "views:starter-guide": False
    }  # fmt: skip
    assert {row["reason"] for row in rows if row["silent"]} == {
        f"{judge} goes by ordinary words, and does not know <zibble>" for judge in ("labels:things", "starter-auditor")
    }
    assert {row["error"] for row in rows} == {None}
    heart = query(store, "SELECT score FROM judgements WHERE prompt = 'a red heart' AND judge = 'starter-auditor'").to_pylist()
    assert len(heart) == 1 and heart[0]["score"] is not None


def test_a_perceptor_that_was_not_named_has_not_learned_the_word(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    run(sweep_of(judge="starter-guide"), store)
    list(judge_sweep(store, "t", ["starter-judge"], device="cpu"))
    rows = query(store, "SELECT prompt, score, reason FROM judgements ORDER BY prompt").to_pylist()
    assert [(row["prompt"], row["score"] is None, row["reason"]) for row in rows] == [
        ("a red <zibble>", True, "starter-judge has not learned <zibble>"),
        ("a red heart", False, None),
    ]


def test_a_judge_that_is_added_later_learns_its_own_vector(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    run(sweep_of(judge="starter-guide"), store)
    events = run(sweep_of(judge="starter-guide", judges=["starter-judge"]), store)
    assert {event.perceptor for event in learnt(events)} == {"starter-judge"}
    rows = query(store, "SELECT score FROM judgements WHERE judge = 'starter-judge'").to_pylist()
    assert len(rows) == 2 and all(row["score"] is not None for row in rows)


def test_pictures_that_changed_after_the_file_was_read(tmp_path: Path, store: Store, sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of()
    (tmp_path / "zibble" / "0.png").unlink()
    with pytest.raises(SweepFileError, match=r"concepts.zibble: the pictures have changed since the sweep was read; run the sweep again"):
        run(sweep, store)
    shutil.rmtree(tmp_path / "zibble")
    with pytest.raises(SweepFileError, match=r"concepts.zibble: .* cannot be read \(No such file or directory\)"):
        run(sweep, store)


def test_learning_can_be_stopped(store: Store, sweep_of: Callable[..., Sweep]) -> None:
    with pytest.raises(SweepStoppedError):
        list(run_sweep(sweep_of(), store, device="cpu", stop=lambda: True))
    assert vectors(store) == {}


def test_the_plan_says_what_is_learned(sweep_of: Callable[..., Sweep]) -> None:
    (row,) = (value for name, value in forecast(sweep_of()) if name == "concepts")
    assert row.startswith("<zibble> from 3 pictures, learned by starter-guide and starter-judge before the first shard, about ")
    assert "not known beforehand" in dict(forecast(sweep_of(guide="RN50")))["concepts"]
    assert "concepts" not in dict(forecast(sweep_of(prompts=["a red heart"])))


def test_a_learned_word_is_read(sweep_of: Callable[..., Sweep]) -> None:
    assert not any("zibble" in note for note in unread_texts(sweep_of()))
    assert any("zeppelin" in note for note in unread_texts(sweep_of(prompts=["<zibble> zeppelin"])))


@pytest.mark.parametrize("engine", [{"engine": "dalle", "image_size": 32, "cutouts": 2}, {"engine": "big-sleep", "cutouts": 2}])
def test_other_engines_draw_the_word(engine: dict[str, Any], store: Store, sweep_of: Callable[..., Sweep]) -> None:
    run(sweep_of(engines=[engine], iterations=2), store)
    rows = query(store, "SELECT status, guide_last FROM trials").to_pylist()
    assert [row["status"] for row in rows] == ["done", "done"]


def test_a_published_clip_is_given_the_word_as_well(publish: Publish, store: Store, sweep_of: Callable[..., Sweep]) -> None:  # noqa: F811
    publish("ViT-B/32", {"ViT-B-32.pt": clip_archive(tiny_clip("vit"))}, folder="clip")
    events = run(sweep_of(guide="ViT-B/32", iterations=2), store)
    assert {event.perceptor for event in learnt(events)} == {"ViT-B/32", "starter-judge"}
    (row,) = query(store, "SELECT map_keys(weights_sha256) AS weights FROM trials WHERE prompt = 'a red <zibble>'").to_pylist()
    assert "<zibble>@ViT-B/32" in row["weights"]
