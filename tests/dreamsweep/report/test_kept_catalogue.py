"""Catalogues of large sweeps that are kept beside the summary: when they are written, of which state, and that walls are read from them."""

from pathlib import Path

import pytest

from dreamsweep.generation.judging import judge_sweep
from dreamsweep.report import kept_catalogue as module
from dreamsweep.report.catalogue import make_catalogue
from dreamsweep.report.kept_catalogue import keep_catalogue, kept_catalogue, state_of
from dreamsweep.report.query import answer
from dreamsweep.report.summary import ensure_summary
from dreamsweep.results.manifest import published_manifest
from dreamsweep.review import catalogues
from dreamsweep.review.catalogues import Catalogues
from dreamsweep.review.wall import PageOfWall, Walls
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(module, "KEPT_FROM", 2)
    return open_store(str(tmp_path / "runs"))


def kept(store: Store) -> list[str]:
    return list(store.keys(keys.summary_catalogues("made-up")))


def test_a_wall_is_read_from_the_catalogue_that_the_summary_left(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_sample(store)
    computed = Walls(Catalogues(store)).page("made-up", PageOfWall())
    ensure_summary(store, published_manifest(store, "made-up"))
    assert kept(store) == [keys.summary_catalogue("made-up", state_of(store, "made-up"))]
    monkeypatch.setattr(catalogues, "make_catalogue", None)
    assert Walls(Catalogues(store)).page("made-up", PageOfWall()) == computed


def test_a_small_sweep_has_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_sample(store)
    monkeypatch.setattr(module, "KEPT_FROM", published_manifest(store, "made-up").trials + 1)
    keep_catalogue(store, "made-up")
    assert kept(store) == []


def test_a_judge_that_scores_afterwards_replaces_it(store: Store) -> None:
    publish_sample(store)
    keep_catalogue(store, "made-up")
    (before,) = kept(store)
    for _ in judge_sweep(store, "made-up", ["starter-guide"]):
        pass
    (after,) = kept(store)
    catalogue = kept_catalogue(store, "made-up", state_of(store, "made-up"))
    assert after != before and catalogue is not None and catalogue.further_judges == ["starter-guide"]


def test_one_that_is_damaged_or_of_another_state_is_none(store: Store) -> None:
    publish_sample(store)
    keep_catalogue(store, "made-up")
    (key,) = kept(store)
    state = state_of(store, "made-up")
    assert kept_catalogue(store, "made-up", state) is not None and kept_catalogue(store, "made-up", "0f") is None
    store.write(key, store.read(key)[:-100])
    assert kept_catalogue(store, "made-up", state) is None


def test_what_is_published_while_it_is_computed_is_not_kept_as_what_was_there_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_sample(store)

    def slow(*args: object) -> object:
        publish_sample(store, prompts=["a rocket", "a cat"], engines=["dalle"])
        return answer(store, make_catalogue, "made-up")

    monkeypatch.setattr(module, "answer", slow)
    keep_catalogue(store, "made-up")
    assert kept(store) == []
