"""Statistics of sets after the fact: rows, grids, pictures that fail, and a run that is cut off."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamsweep.compute.images import decode_png
from dreamsweep.errors import StoreError, UserError
from dreamsweep.generation import set_judging
from dreamsweep.generation.judging import Judged
from dreamsweep.generation.set_judging import judge_sets
from dreamsweep.guidance.targets import shrink
from dreamsweep.judges.set_statistics import frechet_distance, mean_distance, vendi_score
from dreamsweep.perceptors import load_perceptor
from dreamsweep.report.query import query
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample

SWEEP: dict[str, Any] = {"prompts": ["a red heart", "a rocket"], "engines": ["dalle", "strokes"], "seeds": {"count": 3}}
QUALITY = ["frechet_distance", "kernel_distance", "label_score", "precision", "r_precision", "recall"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A folder with a sweep of twelve trials: two prompts by two engines by three seeds."""
    opened = open_store(str(tmp_path / "runs"))
    publish_sample(opened, **SWEEP)
    return opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of eight pictures of several sizes and kinds, in folders of its own, and a text."""
    folder, draw = tmp_path / "photos", np.random.default_rng(0)
    (folder / "more").mkdir(parents=True)
    for number in range(8):
        name = folder / ("more" if number % 2 else "") / f"{number}.{'png' if number < 4 else 'jpg'}"
        Image.fromarray(draw.integers(0, 255, (40 + number, 60, 3), dtype=np.uint8)).save(name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def run(store: Store, *judges: str) -> list[Judged]:
    return list(judge_sets(store, "made-up", judges, "cpu"))


def rows(store: Store, condition: str = "true") -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = query(store, f"SELECT * FROM set_scores WHERE {condition} ORDER BY ALL").to_pylist()
    return table


def features(store: Store, condition: str) -> np.ndarray:
    """The judge's embeddings of best pictures, one by one."""
    network = load_perceptor("starter-judge", "cpu")
    vectors = []
    for row in query(store, f"SELECT trial_id FROM trials WHERE {condition} ORDER BY trial_id").to_pylist():
        pixels = decode_png(store.read(keys.picture("made-up", row["trial_id"], "best.png")))[None].float().div(255)
        vectors.append(network.embed_pictures(shrink(pixels, network.resolution))[0].double().numpy())
    return np.array(vectors)


def test_diversity_of_each_prompt_and_engine(store: Store) -> None:
    assert run(store, "diversity")[-1] == Judged("diversity", 12, 12, 0)
    table = rows(store)
    sets = {(row["prompt"], row["engine"]): row["pictures"] for row in table}
    prompts, engines = SWEEP["prompts"], SWEEP["engines"]
    assert sets == {**{(p, e): 3 for p in prompts for e in engines}, **{(None, e): 6 for e in engines}, (None, None): 12}
    values = {(row["prompt"], row["engine"], row["metric"]): row["value"] for row in table}
    pictures = features(store, "prompt = 'a rocket' AND engine = 'dalle'")
    assert values["a rocket", "dalle", "vendi_score"] == pytest.approx(vendi_score(pictures), abs=1e-4)
    assert values["a rocket", "dalle", "mean_distance"] == pytest.approx(mean_distance(pictures), abs=1e-4)
    assert values[None, None, "vendi_score"] == pytest.approx(vendi_score(features(store, "true")), abs=1e-4)
    assert {(row["perceptor"], row["version"], row["unread"], row["error"]) for row in table} == {
        ("starter-judge", load_perceptor("starter-judge", "cpu").sha256, 0, None)
    }


def test_each_set_of_one_prompt_has_a_grid(store: Store) -> None:
    run(store, "diversity")
    grids = {(row["prompt"], row["engine"]): row["grid_uri"] for row in rows(store)}
    assert {uri is None for (prompt, _), uri in grids.items() if prompt is None} == {True}
    uris = [uri for (prompt, _), uri in grids.items() if prompt is not None]
    assert len(set(uris)) == 4
    for uri in uris:
        image = Image.open(io.BytesIO(store.read(uri.removeprefix(store.uri + "/"))))
        # two by two squares with their captions, of which the last is empty
        tile = set_judging.TILE
        pixels = np.asarray(image.convert("RGB"))
        assert image.height > 2 * tile and pixels[-tile - 30 :, -tile - 36 :].min() > 200


def test_each_setting_is_a_set_of_its_own(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "runs"))
    engines = [{"engine": "dalle", "optimizer": ["adam", "sgd"]}, "strokes"]
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=engines, seeds={"count": 3})
    run(store, "diversity")
    table = rows(store, "metric = 'vendi_score'")
    sets = {(row["prompt"], row["engine"], row["setting"]): row["pictures"] for row in table}
    prompts = ["a red heart", "a rocket"]
    dalle = {name for _, engine, name in sets if engine == "dalle" and name}
    assert len(dalle) == 2 and not {name for _, engine, name in sets if engine == "strokes" and name}
    expected: dict[tuple[str | None, str | None, str | None], int] = {
        (None, None, None): 18,
        (None, "dalle", None): 12,
        (None, "strokes", None): 6,
    }
    expected |= {(None, "dalle", name): 6 for name in dalle}
    for prompt in prompts:
        expected |= {(prompt, "dalle", None): 6, (prompt, "strokes", None): 3, **{(prompt, "dalle", name): 3 for name in dalle}}
    assert sets == expected


