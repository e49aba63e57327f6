"""Shards handed over through the store."""

from pathlib import Path

import pytest
from PIL import Image

from dreamsweep.errors import StoreError
from dreamsweep.expand import Shard, shards
from dreamsweep.pictures import read_picture
from dreamsweep.planned import (
    Progress,
    forget_progress,
    planned_shards,
    read_progress,
    read_shard,
    write_progress,
    write_shard,
)
from dreamsweep.store import Store, open_store
from dreamsweep.sweepfile import load_sweep


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
    found = read_shard(store, "t", shard.shard_id)
    assert [trial.id for trial in found.trials] == [trial.id for trial in shard.trials]
    assert list(planned_shards(store, "t")) == [shard.shard_id]
    file = found.trials[0].engine.init_image  # type: ignore[union-attr]
    assert file is not None and read_picture(file, 16)[0].min() > 0.99


def test_what_is_no_plan_is_told_in_a_sentence(store: Store) -> None:
    with pytest.raises(StoreError):
        read_shard(store, "t", "nobody")
    store.write("t/planned/half.json", b'{"shard_id": "half"')
    with pytest.raises(StoreError, match="no planned shard of this version"):
        read_shard(store, "t", "half")


def test_progress_is_there_until_it_is_forgotten(store: Store) -> None:
    told = Progress(shard_id="s", engine="strokes", iteration=3, iterations=9, trials=2, best=None, iterations_per_second=1.5)
    assert read_progress(store, "t", "s") is None
    write_progress(store, "t", told)
    assert read_progress(store, "t", "s") == told
    forget_progress(store, "t", "s")
    assert read_progress(store, "t", "s") is None
    store.write("t/staging/s/progress.json", b"{}")
    assert read_progress(store, "t", "s") is None
