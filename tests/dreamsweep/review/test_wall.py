"""Walls: which trials they hold in which order, page by page, and by facets; over one sweep and several."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamsweep.errors import StoreError
from dreamsweep.report import catalogue as columns
from dreamsweep.report.catalogue import load_catalogue, make_catalogue
from dreamsweep.report.query import answer
from dreamsweep.review import catalogues
from dreamsweep.review import wall as module
from dreamsweep.review.catalogues import Catalogues, Kept
from dreamsweep.review.grid import Axes, grid_of
from dreamsweep.review.rows import detail
from dreamsweep.review.wall import PageOfWall, Wall, Walls, facets
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample

NIGHTS = ("nightly-2026-11-26", "nightly-2026-11-27")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def wall(store: Store, names: str = "made-up", **wanted: Any) -> Wall:
    return Walls(Catalogues(store)).page(names, PageOfWall(**wanted))


def kept(store: Store, names: str = "made-up") -> Kept:
    return Catalogues(store).of(names)


def publish_nights(store: Store) -> None:
    for number, name in enumerate(NIGHTS):
        publish_sample(store, name=name, prompts=["a red heart", "a rocket"], engines=["dalle"], seeds=[2 * number, 2 * number + 1])


def test_a_wall_holds_every_trial_the_best_first(store: Store) -> None:
    publish_sample(store, engines=[{"engine": "dalle", "optimizer": ["adam", "sgd"]}], seeds=[3, 4], prompts=["a red heart"])
    publish_sample(store, name="other")
    shown = wall(store)
    assert (shown.sweeps, shown.trials, shown.matched, len(shown.tiles)) == (("made-up",), 4, 4, 4)
    marks = [tile.judge for tile in shown.tiles]
    assert marks == sorted(marks, key=lambda mark: -(mark or 0)) and None not in marks
    assert {tile.label for tile in shown.tiles} == {f"dalle · {how} · seed {seed}" for how in ("adam 0.1", "sgd 30") for seed in (3, 4)}
    assert all(tile.pictured and tile.prompt == "a red heart" for tile in shown.tiles)


def test_a_wall_shows_the_best_of_each_prompt_before_any_second(store: Store) -> None:
    publish_sample(store, prompts=["a red heart", "a rocket"], seeds=[0, 1, 2])
    tiles = wall(store).tiles
    assert [tile.rank for tile in tiles] == [rank for rank in range(1, 7) for _ in range(2)]
    assert [tile.prompt for tile in tiles if tile.rank == 1] != [tiles[0].prompt] * 2 and {tile.rivals for tile in tiles} == {6}
    for prompt in ("a red heart", "a rocket"):
        marks = [tile.judge or 0 for tile in tiles if tile.prompt == prompt]
        assert marks == sorted(marks, reverse=True)
    assert detail(store, "made-up", tiles[0].id).facts["rank"] == "1 of 6 of this prompt, by starter-judge"


def test_swept_settings_have_the_names_of_a_sweep_file(store: Store) -> None:
    optimizers = ["adam", {"name": "sgd", "learning_rate": 15}]
    publish_sample(store, engines=[{"engine": "dalle", "optimizer": optimizers}, "strokes"], prompts=["a red heart"])
    shown, kinds = wall(store), kept(store).catalogue.kinds
    assert shown.swept == ["learning_rate", "optimizer"] and shown.engines == ["dalle", "strokes"]
    values = {(kind.settings["optimizer"], kind.settings["learning_rate"]) for kind in kinds if kind.engine == "dalle"}
    assert values == {("adam 0.1", "0.1"), ("sgd 15", "15")}
    everything = [*(kind.settings for kind in kinds), *(detail(store, "made-up", tile.id).settings for tile in shown.tiles)]
    assert not [value for settings in everything for value in settings.values() if "None" in value or "{" in value or "[" in value]


def test_a_walk_s_best_picture_stands_under_the_prompt_that_it_shows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_sample(store, prompts=["a snowman"], engines=["dalle"])
    rows, prompts = columns.ROWS, columns.PROMPTS

    def shown(switches: str, best: str) -> str:
        changed = f"['a fir', 'a heart'] AS prompts_to, {switches} AS switches, {best} AS best_iteration"
        walk = f"(SELECT * REPLACE ({changed}) FROM trials) AS trials"
        monkeypatch.setattr(columns, "ROWS", rows.replace("FROM trials", f"FROM {walk}"))
        monkeypatch.setattr(columns, "PROMPTS", prompts.replace("FROM trials", f"FROM {walk}"))
        return wall(store).tiles[0].shows

    assert [shown("[10, 30]", str(at)) for at in (9, 10, 29, 30)] == ["a snowman", "a fir", "a fir", "a heart"]
    for unknown in (("[10, 30]", "NULL::INTEGER"), ("NULL::INTEGER[]", "30"), ("[4, 9, 12]", "30")):
        assert shown(*unknown) == "a snowman", "where the frames do not tell, the first"


def test_pages_follow_each_other_and_the_page_of_a_trial_can_be_asked_for(store: Store) -> None:
    publish_sample(store)
    whole = wall(store).tiles
    assert len(whole) == 12
    pages = [wall(store, offset=at, limit=5) for at in (0, 5, 10, 15)]
    assert [tile for page in pages for tile in page.tiles] == whole and {page.matched for page in pages} == {12}
    around = wall(store, at=whole[7].key, limit=5)
    assert (around.offset, around.tiles) == (5, whole[5:10])
    assert wall(store, at="0" * 16, limit=5).offset == 0


def test_a_question_filters_sorts_and_groups(store: Store) -> None:
    strokes = {"engine": "strokes", "num_paths": [64, 16]}
    publish_sample(store, prompts=["thing 10", "thing 9"], engines=["dalle", strokes], seeds=[0, 1, 2])
    whole = wall(store).tiles
    assert [tile.prompt for tile in wall(store, sort="prompt").tiles] == ["thing 9"] * 9 + ["thing 10"] * 9
    judged = [tile.judge or 0.0 for tile in wall(store, sort="judge").tiles]
    assert judged == sorted(judged, reverse=True)
    grouped = wall(store, group="num_paths").tiles
    assert [(tile.group, tile.grouped) for tile in grouped[::6]] == [("16", 6), ("64", 6), ("–", 6)]
    assert wall(store, group="prompt").tiles[0].group == whole[0].prompt
    assert {tile.engine for tile in wall(store, engine=("dalle",)).tiles} == {"dalle"}
    assert {tile.seed for tile in wall(store, q="seed:1 num_paths>=64").tiles} == {1}
    keys = tuple(tile.key for tile in whole[3:6])
    assert [tile.key for tile in wall(store, only=keys).tiles] == [*keys] and wall(store, only=()).matched == 0
    assert wall(store, without=keys).matched == 15
    suggested = {tile.key for tile in wall(store, suggested=True).tiles}
    assert len(suggested) == 6
    assert {tile.key for tile in wall(store, suggested_first=True, sort="seed").tiles[:6]} == suggested
    assert wall(store, sort="nothing", group="'; DROP TABLE trials").tiles == whole
    assert wall(store, q="nothing>1").unknown[0].startswith("Nothing here is called “nothing”")


def test_facets_count_values(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_sample(store, prompts=["a red heart"], engines=["dalle", {"engine": "strokes", "num_paths": [64, 16]}], seeds=[0, 1, 2])
    assert {facet.name: facet.values for facet in facets(kept(store))} == {
        "seed": [("0", 3), ("1", 3), ("2", 3)],
        "num_paths": [("16", 3), ("64", 3)],
    }
    monkeypatch.setattr(module, "MOST_VALUES", 1)
    assert [(facet.values, facet.more) for facet in facets(kept(store))] == [([("0", 3)], 2), ([("16", 3)], 1)]


def test_a_wall_of_several_nights(store: Store) -> None:
    publish_nights(store)
    publish_sample(store, name="other")
    for names in ("nightly-*", ",".join(NIGHTS)):
        shown = wall(store, names)
        assert (shown.sweeps, shown.trials, shown.swept) == (NIGHTS, 8, ["sweep"])
        assert [tile.rank for tile in shown.tiles] == [1, 1, 2, 2, 3, 3, 4, 4], "ranks are among the trials of all nights"
        assert all(tile.key == f"{tile.sweep}/{tile.id}" for tile in shown.tiles)
    tiles = wall(store, "nightly-*", group="sweep").tiles
    assert [tile.group for tile in tiles] == [NIGHTS[0]] * 4 + [NIGHTS[1]] * 4
    assert wall(store, "nightly-*", q=f"sweep:{NIGHTS[1]}").matched == 4
    assert wall(store, "nightly-*", only=(tiles[0].key, f"{NIGHTS[1]}/{tiles[0].id}")).matched == 1
    grid = grid_of(Walls(Catalogues(store)), "nightly-*", Axes(rows="prompt", columns="sweep"))
    assert [value for value, _ in grid.across] == [*NIGHTS] and all(cell and cell.trials == 2 for row in grid.cells for cell in row)
    with pytest.raises(StoreError, match=r"no published sweep that matches 'weekly-\*'"):
        wall(store, "weekly-*")
    with pytest.raises(StoreError, match="no published sweep 'nightly'"):
        wall(store, "nightly")


def test_a_catalogue_is_kept_in_a_folder_until_the_sweep_is_published_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_sample(store)
    first = Walls(Catalogues(store, tmp_path / "kept")).page("made-up", PageOfWall())
    with monkeypatch.context() as patched:
        patched.setattr(catalogues, "make_catalogue", None)
        assert Walls(Catalogues(store, tmp_path / "kept")).page("made-up", PageOfWall()) == first
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    assert Walls(Catalogues(store, tmp_path / "kept")).page("made-up", PageOfWall()) == first, "a damaged file is made again"
    publish_sample(store, prompts=["a rocket"], engines=["dalle"])
    assert Walls(Catalogues(store, tmp_path / "kept")).page("made-up", PageOfWall()).trials == 1


def test_what_is_saved_is_what_is_loaded(store: Store, tmp_path: Path) -> None:
    publish_sample(store, diverged=2)
    catalogue = answer(store, make_catalogue, "made-up")
    catalogue.save(tmp_path / "x.npz")
    with (tmp_path / "x.npz").open("rb") as file:
        loaded = load_catalogue(file)
    for (name, value), (_, other) in zip(catalogue._stored(), loaded._stored(), strict=True):
        assert np.array_equal(value, other, equal_nan=value.dtype.kind == "f") if isinstance(value, np.ndarray) else value == other, name
    np.savez(tmp_path / "y.npz", texts=np.frombuffer(b'{"prompts": [], "kinds": []}', np.uint8))
    with pytest.raises(ValueError, match="was written by another version"), (tmp_path / "y.npz").open("rb") as file:
        load_catalogue(file)


def test_few_catalogues_are_kept_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_nights(store)
    kept = Catalogues(store)
    first = kept.of(NIGHTS[0]).catalogue
    assert kept.of(NIGHTS[1]) and kept.of(NIGHTS[0]).catalogue is first
    monkeypatch.setattr(catalogues, "IN_MEMORY", 5)
    assert kept.of(NIGHTS[1]) and kept.of(NIGHTS[0]).catalogue is not first


def test_trials_that_differ_by_seed_alone_are_one_stack(store: Store) -> None:
    strokes = {"engine": "strokes", "num_paths": [64, 16]}
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle", strokes], seeds=[0, 1, 2])
    stacks = wall(store, stacked=True)
    assert (stacks.matched, {tile.stack for tile in stacks.tiles}) == (6, {3})
    assert len({(tile.prompt, tile.label.rpartition(" · ")[0]) for tile in stacks.tiles}) == 6
    every = [tile.key for tile in wall(store).tiles]
    for top in stacks.tiles:
        inside = wall(store, q=f"like:{top.id}", stacked=True).tiles
        assert sorted(tile.seed for tile in inside) == [0, 1, 2] and {tile.prompt for tile in inside} == {top.prompt}
        assert min(every.index(tile.key) for tile in inside) == every.index(top.key), "the best lies on top"
    assert {tile.stack for tile in wall(store, stacked=True, q="seed:1").tiles} == {1}
    assert [tile.grouped for tile in wall(store, stacked=True, group="prompt").tiles] == [3] * 6
