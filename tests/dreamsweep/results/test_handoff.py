"""Shards handed over through the store."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dreamsweep.compute.images import read_picture
from dreamsweep.errors import StoreError
from dreamsweep.planning.expand import Shard, shards
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep
from dreamsweep.results.handoff import (
    Progress,
    forget_progress,
    planned_shards,
    read_progress,
    read_shard,
    write_progress,
    write_shard,
)
from dreamsweep.store import Store, open_store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "the runs"))
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/night")


def a_shard(folder: Path) -> Shard:
    folder.mkdir()
    Image.new("RGB", (40, 30), "red").save(folder / "start.png")
    (folder / "mine.yaml").write_text("name: t\nprompts: [a, b]\nengines: [{engine: dalle, init_image: start.png, image_size: 32}]\n")
    return next(iter(shards(load_sweep(folder / "mine.yaml"))))


def test_a_planned_shard_is_the_shard_and_needs_nothing_of_the_planner_s_disk(store: Store, tmp_path: Path) -> None:
    shard = a_shard(tmp_path / "mine")
    write_shard(store, shard)
    (tmp_path / "mine" / "start.png").unlink()
    handed = read_shard(store, "t", shard.shard_id)
    assert [trial.id for trial in handed.trials] == [trial.id for trial in shard.trials]
    assert list(planned_shards(store, "t")) == [shard.shard_id]
    file = handed.trials[0].engine.init_image  # type: ignore[attr-defined]
    assert file is not None and read_picture(file, 16)[0].min() > 0.99


def test_what_is_no_plan_is_told_in_a_sentence(store: Store) -> None:
    with pytest.raises(StoreError):
        read_shard(store, "t", "nobody")
    store.write("t/planned/half.json", b'{"shard_id": "half"')
    with pytest.raises(StoreError, match="no planned shard of this version"):
        read_shard(store, "t", "half")


def test_progress_is_there_until_it_is_forgotten(store: Store) -> None:
    progress = Progress(shard_id="s", engine="strokes", iteration=3, iterations=9, trials=2, best=None, iterations_per_second=1.5)
    assert read_progress(store, "t", "s") is None
    write_progress(store, "t", progress)
    assert read_progress(store, "t", "s") == progress
    named = replace(progress, prompts=("a red heart", "赤い"), other_prompts=3)
    write_progress(store, "t", named)
    assert read_progress(store, "t", "s") == named
    forget_progress(store, "t", "s")
    assert read_progress(store, "t", "s") is None
    store.write("t/staging/s/progress.json", b"{}")
    assert read_progress(store, "t", "s") is None


def test_progress_of_other_versions_is_read(store: Store) -> None:
    words = '"shard_id":"s","engine":"strokes","iteration":3,"iterations":9,"trials":2,"best":null,"iterations_per_second":1.5'
    for more in ("", ',"status":"running","prompts":[],"other_prompts":0,"newer":1'):
        store.write("t/staging/s/progress.json", f"{{{words}{more}}}".encode())
        assert read_progress(store, "t", "s") == Progress("s", "strokes", 3, 9, 2, None, 1.5)


def test_a_planned_shard_s_progress_names_the_first_prompts() -> None:
    texts = ["x" * 100, *(f"thing {number}" for number in range(11))]
    sweep = parse_sweep({"name": "t", "prompts": texts, "engines": ["dalle"], "seeds": [0, 1], "shard_size": 100}, Path(), "test")
    (shard,) = shards(sweep)
    progress = Progress.of_planned(shard)
    assert progress == Progress(
        shard.shard_id, "dalle", 0, 200, 24, None, 0.0, prompts=("x" * 80, *(f"thing {number}" for number in range(7))), other_prompts=4
    )
    assert Progress.of_made(shard) == replace(progress, iteration=200, status="already done")
