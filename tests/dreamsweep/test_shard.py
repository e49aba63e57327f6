"""A shard: staged once, resumed where it was cut off, honest about trials that fail."""

import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dreamsweep import shard as shard_module
from dreamsweep.engines.protocol import Guidance, Guide, State, Step
from dreamsweep.engines.strokes import StrokesEngine
from dreamsweep.errors import DeviceError
from dreamsweep.expand import Shard, shards
from dreamsweep.guidance import ClipGuide
from dreamsweep.manifest import done_shards
from dreamsweep.pictures import METADATA_KEY, decode_png, to_bytes
from dreamsweep.shard import run_shard
from dreamsweep.spec import StrokesSpec, Trial
from dreamsweep.starter.files import thing_names
from dreamsweep.store import Store, open_store
from dreamsweep.sweepfile import parse_sweep
from tests.dreamsweep.fakes import ColourPerceptor


@pytest.fixture(autouse=True)
def colours_for_perceptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights are needed here: the shard's own work is what is tested."""
    monkeypatch.setattr(shard_module, "load_perceptor", lambda name, device: ColourPerceptor())


def a_shard(**settings: object) -> Shard:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2, **settings}
    content = {"name": "t", "prompts": ["red", "blue"], "engines": [engine], "iterations": 9, "snapshot_every": 4, "judge_every": 3}
    return next(iter(shards(parse_sweep(content, Path("/"), "test"))))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_a_shard_leaves_its_pictures_and_a_row_for_every_iteration(store: Store) -> None:
    shard = a_shard()
    told = list(run_shard(shard, store, "cpu"))
    assert [p.iteration for p in told] == [*range(10), 9] and told[-1].status == "done"
    (manifest,) = done_shards(store, "t")
    for trial in shard.trials:
        names = {Path(key).name for key in store.keys(f"t/pictures/{trial.id}/")}
        assert names == {"000004.png", "000008.png", "000009.png", "final.png", "best.png", "film.webp", "strokes.svg", "strokes.webp"}
        drawing = Image.open(io.BytesIO(store.read(f"t/pictures/{trial.id}/strokes.webp")))
        assert 2 <= drawing.n_frames <= 7 and drawing.size == (32, 32)  # type: ignore[attr-defined]  # equal ones are one
        picture = Image.open(io.BytesIO(store.read(f"t/pictures/{trial.id}/final.png")))
        assert json.loads(picture.info[METADATA_KEY])["trial_id"] == trial.id
        assert Image.open(io.BytesIO(store.read(f"t/pictures/{trial.id}/film.webp"))).n_frames >= 2  # type: ignore[attr-defined]
    scores = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/scores.parquet"))).to_pylist()
    assert [(row["trial_id"], row["iteration"]) for row in scores] == [(t.id, i) for t in shard.trials for i in range(1, 10)]
    assert [row["iteration"] for row in scores[:9] if row["judge"] is not None] == [1, 3, 4, 6, 8, 9]
    assert [row["iteration"] for row in scores[:9] if row["snapshot_uri"]] == [4, 8, 9]
    assert manifest.trial_ids == tuple(t.id for t in shard.trials)
    assert not [key for key in store.keys("t/staging/") if "checkpoint" in key]


def test_a_staged_shard_is_left_as_it_is(store: Store) -> None:
    shard = a_shard()
    list(run_shard(shard, store, "cpu"))
    before = {key: store.read(key) for key in store.keys("")}
    assert [p.status for p in run_shard(shard, store, "cpu")] == ["already done"]
    assert {key: store.read(key) for key in store.keys("")} == before


@pytest.mark.parametrize("cut_after", [1, 4, 5, 8])
def test_a_shard_that_was_cut_off_goes_on_to_the_same_pictures(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_after: int
) -> None:
    shard = a_shard()
    whole = open_store(str(tmp_path / "whole"))
    list(run_shard(shard, whole, "cpu"))
    monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    list(itertools.islice(run_shard(shard, store, "cpu"), cut_after + 1))
    told = list(run_shard(shard, store, "cpu"))
    assert told[0].status == "resumed" and told[0].iteration >= cut_after - 1
    pictures = list(whole.keys("t/pictures/"))
    assert list(store.keys("t/pictures/")) == pictures
    assert all(store.read(key) == whole.read(key) for key in pictures)
    ours, theirs = (
        pq.read_table(io.BytesIO(s.read(f"t/staging/{shard.shard_id}/scores.parquet"))).drop(["elapsed", "snapshot_uri"])
        for s in (store, whole)
    )
    assert ours.equals(theirs)