def test_a_setting_with_one_picture_is_no_set(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart"], engines=[{"engine": "dalle", "optimizer": ["adam", "sgd"]}])
    run(store, "diversity")
    assert {row["setting"] for row in rows(store)} == {None}


def test_quality_beside_real_pictures(store: Store, photos: Path) -> None:
    name = f"quality:{photos}"
    assert run(store, name)[-1] == Judged(name, 12, 12, 0)
    table = rows(store)
    assert {row["engine"] for row in table} == {"dalle", "strokes", None} and {row["prompt"] for row in table} == {None}
    assert {row["real_pictures"] for row in table} == {8}
    assert [row["metric"] for row in rows(store, "engine IS NULL")] == QUALITY
    values = {(row["engine"], row["metric"]): row["value"] for row in table}
    assert all(value is not None for value in values.values())
    assert 0 <= values["dalle", "precision"] <= 1 and 0 <= values["dalle", "r_precision"] <= 1
    assert 1 <= values[None, "label_score"] <= 100


def test_a_sweep_is_at_no_distance_from_its_own_pictures(store: Store, tmp_path: Path) -> None:
    for number, row in enumerate(query(store, "SELECT trial_id FROM trials").to_pylist()):
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / f"{number}.png").write_bytes(store.read(keys.picture("made-up", row["trial_id"], "best.png")))
    run(store, f"quality:{tmp_path / 'own'}")
    values = {row["metric"]: row["value"] for row in rows(store, "engine IS NULL")}
    assert values["frechet_distance"] == pytest.approx(0, abs=1e-6) and values["precision"] == values["recall"] == 1
    assert frechet_distance(features(store, "true"), features(store, "engine = 'dalle'")) > 1e-3


def test_the_same_judge_again_does_nothing(store: Store) -> None:
    run(store, "diversity")
    before = {key: store.version(key) for key in store.keys("made-up/")}
    assert run(store, "diversity") == [Judged("diversity", 12, 12, 0)]
    assert {key: store.version(key) for key in store.keys("made-up/")} == before


def test_a_sweep_that_grew_is_measured_again(store: Store) -> None:
    run(store, "diversity")
    publish_sample(store, **{**SWEEP, "seeds": {"count": 4}})
    run(store, "diversity")
    assert {row["pictures"] for row in rows(store, "prompt IS NOT NULL")} == {4}
    assert len(rows(store)) == 2 * (4 + 2 + 1)


def test_other_real_pictures_are_another_version(store: Store, photos: Path) -> None:
    run(store, f"quality:{photos}")
    (photos / "0.png").unlink()
    run(store, f"quality:{photos}")
    assert {row["real_pictures"] for row in rows(store)} == {8, 7}


def test_a_run_that_is_cut_off_leaves_the_same_rows(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_judging, "PICTURES_AT_ONCE", 5)
    other = open_store(str(tmp_path / "other"))
    publish_sample(other, **SWEEP)
    list(judge_sets(other, "made-up", ["diversity"], "cpu"))
    steps = judge_sets(store, "made-up", ["diversity"], "cpu")
    assert [next(steps).done for _ in range(2)] == [0, 5]
    steps.close()
    assert rows(store) == []
    assert [step.done for step in run(store, "diversity")] == [0, 5, 10, 12]
    columns = "prompt, engine, metric, value, pictures, version"
    assert query(store, f"SELECT {columns} FROM set_scores ORDER BY ALL") == query(other, f"SELECT {columns} FROM set_scores ORDER BY ALL")
    assert [*store.keys("made-up/judged/")] == [*other.keys("made-up/judged/")]


def test_a_picture_that_fails_is_left_out_and_tried_again(store: Store) -> None:
    trial = query(store, "SELECT min(trial_id) AS id FROM trials")["id"][0].as_py()
    key = keys.picture("made-up", trial, "best.png")
    whole = store.read(key)
    store.write(key, whole[:200])
    assert run(store, "diversity")[-1] == Judged("diversity", 12, 12, 1)
    assert {(row["pictures"], row["unread"]) for row in rows(store, "engine IS NULL")} == {(11, 1)}
    store.write(key, whole)
    assert run(store, "diversity")[-1] == Judged("diversity", 12, 12, 0)
    assert {(row["pictures"], row["unread"]) for row in rows(store, "engine IS NULL")} == {(12, 0)}


def test_mistakes_are_one_sentence(store: Store, tmp_path: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="there is no folder 'nowhere'"):
        run(store, "diversity", "quality:nowhere")
    assert rows(store) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no pictures \(\.jpeg, \.jpg, \.png, \.webp\)"):
        run(store, f"quality:{tmp_path / 'empty'}")
    (photos / "0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"0\.png' cannot be read as a picture"):
        run(store, f"quality:{photos}")
    with pytest.raises(StoreError, match="nothing"):
        next(judge_sets(store, "nothing", ["diversity"]))
