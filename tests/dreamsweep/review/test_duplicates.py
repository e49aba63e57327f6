"""Near-duplicates: which vectors lie on whose stack, and walls of stacks whose trials can be searched for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamsweep.report.query import query
from dreamsweep.review import duplicates
from dreamsweep.review import wall as walls
from dreamsweep.review.catalogues import Catalogues
from dreamsweep.review.duplicates import stacks
from dreamsweep.review.wall import PageOfWall, Wall, Walls
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"], seeds=[0, 1, 2])
    return store


def wall(store: Store, **wanted: Any) -> Wall:
    return Walls(Catalogues(store)).page("made-up", PageOfWall(**wanted))


def test_a_vector_lies_on_the_first_stack_that_is_near() -> None:
    angles = np.radians([0, 5, 10, 90, 12, 85])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert stacks(vectors, np.cos(np.radians(6))).tolist() == [0, 0, 2, 3, 2, 3]
    assert stacks(vectors, 1.1).tolist() == [0, 1, 2, 3, 4, 5], "not even its own cosine reaches that"


def test_a_wall_of_stacks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    turned = "CASE WHEN trials.seed = 2 THEN [0.8, 0.6]::FLOAT[] ELSE vector END AS vector"  # all have one embedding in the sample
    embeddings = f"(SELECT embeddings.* REPLACE ({turned}) FROM embeddings JOIN trials USING (sweep, trial_id)) AS embeddings"
    monkeypatch.setattr(duplicates, "EMBEDDINGS", duplicates.EMBEDDINGS.replace("FROM embeddings", f"FROM {embeddings}"))
    every = wall(store).tiles
    stacked = wall(store, similarity=0.97)
    assert (stacked.matched, stacked.stacks) == (4, True) and sorted(tile.stack for tile in stacked.tiles) == [1, 1, 2, 2]
    seeds = {row["trial_id"]: row["seed"] for row in query(store, "SELECT trial_id, seed FROM trials", "made-up").to_pylist()}
    for top in stacked.tiles:
        alike = [tile.id for tile in every if tile.prompt == top.prompt and (seeds[tile.id] == 2) == (seeds[top.id] == 2)]
        assert top.duplicates == (tuple(alike) if top.stack > 1 else ()) and top.id == alike[0], "the best lies on top"
    top = next(tile for tile in stacked.tiles if tile.stack > 1)
    inside = wall(store, similarity=0.97, q="|".join(top.duplicates))
    assert [tile.id for tile in inside.tiles] == [*top.duplicates] and not inside.stacks
    assert sorted(tile.stack for tile in wall(store, similarity=0.9).tiles) == [3, 3]


def test_a_wall_of_too_many_is_not_stacked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "MOST", 5)
    many = wall(store, similarity=0.9)
    assert (many.matched, many.stacks) == (6, False) and many.unknown == [
        "Near-duplicates are stacked of up to 5 trials; search for fewer."
    ]
    assert wall(store, similarity=0.9, q="heart").matched == 3, "all are alike, so that nothing would be left of the wall"