def test_a_checkpoint_that_is_damaged_or_of_other_trials_is_passed_over(store: Store) -> None:
    shard = a_shard()
    store.write(f"t/staging/{shard.shard_id}/checkpoint.safetensors", b"not a checkpoint")
    assert next(iter(run_shard(shard, store, "cpu"))).status == "running"


def test_a_diverged_trial_is_a_row_with_its_reason(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ClipGuide.__call__

    def breaks(self: ClipGuide, pictures: torch.Tensor, iteration: int) -> Guidance:
        guidance = plain(self, pictures, iteration)
        broken = torch.tensor([float("nan") if iteration >= 5 else 0.0, 0.0])
        return Guidance(guidance.loss + broken, guidance.similarity)

    monkeypatch.setattr(ClipGuide, "__call__", breaks)
    shard = a_shard()
    list(run_shard(shard, store, "cpu"))
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert [row["status"] for row in rows] == ["diverged", "done"]
    assert rows[0]["iterations_done"] == 5 and rows[1]["iterations_done"] == 9
    assert "loss is not a number at iteration 5/9. Lower learning_rate" in rows[0]["error"]
    assert store.exists(f"t/pictures/{shard.trials[0].id}/best.png")


def test_early_stop_ends_the_shard_when_nothing_runs_any_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = iter([0.9] + [0.1] * 50)

    def mark(self: object, pictures: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(pictures),), next(marks)), torch.zeros(len(pictures), 3)

    monkeypatch.setattr("dreamsweep.guidance.Judge.mark", mark)
    shard = a_shard(early_stop=4)
    told = list(run_shard(shard, store, "cpu"))
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert [row["iterations_done"] for row in rows] == [6, 6] and told[-1].status == "done"
    assert store.exists(f"t/pictures/{shard.trials[0].id}/strokes.svg")


@pytest.mark.parametrize("cut_after", [None, 6, 7])
def test_the_strokes_of_a_trial_that_stopped_early_are_those_of_its_last_picture(
    store: Store, monkeypatch: pytest.MonkeyPatch, cut_after: int | None
) -> None:
    def mark(self: object, pictures: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([0.5, iteration / 100]), torch.zeros(2, 3)  # the first no longer rises, the second does

    monkeypatch.setattr("dreamsweep.guidance.Judge.mark", mark)
    if cut_after:
        monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    shard = a_shard(early_stop=4)
    if cut_after:
        list(itertools.islice(run_shard(shard, store, "cpu"), cut_after + 1))
    list(run_shard(shard, store, "cpu"))
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert [row["iterations_done"] for row in rows] == [6, 9]
    spec = shard.trials[0].engine
    assert isinstance(spec, StrokesSpec)
    for step in StrokesEngine(spec).generate(shard.trials, ClipGuide(ColourPerceptor(), shard.trials, thing_names())):
        for index, ended in enumerate((6, 9)):
            if step.iteration == ended and step.svg is not None:
                assert store.read(f"t/pictures/{shard.trials[index].id}/strokes.svg").decode() == step.svg()[index]
                final = decode_png(store.read(f"t/pictures/{shard.trials[index].id}/final.png"))
                assert torch.equal(final, to_bytes(step.draw())[index])


@pytest.mark.parametrize("films", [["mp4", "gif"], ["gif"]])
def test_the_strokes_film_comes_in_the_formats_asked_for(store: Store, films: list[str]) -> None:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2}
    content = {"name": "t", "prompts": ["red"], "engines": [engine], "iterations": 2, "films": films}
    (shard,) = shards(parse_sweep(content, Path("/"), "test"))
    list(run_shard(shard, store, "cpu"))
    (row,) = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert row["strokes_uri"] == store.uri_of(f"t/pictures/{shard.trials[0].id}/strokes.{films[0]}")
    assert all(store.exists(f"t/pictures/{shard.trials[0].id}/strokes.{kind}") for kind in films)


def test_what_a_perceptor_cannot_read_is_recorded(store: Store) -> None:
    content = {
        "name": "t",
        "prompts": ["one two three four five six seven"],
        "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 2}],
    }
    sweep = parse_sweep({**content, "iterations": 1}, Path("/"), "test")
    shard = next(iter(shards(sweep)))
    list(run_shard(shard, store, "cpu"))
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert rows[0]["warnings"][:2] == ["colours reads one colour"] * 2


