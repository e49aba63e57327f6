"""A shard: staged once, resumed where it was cut off, honest about trials that fail."""

import io
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dreamsweep.compute.images import METADATA_KEY, decode_png, png_bytes, to_bytes
from dreamsweep.engines.protocol import Artefact, State, Step
from dreamsweep.engines.strokes import StrokesEngine
from dreamsweep.errors import DeviceError, StoreError
from dreamsweep.generation import shard as shard_module
from dreamsweep.generation.batch_log import BatchLog, Row
from dreamsweep.generation.checkpoint import checkpoint_bytes, read_checkpoint
from dreamsweep.generation.records import DAMAGED, REDRAWN
from dreamsweep.generation.shard import run_shard
from dreamsweep.guidance.guides import ClipGuide
from dreamsweep.guidance.protocol import Guidance, Guide
from dreamsweep.judges import registry as judges
from dreamsweep.planning.expand import Shard, shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.manifest import done_shards
from dreamsweep.results.missing import work
from dreamsweep.spec import StrokesSpec, Trial
from dreamsweep.store import BYTES, Store, keys, open_store
from dreamsweep.store.local import LocalStore
from dreamsweep.tables.contents import content_of
from dreamsweep.tables.parquet import read_parquet
from tests.dreamsweep.fakes import ColourPerceptor


@pytest.fixture(autouse=True)
def colours_for_perceptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights are needed here: the shard's own work is what is tested."""
    for module in (shard_module, judges):
        monkeypatch.setattr(module, "load_perceptor", lambda name, device: ColourPerceptor())


def a_shard(**settings: object) -> Shard:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2, **settings}
    content = {"name": "t", "prompts": ["red", "blue"], "engines": [engine], "iterations": 9, "snapshot_every": 4, "judge_every": 3}
    return next(iter(shards(parse_sweep(content, Path("/"), "test"))))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_a_shard_leaves_its_pictures_and_a_row_for_every_iteration(store: Store) -> None:
    shard = a_shard()
    steps = list(run_shard(shard, store, "cpu"))
    assert [p.iteration for p in steps] == [*range(10), *[9] * 3] and steps[-1].status == "done"
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
    steps = list(run_shard(shard, store, "cpu"))
    assert steps[0].status == "resumed" and steps[0].iteration >= cut_after - 1
    pictures = list(whole.keys("t/pictures/"))
    assert list(store.keys("t/pictures/")) == pictures and len(pictures) > 4
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


def cut_off(shard: Shard, store: Store) -> str:
    """Stops a shard in its fourth iteration, and returns the key of its checkpoint."""
    stops = itertools.chain([False] * 3, itertools.repeat(True))
    with pytest.raises(shard_module.ShardStoppedError):
        list(run_shard(shard, store, "cpu", lambda: next(stops)))
    return f"t/staging/{shard.shard_id}/checkpoint.safetensors"


def of_another_layout(data: bytes) -> bytes:
    """Returns a whole checkpoint whose engine's state has other names."""
    checkpoint = read_checkpoint(data)
    assert checkpoint
    state = {name if name == "iteration" else f"new.{name}": value for name, value in checkpoint.state.items()}
    return checkpoint_bytes(replace(checkpoint, state=state))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: data.replace(b'"dtype":"F32"', b'"dtype":"I32"', 1),
        of_another_layout,
    ],
    ids=["cut", "empty", "flipped", "header", "layout"],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(store: Store, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    shard, whole = a_shard(), open_store(str(tmp_path / "whole"))
    list(run_shard(shard, whole, "cpu"))
    key = cut_off(shard, store)
    before = store.read(key)
    damaged = damage(before)
    assert damaged != before
    store.write(key, damaged)
    steps = list(run_shard(shard, store, "cpu"))
    assert steps[-1].status == "done" and 1 in [p.iteration for p in steps]
    pictures = list(whole.keys("t/pictures/"))
    assert all(store.read(picture) == whole.read(picture) for picture in pictures)
    rows = read_parquet(store.read(f"t/staging/{shard.shard_id}/trials.parquet")).to_pylist()
    assert all(DAMAGED in row["warnings"] for row in rows)


def test_a_whole_checkpoint_is_used_without_a_warning(store: Store) -> None:
    shard = a_shard()
    cut_off(shard, store)
    assert next(iter(run_shard(shard, store, "cpu"))).status == "resumed"
    list(run_shard(shard, store, "cpu"))
    rows = read_parquet(store.read(f"t/staging/{shard.shard_id}/trials.parquet")).to_pylist()
    assert not any(DAMAGED in (row["warnings"] or ()) for row in rows)


def test_every_flipped_byte_of_a_checkpoint_is_noticed(store: Store) -> None:
    key = cut_off(shard := a_shard(), store)
    data = store.read(key)
    first = read_checkpoint(data)
    assert first and first.trials == [trial.id for trial in shard.trials]
    for at in range(0, len(data), 97):
        assert read_checkpoint(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]) is None, at


