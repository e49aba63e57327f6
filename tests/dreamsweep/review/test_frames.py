"""The pictures that a wall steps through."""

import io
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dreamsweep.review import frames as module
from dreamsweep.review.app import make_app
from dreamsweep.review.frames import kept_frames
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_snapshots_and_the_last_picture_are_frames(store: Store) -> None:
    engines = [{"engine": "dalle", "num_iter": 60}, {"engine": "strokes", "num_iter": 40}]
    publish_sample(store, prompts=["a red heart"], engines=engines, snapshots=(1, 20, 40))
    kept = kept_frames(store, "made-up")
    assert sorted(kept.frames.series) == [[1, 20, 40], [1, 20, 40, 60]] and len(kept.frames.trials) == 2
    (longer,) = kept.finals
    names = [key.rpartition("/")[2] for key in kept.keys_of("made-up", longer)]
    assert names == ["000001.png", "000020.png", "000040.png", "final.png"] and kept.keys_of("made-up", "0" * 16) == []


def test_many_frames_are_thinned_and_none_are_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRAMES", 4)
    publish_sample(store, prompts=["a red heart"], engines=["dalle"], snapshots=(*range(1, 61),))
    publish_sample(store, name="other", prompts=["a red heart"], engines=["dalle"])
    assert kept_frames(store, "made-up").frames.series == [[1, 21, 40, 60]]
    assert kept_frames(store, "other").frames.series == []


def test_strips_come_from_the_server(store: Store) -> None:
    publish_sample(store, prompts=["a red heart"], engines=["dalle"], snapshots=(1, 30))
    client = TestClient(make_app(store))
    (trial,) = client.get("/api/sweeps/made-up/frames").json()["trials"]
    strip = client.get(f"/strips/made-up/{trial}?side=96&last=60")
    assert strip.headers["content-type"] == "image/webp" and "max-age" in strip.headers["cache-control"]
    assert Image.open(io.BytesIO(strip.content)).size == (3 * 96, 96)
    missing = client.get(f"/strips/made-up/{'0' * 16}?side=96")
    assert missing.status_code == 404 and "has no pictures on the way" in missing.json()["detail"]
    assert client.get(f"/strips/made-up/{trial}?side=5000").status_code == 422
    assert client.get("/strips/made-up/..%2f?side=96").status_code in (404, 422)
