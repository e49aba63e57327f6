"""The pictures that a wall steps through."""

import io
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dreamsweep.report.query import query
from dreamsweep.review import frames as module
from dreamsweep.review.app import make_app
from dreamsweep.review.frames import frames_of
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def trials(store: Store, name: str = "made-up") -> list[tuple[str, int]]:
    rows = query(store, "SELECT trial_id, iterations_done FROM trials ORDER BY iterations_done", name).to_pylist()
    return [(row["trial_id"], row["iterations_done"]) for row in rows]


def test_snapshots_and_the_last_picture_are_frames(store: Store) -> None:
    engines = [{"engine": "dalle", "num_iter": 60}, {"engine": "strokes", "num_iter": 40}]
    publish_sample(store, prompts=["a red heart"], engines=engines, snapshots=(1, 20, 40))
    shorter, longer = (frames_of(store, "made-up", *trial) for trial in trials(store))
    assert (shorter.iterations, longer.iterations) == ([1, 20, 40], [1, 20, 40, 60])
    assert [key.rpartition("/")[2] for key in longer.keys] == ["000001.png", "000020.png", "000040.png", "final.png"]
    assert frames_of(store, "made-up", "0" * 16, 60).keys == []


def test_many_frames_are_thinned_and_none_are_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRAMES", 4)
    publish_sample(store, prompts=["a red heart"], engines=["dalle"], snapshots=(*range(1, 61),))
    publish_sample(store, name="other", prompts=["a red heart"], engines=["dalle"])
    assert frames_of(store, "made-up", *trials(store)[0]).iterations == [1, 21, 40, 60]
    assert frames_of(store, "other", *trials(store, "other")[0]).iterations == []


def test_strips_come_from_the_server(store: Store) -> None:
    publish_sample(store, prompts=["a red heart"], engines=["dalle"], snapshots=(1, 30))
    client = TestClient(make_app(store))
    ((trial, done),) = trials(store)
    strip = client.get(f"/strips/made-up/{trial}?side=96&iterations={done}")
    assert strip.headers["content-type"] == "image/webp" and "max-age" in strip.headers["cache-control"]
    assert strip.headers["X-Dreamsweep-Iterations"] == "1,30,60"
    assert Image.open(io.BytesIO(strip.content)).size == (3 * 96, 96)
    assert client.get(f"/strips/made-up/{'0' * 16}?side=96").status_code == 204
    assert client.get(f"/strips/made-up/{trial}?side=5000").status_code == 422
    assert client.get("/strips/made-up/..%2f?side=96").status_code in (404, 422)
