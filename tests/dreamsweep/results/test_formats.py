"""Stores of other formats and other places: read, or refused in one sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.report.query import query
from dreamsweep.results.manifest import done_shards, published_manifest, read_manifest
from dreamsweep.results.publishing import publish_staged, publish_whole, published_trials, with_part_records
from dreamsweep.review.catalogues import Catalogues
from dreamsweep.review.rows import cards, detail
from dreamsweep.review.wall import PageOfWall, Walls
from dreamsweep.store.local import LocalStore
from tests.dreamsweep.sample_rows import publish_sample_rows

FORMAT_1 = Path(__file__).with_name("stores") / "format-1"


@pytest.fixture
def moved(tmp_path: Path) -> LocalStore:
    """A store of the first format, written at /tmp/format-1 by the version before, and moved here."""
    shutil.copytree(FORMAT_1, tmp_path / "moved here")
    return LocalStore(tmp_path / "moved here")


def changed(store: LocalStore, **fields: Any) -> None:
    manifest = json.loads(store.read("demo/manifest.json"))
    store.write("demo/manifest.json", json.dumps({**manifest, "checksum": None, **fields}).encode())


def assert_readable(store: LocalStore) -> None:
    addresses = query(store, "SELECT trial_id, best_uri FROM trials").to_pylist()
    assert len(addresses) == 12
    for row in addresses:
        assert row["best_uri"] == store.uri_of(f"before/pictures/{row['trial_id']}/best.png")
    (scores,) = query(store, "SELECT count(*) AS n, count(snapshot_uri) AS kept FROM scores").to_pylist()
    assert scores["n"] == 72 and scores["kept"] > 0
    uris = query(store, "SELECT snapshot_uri FROM scores WHERE snapshot_uri IS NOT NULL")["snapshot_uri"].to_pylist()
    assert all(uri.startswith(f"{store.uri}/before/pictures/") for uri in uris)
    (vectors,) = query(store, "SELECT count(*) AS n, min(len(vector)) AS d, any_value(perceptor) AS p FROM embeddings").to_pylist()
    assert vectors == {"n": 12, "d": 256, "p": "starter-judge"}
    assert "embedding" not in query(store, "DESCRIBE trials")["column_name"].to_pylist()


def test_the_first_format_is_read_wherever_it_lies(moved: LocalStore) -> None:
    manifest = published_manifest(moved, "before")
    assert (manifest.format, manifest.trials, set(manifest.tables)) == (1, 12, {"trials", "scores"})
    assert_readable(moved)
    (card,) = cards(moved)
    assert (card.trials, card.error) == (12, None)
    shown = Walls(Catalogues(moved)).page("before", PageOfWall())
    assert len(shown.tiles) == 12
    trial = detail(moved, "before", shown.tiles[0].id)
    assert trial.files["best"] == "best.png"
    assert moved.exists(f"before/pictures/{trial.id}/{trial.files['film']}")


def test_the_first_format_is_published_anew(moved: LocalStore) -> None:
    before = published_manifest(moved, "before")
    wanted = sorted(published_trials(moved, before))
    assert {shard.format for shard in done_shards(moved, "before")} == {1}
    staged = publish_staged(moved, "before", wanted, before.spec_sha256)
    assert staged and staged.format == 2 and staged.pictures_sha256 == before.pictures_sha256
    assert_readable(moved)
    whole = publish_whole(moved, "before", wanted, before.spec_sha256)
    assert (whole.trials, whole.scores, whole.pictures_sha256) == (12, 72, before.pictures_sha256)
    assert_readable(moved)
    assert set(moved.keys("before/tables/")) == with_part_records(whole)


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    publish_sample_rows(LocalStore(tmp_path / "old"))
    shutil.move(tmp_path / "old", tmp_path / "new 100%")
    store = LocalStore(tmp_path / "new 100%")
    for row in query(store, "SELECT trial_id, film_uri FROM trials").to_pylist():
        assert row["film_uri"] == store.uri_of(f"demo/pictures/{row['trial_id']}/film.webp")


def test_a_newer_format_is_refused_in_one_sentence(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    publish_sample_rows(store)
    changed(store, format=3, tables={"trials": "something else"})
    with pytest.raises(
        StoreError, match=r"'demo/manifest\.json' has format 3, .* written by a newer dreamsweep; update with pip"
    ) as caught:
        read_manifest(store, "demo")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="written by a newer dreamsweep"):
        query(store, "SELECT 1")


def test_unknown_tables_and_fields_are_left_alone(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = publish_sample_rows(store)
    changed(store, tables={**manifest.tables, "dreams": ["demo/tables/x/dreams.parquet"]}, mood="good")
    assert query(store, "SELECT count(*) AS n FROM trials JOIN embeddings USING (trial_id)").to_pylist() == [{"n": 24}]
    read = read_manifest(store, "demo")
    assert read and "demo/tables/x/dreams.parquet" in read.files


def test_a_table_that_every_sweep_has_is_missed_in_one_sentence(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = publish_sample_rows(store)
    changed(store, tables={name: manifest.tables[name] for name in ("trials",)})
    with pytest.raises(StoreError, match="manifest of sweep 'demo' names no table 'scores', which every sweep has; repair it with"):
        query(store, "SELECT 1")
    changed(store, tables={name: manifest.tables[name] for name in ("trials", "scores")})
    assert query(store, "SELECT * FROM embeddings").num_rows == 0
