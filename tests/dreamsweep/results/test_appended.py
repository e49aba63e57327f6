"""Rows that judges and people write after the fact."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dreamsweep.errors import DamagedError
from dreamsweep.report.query import query
from dreamsweep.results import appended
from dreamsweep.results.appended import append, fold, fold_judged, write_judged
from dreamsweep.results.manifest import read_manifest
from dreamsweep.store import Store, open_store
from dreamsweep.store.local import LocalStore
from tests.dreamsweep.sample_rows import publish_sample_rows, sample_trial
from tests.dreamsweep.tables.test_parquet import with_flipped_footer

TRIAL = sample_trial(seed=0).id
COUNT = "SELECT count(*) AS n, count(DISTINCT rating_id) AS ids, sum(value) AS stars FROM ratings"


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    opened = open_store(str(tmp_path / "runs") if request.param == "local" else f"s3://{request.getfixturevalue('s3_bucket')}/p")
    publish_sample_rows(opened)
    return opened


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    opened = LocalStore(tmp_path / "runs")
    publish_sample_rows(opened)
    return opened


def counted(store: Store) -> tuple[int, int, float | None]:
    (row,) = query(store, COUNT).to_pylist()
    return row["n"], row["ids"], row["stars"]


def rate(store: Store, stars: float) -> str:
    return append(store, "demo", "ratings", {"trial_id": TRIAL, "kind": "stars", "value": stars, "rated_by": "somebody"})


def test_ratings_are_seen_at_once_and_folded_later(store: Store) -> None:
    assert counted(store) == (0, 0, None)
    assert fold(store, "demo", "ratings") == 0
    first = rate(store, 4)
    assert list(store.keys("demo/appended/")) == [f"demo/appended/ratings/{first}.json"]
    rate(store, 2)
    assert counted(store) == (2, 2, 6.0)
    assert fold(store, "demo", "ratings") == 2
    (key,) = store.keys("demo/appended/")
    assert key.endswith(".parquet")
    rate(store, 1)
    assert counted(store) == (3, 3, 7.0)
    assert fold(store, "demo", "ratings") == 3
    assert len(list(store.keys("demo/appended/"))) == 1
    assert counted(store) == (3, 3, 7.0)
    (row,) = query(store, "SELECT * FROM ratings JOIN trials USING (sweep, trial_id) WHERE value = 4").to_pylist()
    assert (row["kind"], row["rated_by"], row["rated_at"].utcoffset().total_seconds()) == ("stars", "somebody", 0)


def test_a_row_in_both_places_counts_once(local: LocalStore) -> None:
    key = f"demo/appended/ratings/{rate(local, 3)}.json"
    single = local.read(key)
    fold(local, "demo", "ratings")
    local.write(key, single)  # a fold that died before it removed it
    assert counted(local) == (1, 1, 3.0)
    assert fold(local, "demo", "ratings") == 1
    assert counted(local) == (1, 1, 3.0)


def test_a_damaged_file_of_folded_rows_is_named_and_nothing_is_removed(local: LocalStore) -> None:
    rate(local, 3)
    fold(local, "demo", "ratings")
    (key,) = local.keys("demo/appended/")
    single = f"demo/appended/ratings/{rate(local, 4)}.json"
    local.write(key, with_flipped_footer(local.read(key)))
    with pytest.raises(DamagedError, match=rf"'{key}' cannot be read .*; restore it from a backup, or delete it"):
        fold(local, "demo", "ratings")
    assert {*local.keys("demo/appended/")} == {key, single}


def test_many_write_at_once_and_fold_meanwhile(local: LocalStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        rated = [pool.submit(rate, local, 1) for _ in range(40)]
        folded = [pool.submit(fold, local, "demo", "ratings") for _ in range(4)]
        assert len({future.result() for future in rated}) == 40
        assert all(future.exception() is None or "holds no" in str(future.exception()) for future in folded)
    assert counted(local) == (40, 40, 40.0)
    assert fold(local, "demo", "ratings") == 40
    assert counted(local) == (40, 40, 40.0)


def test_judges_write_beside_what_was_generated(store: Store) -> None:
    manifest = store.read("demo/manifest.json")
    row: dict[str, Any] = {"trial_id": TRIAL, "picture": "best.png", "judge": "mine", "score": 0.5}
    assert write_judged(store, "demo", "judgements", [row], "mine-1") == "demo/judged/judgements/mine-1.parquet"
    write_judged(store, "demo", "judgements", [{**row, "judge": "other", "reason": "a heart"}], "other-1")
    write_judged(store, "demo", "judgements", [{**row, "score": 0.75}], "mine-1")
    rows = query(store, "SELECT judge, score, reason, sweep FROM judgements ORDER BY judge").to_pylist()
    assert rows == [
        {"judge": "mine", "score": 0.75, "reason": None, "sweep": "demo"},
        {"judge": "other", "score": 0.5, "reason": "a heart", "sweep": "demo"},
    ]
    assert store.read("demo/manifest.json") == manifest
    assert read_manifest(store, "demo") is not None


def test_many_files_of_judges_become_one_and_those_of_others_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appended, "MOST_JUDGED_FILES", 3)
    statement = "SELECT picture, judge, score, reason, details FROM judgements ORDER BY ALL"
    row: dict[str, Any] = {"trial_id": TRIAL, "judge": "mine", "version": "1", "details": [("cat", 0.5)]}
    write_judged(store, "demo", "judgements", [{**row, "picture": "best.png", "judge": "taste"}], "taste-1")
    for number in range(3):
        write_judged(store, "demo", "judgements", [{**row, "picture": f"{number:06d}.png", "score": number}], f"{number:016x}")
    fold_judged(store, "demo", "judgements")
    assert len(list(store.keys("demo/judged/"))) == 4  # three are not many
    write_judged(store, "demo", "judgements", [{**row, "picture": "000002.png", "score": 7}], "f" * 16)
    before = query(store, statement).to_pylist()
    assert [entry["score"] for entry in before if entry["judge"] == "mine"] == [0, 1, 7]
    fold_judged(store, "demo", "judgements")
    folded, outsider = store.keys("demo/judged/")
    assert query(store, statement).to_pylist() == before and outsider.endswith("taste-1.parquet")
    write_judged(store, "demo", "judgements", [{**row, "picture": "000001.png", "score": 9}], "1".zfill(16))
    assert [entry["score"] for entry in query(store, statement).to_pylist() if entry["judge"] == "mine"] == [0, 9, 7]
    fold_judged(store, "demo", "judgements")
    assert folded in store.keys("demo/judged/")


def test_what_cannot_be_written(local: LocalStore) -> None:
    with pytest.raises(ValueError, match="table 'trials' is not judged; judged tables are: judgements"):
        write_judged(local, "demo", "trials", [], "mine")
    with pytest.raises(ValueError, match="table 'judgements' is not appended; appended tables are: ratings, duels"):
        append(local, "demo", "judgements", {})
    with pytest.raises(ValueError, match="table 'ratings' has no column 'colour'; its columns are: rating_id, sweep"):
        append(local, "demo", "ratings", {"colour": "red"})
    for name in ("", "..", "a/b"):
        with pytest.raises(ValueError, match="cannot name a judge's rows"):
            write_judged(local, "demo", "judgements", [], name)
    assert list(local.keys("demo/judged/")) == list(local.keys("demo/appended/")) == []
