"""Grids: the best of each cell, means in the margins, tabs, and an end to every axis."""

from pathlib import Path

import numpy as np
import pytest

from dreamsweep.review import grid as module
from dreamsweep.review.catalogues import Catalogues
from dreamsweep.review.grid import Axes, grid_of
from dreamsweep.review.wall import PageOfWall, Walls
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def test_a_grid_holds_the_best_of_each_cell_and_means_beside_it(store: Store) -> None:
    publish_sample(store, prompts=["a red heart", "a rocket"], seeds=[0, 1, 2])
    walls = Walls(Catalogues(store))
    every = walls.page("made-up", PageOfWall()).tiles
    grid = grid_of(walls, "made-up", Axes(rows="prompt", columns="engine"))
    assert [value for value, _ in grid.across] == ["dalle", "strokes"] and [value for value, _ in grid.down] == ["a red heart", "a rocket"]
    for (prompt, _), row in zip(grid.down, grid.cells, strict=True):
        for (engine, _), cell in zip(grid.across, row, strict=True):
            assert cell and cell.best
            tiles = [tile for tile in every if (tile.prompt, tile.engine) == (prompt, engine)]
            assert cell.trials == 3 and cell.best.key == tiles[0].key
            assert cell.z_score == pytest.approx(np.mean([tile.z_score for tile in tiles]))
    assert grid.down[0][1] and grid.down[0][1].z_score == pytest.approx(0, abs=1e-6)
    tabbed = grid_of(walls, "made-up", Axes(rows="prompt", columns="seed", tabs="engine", tab="strokes", q="seed:0|1"))
    assert (tabbed.tabs, tabbed.tab, tabbed.trials, tabbed.matched) == (["dalle", "strokes"], "strokes", 4, 8)
    nothing = grid_of(walls, "made-up", Axes(rows="prompt", columns="seed", tabs="engine", q="zebra"))
    assert (nothing.cells, nothing.tabs, nothing.tab) == ([], [], None)


def test_an_axis_of_a_grid_has_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ON_AN_AXIS", 2)
    publish_sample(store, engines=["dalle"], prompts=["a red heart"], seeds=[0, 1, 2])
    grid = grid_of(Walls(Catalogues(store)), "made-up", Axes(rows="prompt", columns="seed"))
    assert [value for value, _ in grid.across] == ["0", "1"] and len(grid.cells[0]) == 2 and grid.more