def test_a_blank_picture_is_warned_of(store: Store) -> None:
    from dreamsweep.records import BLANK

    paper = {"name": "t", "prompts": ["a red heart"], "iterations": 1, "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 1}]}
    full = {**paper, "engines": [{"engine": "dalle", "image_size": 32, "start": "noise"}]}
    for content, blank in ((paper, True), (full, False)):
        shard = next(iter(shards(parse_sweep(content, Path("/"), "test"))))
        list(run_shard(shard, store, "cpu"))
        (row,) = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
        assert (BLANK in row["warnings"]) is blank


@pytest.mark.usefixtures("tiny_weights")
def test_an_interpolation_leaves_every_frame_and_says_where_it_switches(store: Store) -> None:
    content = {
        "name": "t",
        "prompts": [{"text": "red", "to": "blue"}, {"text": "blue", "to": ["red", "green"]}],
        "engines": [{"engine": "interpolation", "num_iter": 7, "steps": 2}],
    }
    (shard,) = shards(parse_sweep(content, Path("/"), "test"))
    list(run_shard(shard, store, "cpu"))
    folder = f"t/staging/{shard.shard_id}"
    trials, scores = (pq.read_table(io.BytesIO(store.read(f"{folder}/{name}.parquet"))).to_pylist() for name in ("trials", "scores"))
    assert [row["prompts_to"] for row in trials] == [["blue"], ["red", "green"]]
    assert [row["optimizer"] for row in trials] == [None, None]
    for row, keys in zip(trials, (2, 3), strict=True):
        curve = [score for score in scores if score["trial_id"] == row["trial_id"]]
        assert [score["iteration"] for score in curve] == list(range(1, 8))
        assert all(len(score["guide_each"]) == keys and score["snapshot_uri"] for score in curve)
        assert all(score["learning_rate"] is None for score in curve)
        nearest = [max(range(keys), key=score["guide_each"].__getitem__) for score in curve]
        assert row["switches"] == [at + 1 for at in range(1, 7) if nearest[at] != nearest[at - 1]]
        strip = Image.open(io.BytesIO(store.read(f"t/pictures/{row['trial_id']}/sheet.png")))
        assert strip.size == (7 * 16, 16) and row["sheet_uri"].endswith("sheet.png")
        assert Image.open(io.BytesIO(store.read(f"t/pictures/{row['trial_id']}/film.webp"))).n_frames > 1  # type: ignore[attr-defined]


def test_several_guides_are_told_of(store: Store) -> None:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2}
    content = {
        "name": "t",
        "prompts": ["red"],
        "engines": [engine],
        "iterations": 2,
        "guide": ["RN50", {"name": "ViT-B/32", "weight": 0.5}],
    }
    (shard,) = shards(parse_sweep(content, Path("/"), "test"))
    list(run_shard(shard, store, "cpu"))
    (row,) = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert row["guide_name"] == "RN50 + 0.5 ViT-B/32"


class Cramped(StrokesEngine):
    """A device with room for one trial, or less."""

    room = 1

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        for step in super().generate(trials, guide, state):
            if len(trials) > self.room and step.iteration == 2:
                raise torch.OutOfMemoryError("no room")
            yield step


def cramped(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(Cramped, "room", room)
    monkeypatch.setattr(shard_module, "make_engine", lambda spec, weights, device: Cramped(spec, device))


def test_a_batch_that_does_not_fit_is_made_in_halves_and_comes_out_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = a_shard()
    list(run_shard(shard, store, "cpu"))
    pictures = {key: store.read(key) for key in store.keys("t/pictures/") if key.endswith(".png")}
    before = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/scores.parquet"))).drop(["elapsed"])
    for key in list(store.keys("t/staging/")):
        store.delete(key)
    cramped(monkeypatch, room=1)
    list(run_shard(shard, store, "cpu"))
    assert {key: store.read(key) for key in store.keys("t/pictures/") if key.endswith(".png")} == pictures
    after = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/scores.parquet"))).drop(["elapsed"])
    for name in ("iteration", "judge", "snapshot_uri"):
        assert after[name].equals(before[name]), name
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert [row["trials_at_once"] for row in rows] == [1, 1]


def test_a_batch_in_halves_goes_on_from_its_checkpoint(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = a_shard()
    cramped(monkeypatch, room=1)
    monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    cut = run_shard(shard, store, "cpu")
    next(progress for progress in cut if progress.iteration == 5)
    del cut
    told_again = list(run_shard(shard, store, "cpu"))
    assert told_again[0].status == "resumed" and told_again[0].iteration == 5
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert [row["trials_at_once"] for row in rows] == [1, 1]


def test_one_trial_that_does_not_fit_is_told_in_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cramped(monkeypatch, room=0)
    with pytest.raises(DeviceError, match=r"'cpu' has too little free memory for one trial of 'strokes': lower its cutouts"):
        list(run_shard(a_shard(), store, "cpu"))