def test_a_checkpoint_of_an_older_version_has_no_sum(store: Store) -> None:
    data = store.read(cut_off(a_shard(), store))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]["sha256"]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    assert read_checkpoint(len(text).to_bytes(8, "little") + text + data[8 + length :])


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

    monkeypatch.setattr("dreamsweep.judges.similarity.SimilarityJudge.score", mark)
    shard = a_shard(early_stop=4)
    steps = list(run_shard(shard, store, "cpu"))
    rows = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert [row["iterations_done"] for row in rows] == [6, 6] and steps[-1].status == "done"
    assert store.exists(f"t/pictures/{shard.trials[0].id}/strokes.svg")


@pytest.mark.parametrize("cut_after", [None, 6, 7])
def test_the_strokes_of_a_trial_that_stopped_early_are_those_of_its_last_picture(
    store: Store, monkeypatch: pytest.MonkeyPatch, cut_after: int | None
) -> None:
    def mark(self: object, pictures: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([0.5, iteration / 100]), torch.zeros(2, 3)  # the first no longer rises, the second does

    monkeypatch.setattr("dreamsweep.judges.similarity.SimilarityJudge.score", mark)
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
    compared = []
    for step in StrokesEngine(spec).generate(shard.trials, ClipGuide(ColourPerceptor(), shard.trials)):
        for index, ended in enumerate((6, 9)):
            if step.iteration == ended:
                assert step.artefacts is not None
                drawing, _ = step.artefacts(index)
                assert isinstance(drawing, Artefact)
                assert store.read(f"t/pictures/{shard.trials[index].id}/strokes.svg") == drawing.data
                assert dict(rows[index]["artefacts"]) == {
                    name: f"pictures/{shard.trials[index].id}/{name}" for name in ("strokes.svg", "strokes.webp")
                }
                final = decode_png(store.read(f"t/pictures/{shard.trials[index].id}/final.png"))
                assert torch.equal(final, to_bytes(step.draw())[index])
                compared.append(index)
    assert compared == [0, 1]


def test_rows_that_are_read_some_at_a_time_are_the_same(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU. A trial diverges between two readings, and leaves its drawing all the same; a checkpoint reads what waits."""
    plain, add, read = ClipGuide.__call__, BatchLog.add, list[int]()

    def breaks(self: ClipGuide, pictures: torch.Tensor, iteration: int) -> Guidance:
        guidance = plain(self, pictures, iteration)
        return replace(guidance, loss=torch.where(torch.tensor([iteration >= 7, False]), torch.nan, guidance.loss))

    def counted(self: BatchLog, rows: Sequence[Row]) -> None:
        read.append(len(rows))
        add(self, rows)

    engine = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2}
    content = {"name": "t", "prompts": ["red", "blue"], "engines": [engine], "iterations": 20, "snapshot_every": 10, "judge_every": 10}
    (shard,) = shards(parse_sweep(content, Path("/"), "test"))
    monkeypatch.setattr(ClipGuide, "__call__", breaks)
    monkeypatch.setattr(BatchLog, "add", counted)
    list(run_shard(shard, store, "cpu"))
    assert read == [1] * 20
    monkeypatch.setattr(shard_module, "ROWS_AT_ONCE", {"cpu": 4})
    for cut_after in (20, 8):
        read.clear()
        other = open_store(str(tmp_path / f"cut after {cut_after}"))
        stops: Iterator[bool] = itertools.chain([False] * (cut_after - 1), itertools.repeat(True))
        for _ in range(1 if cut_after == 20 else 2):
            with suppress(shard_module.ShardStoppedError):
                list(run_shard(shard, other, "cpu", lambda stops=stops: next(stops, False)))  # type: ignore[misc]
            stops = iter(())
        assert read == ([1, 4, 4, 1, 4, 4, 2] if cut_after == 20 else [1, 4, 3, 2, 4, 4, 2])
        pictures = list(store.keys("t/pictures/"))
        assert list(other.keys("t/pictures/")) == pictures and any(key.endswith("strokes.svg") for key in pictures)
        assert all(store.read(key) == other.read(key) for key in pictures)
        for name in ("scores", "trials"):
            ours, theirs = (read_parquet(s.read(f"t/staging/{shard.shard_id}/{name}.parquet")) for s in (other, store))
            timed = {"elapsed", "seconds", "iterations_per_second", "finished_at"} & set(ours.column_names)
            assert str(ours.drop(list(timed)).to_pylist()) == str(theirs.drop(list(timed)).to_pylist())  # NaN is like itself
    assert [row["status"] for row in rows_of(store, shard, "trials")] == ["diverged", "done"]
    assert len([row for row in rows_of(store, shard, "scores") if row["trial_id"] == shard.trials[0].id]) == 7


class SlowPictures(LocalStore):
    """A store whose pictures take their time, and which looks at what names them when that is written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.threads, self.looked_at = set[str](), list[str]()

    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        if "/pictures/" in key:
            self.threads.add(threading.current_thread().name)
            time.sleep(0.02)
        sweep = key.partition("/")[0]
        if key.endswith("checkpoint.safetensors") and (checkpoint := read_checkpoint(data)):
            named = [
                keys.picture(sweep, trial_id, keys.snapshot_name(at + 1))
                for trial_id, row in zip(checkpoint.trials, checkpoint.log.snapshot, strict=True)
                for at in row.nonzero().flatten().tolist()
            ]
            named += [keys.picture(sweep, trial_id, name) for trial_id, names in checkpoint.artefacts.items() for name in names]
            self.looked_at.append(key)
            assert all(self.exists(name) for name in named)
        if key.endswith("manifest.json"):
            files = read_parquet(self.read(key.replace("manifest.json", "files.parquet"))).to_pylist()
            self.looked_at.append(key)
            assert files
            for file in files:
                content = content_of(self.read(f"{sweep}/{file['file_uri']}"))
                assert (content.size, content.sha256) == (file["size"], file["sha256"])
        super().write(key, data, content_type)


def test_checkpoints_and_the_manifest_name_only_files_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    store, shard = SlowPictures(tmp_path / "runs"), a_shard()
    list(run_shard(shard, store, "cpu"))
    assert len([key for key in store.looked_at if "checkpoint" in key]) == 8 and store.looked_at[-1].endswith("manifest.json")
    assert threading.main_thread().name not in store.threads


def test_a_picture_that_cannot_be_written_ends_the_shard_as_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_CHECKPOINT_SECONDS", "0")
    write = LocalStore.write

    def full(self: LocalStore, key: str, data: bytes, content_type: str = BYTES) -> None:
        if key.endswith("000004.png"):
            raise StoreError("its disk is full")
        write(self, key, data, content_type)

    shard = a_shard()
    with monkeypatch.context() as broken:
        broken.setattr(LocalStore, "write", full)
        with pytest.raises(StoreError, match="its disk is full"):
            list(run_shard(shard, store, "cpu"))
    assert not list(done_shards(store, "t"))
    checkpoint = read_checkpoint(store.read(f"t/staging/{shard.shard_id}/checkpoint.safetensors"))
    assert checkpoint and int(checkpoint.state["iteration"]) == 3
    steps = list(run_shard(shard, store, "cpu"))
    assert steps[0].iteration == 3 and steps[-1].status == "done"


@pytest.mark.parametrize("films", [["mp4", "gif"], ["gif"]])
def test_the_strokes_film_comes_in_the_formats_asked_for(store: Store, films: list[str]) -> None:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 6, "cutouts": 2}
    content = {"name": "t", "prompts": ["red"], "engines": [engine], "iterations": 2, "films": films}
    (shard,) = shards(parse_sweep(content, Path("/"), "test"))
    list(run_shard(shard, store, "cpu"))
    (row,) = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
    assert row["strokes_uri"] == f"pictures/{shard.trials[0].id}/strokes.{films[0]}"
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
    assert rows[0]["warnings"].count("colours reads one colour") == 1  # guide and judge say the same


def test_a_blank_picture_is_warned_of(store: Store) -> None:
    from dreamsweep.generation.records import BLANK

    paper = {"name": "t", "prompts": ["a red heart"], "iterations": 1, "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 1}]}
    full = {**paper, "engines": [{"engine": "dalle", "image_size": 32, "start": "noise"}]}
    for content, blank in ((paper, True), (full, False)):
        shard = next(iter(shards(parse_sweep(content, Path("/"), "test"))))
        list(run_shard(shard, store, "cpu"))
        (row,) = pq.read_table(io.BytesIO(store.read(f"t/staging/{shard.shard_id}/trials.parquet"))).to_pylist()
        assert (BLANK in row["warnings"]) is blank


@pytest.mark.parametrize("fast", ["default", "bfloat16"])
@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_arithmetic_that_a_processor_imitates_is_warned_of(
    store: Store, monkeypatch: pytest.MonkeyPatch, fast: str, precision: str
) -> None:
    from dreamsweep.generation.records import IMITATED

    monkeypatch.setattr("dreamsweep.generation.shard.fast_precision", lambda device: fast)
    strokes = {"engine": "strokes", "canvas": 32, "num_paths": 2}
    content = {"name": "t", "prompts": ["a red heart"], "iterations": 1, "precision": precision, "engines": [strokes]}
    shard = next(iter(shards(parse_sweep(content, Path("/"), "test"))))
    list(run_shard(shard, store, "cpu"))
    (row,) = rows_of(store, shard, "trials")
    assert (IMITATED in row["warnings"]) is (precision == "bfloat16" and fast == "default")


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
    for row, prompts in zip(trials, (2, 3), strict=True):
        curve = [score for score in scores if score["trial_id"] == row["trial_id"]]
        assert [score["iteration"] for score in curve] == list(range(1, 8))
        assert all(len(score["guide_each"]) == prompts and score["snapshot_uri"] for score in curve)
        assert all(score["learning_rate"] is None for score in curve)
        nearest = [max(range(prompts), key=score["guide_each"].__getitem__) for score in curve]
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


@pytest.mark.gpu
def test_a_gpu_s_batch_that_does_not_fit_is_made_in_halves(store: Store) -> None:
    """A card with one and a half times the memory that two trials take has none for sixteen."""

    def trials_at_once(trials: int) -> list[int]:
        content = {"name": f"t{trials}", "prompts": ["a red heart"], "engines": ["dalle"], "iterations": 2, "seeds": list(range(trials))}
        (shard,) = shards(parse_sweep({**content, "shard_size": trials}, Path("/"), "test"))
        list(run_shard(shard, store, "cuda"))
        rows = read_parquet(store.read(f"t{trials}/staging/{shard.shard_id}/trials.parquet")).to_pylist()
        return [row["trials_at_once"] for row in rows]

    torch.cuda.reset_peak_memory_stats()
    assert trials_at_once(2) == [2, 2]
    room = 1.5 * torch.cuda.max_memory_allocated() / torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(room)
    try:
        at_once = trials_at_once(16)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(at_once) == 16 and 1 <= at_once[0] < 16


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


def extended(shard: Shard, **changes: Any) -> Shard:
    """The same trials, with other things kept or scored."""
    judging, keep = ({name: value for name, value in changes.items() if name.startswith("judge") is of} for of in (True, False))
    return shard.model_copy(update={"keep": shard.keep.model_copy(update=keep), "judging": shard.judging.model_copy(update=judging)})


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of trials of each batch that an engine draws from here on."""
    drawn: list[int] = []

    class Counting(StrokesEngine):
        def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
            drawn.append(len(trials))
            return super().generate(trials, guide, state)

    monkeypatch.setattr(shard_module, "make_engine", lambda spec, weights, device: Counting(spec, device))
    return drawn


def rows_of(store: Store, shard: Shard, name: str) -> list[dict[str, Any]]:
    (manifest,) = done_shards(store, "t")
    return list(pq.read_table(io.BytesIO(store.read(manifest.tables[name][0]))).to_pylist())


def test_another_film_is_encoded_from_stored_pictures(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, drawn = a_shard(), counting(monkeypatch)
    list(run_shard(shard, store, "cpu"))
    before, drawn[:] = {key: store.read(key) for key in store.keys("t/pictures/")}, []
    more = extended(shard, films=("webp", "gif"))
    assert [p.status for p in run_shard(more, store, "cpu")] == ["running", "running", "done"] and not drawn
    after = {key: store.read(key) for key in store.keys("t/pictures/")}
    assert {key.rpartition("/")[2] for key in after.keys() - before.keys()} == {"film.gif", "strokes.gif"}
    assert {key: after[key] for key in before} == before
    whole = open_store(str(tmp_path / "whole"))
    list(run_shard(more, whole, "cpu"))
    for trial in shard.trials:
        key = f"t/pictures/{trial.id}/film.gif"
        assert store.read(key) == whole.read(key)
    assert [p.status for p in run_shard(more, store, "cpu")] == ["already done"]


def test_a_film_that_cannot_be_made_again_is_warned_of_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shard = a_shard()
    list(run_shard(shard, store, "cpu"))
    for trial in shard.trials:
        store.delete(f"t/pictures/{trial.id}/strokes.svg")
    more = extended(shard, films=("webp", "gif"))
    for _ in range(2):
        list(run_shard(more, store, "cpu"))
    assert [record.getMessage() for record in caplog.records if record.name == "dreamsweep.progress"] == [
        f"shard {shard.shard_id}: strokes.gif of 2 trials cannot be made afterwards, only by a sweep of another name."
    ]


def test_more_snapshots_are_drawn_again_and_everything_else_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, drawn = a_shard(), counting(monkeypatch)
    list(run_shard(shard, store, "cpu"))
    before, drawn[:] = {key: store.read(key) for key in store.keys("t/pictures/")}, []
    more = extended(shard, snapshot_every=3)
    list(run_shard(more, store, "cpu"))
    assert drawn == [2]
    after = {key: store.read(key) for key in store.keys("t/pictures/")}
    assert {key.rpartition("/")[2] for key in after.keys() - before.keys()} == {"000003.png", "000006.png"}
    assert {key: after[key] for key in before if "film" not in key} == {key: before[key] for key in before if "film" not in key}
    scores = rows_of(store, shard, "scores")[:9]
    assert [row["iteration"] for row in scores if row["snapshot_uri"]] == [3, 4, 6, 8, 9]
    assert all(REDRAWN not in row["warnings"] for row in rows_of(store, shard, "trials"))
    drawn[:] = []
    for again in (more, shard):
        assert [p.status for p in run_shard(again, store, "cpu")] == ["already done"]
    assert not drawn


def test_a_picture_that_comes_out_other_than_before_is_not_replaced(store: Store) -> None:
    shard = a_shard()
    list(run_shard(shard, store, "cpu"))
    key = f"t/pictures/{shard.trials[0].id}/final.png"
    elsewhere = png_bytes(torch.full((3, 32, 32), 7, dtype=torch.uint8), "{}")
    store.write(key, elsewhere)
    list(run_shard(extended(shard, snapshot_every=3), store, "cpu"))
    assert store.read(key) == elsewhere
    assert [REDRAWN in row["warnings"] for row in rows_of(store, shard, "trials")] == [True, False]


def test_another_judge_scores_stored_pictures(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, drawn = a_shard(), counting(monkeypatch)
    list(run_shard(shard, store, "cpu"))
    before, drawn[:] = {key: store.read(key) for key in store.keys("") if not key.endswith("manifest.json")}, []
    monkeypatch.setattr("dreamsweep.generation.judging.judge_weights", lambda name, labels: {name: "0" * 64})
    more = extended(shard, judge="RN50")
    assert {p.status for p in run_shard(more, store, "cpu")} == {"running", "done"} and not drawn
    (new,) = {key for key in store.keys("") if not key.endswith("manifest.json")} - before.keys()
    assert all(store.read(key) == data for key, data in before.items())
    rows = pq.read_table(io.BytesIO(store.read(new))).to_pylist()
    assert [(row["trial_id"], row["picture"], row["iteration"]) for row in rows] == [
        (trial.id, name, iteration)
        for trial in shard.trials
        for name, iteration in (("000004.png", 4), ("000008.png", 8), ("000009.png", 9), ("final.png", 9))
    ]
    judged = {(row["trial_id"], row["iteration"]): row["judge"] for row in rows_of(store, shard, "scores")}
    for row in rows:  # the colours' perceptor judges in both; a stored picture is rounded to 8 bits
        assert row["score"] == pytest.approx(judged[row["trial_id"], row["iteration"]], abs=0.02)
    assert [p.status for p in run_shard(more, store, "cpu")] == ["already done"]


def test_of_an_extended_sweep_an_engine_draws_only_what_is_new(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = counting(monkeypatch)
    strokes = {"engine": "strokes", "canvas": 32, "num_paths": 3, "cutouts": 2}
    content: dict[str, Any] = {"name": "t", "engines": [strokes], "prompts": ["red", "blue"], "iterations": 2, "shard_size": 4}
    for changes, batches in (
        ({}, [2]),
        ({"seeds": [0, 1]}, [2]),
        ({"prompts": ["red", "green", "blue"]}, [2]),
        ({"engines": [{**strokes, "num_paths": 4}, strokes]}, [4, 2]),
        ({"films": ["webp", "gif"]}, []),
        ({"snapshot_every": 1}, [2, 2, 2, 4, 2]),
        ({}, []),
    ):
        content |= changes
        for shard in work(parse_sweep(content, Path("/"), "test"), list(done_shards(store, "t"))):
            list(run_shard(shard, store, "cpu"))
        assert sorted(drawn) == sorted(batches), changes
        drawn.clear()
