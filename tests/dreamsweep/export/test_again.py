"""A selection as a sweep: it validates, survives its file, and trials that it repeats have their ids."""

from pathlib import Path
from typing import Any, get_args

import pytest

from dreamsweep.cli.options import Way as WayOption
from dreamsweep.errors import UserError
from dreamsweep.export.again import NewSweep, Way, sweep_of, write_sweep
from dreamsweep.export.chosen import chosen
from dreamsweep.export.selection import make_selection
from dreamsweep.planning.expand import trials
from dreamsweep.planning.sweep_file import load_sweep, parse_text
from dreamsweep.report.query import query
from dreamsweep.spec import Trial
from dreamsweep.store import Store, open_store
from tests.dreamsweep.export.conftest import PROMPTS, ids
from tests.dreamsweep.sample_sweep import publish_sample

EVERYTHING: dict[str, Any] = {
    "name": "everything",
    "prompts": [
        "a red heart",
        {"text": "a cat", "weight": 2, "also": ["oil", {"text": "ink", "weight": 0.5}], "negatives": ["blurry"], "to": ["a dog"]},
    ],
    "engines": [
        {"engine": "dalle", "cutouts": [8, 16], "optimizer": ["adam", {"name": "sgd", "learning_rate": [15, 30]}]},
        {"engine": "strokes", "num_paths": 64, "rate_schedule": "cosine", "start": "shape"},
        {"engine": "big-sleep", "num_iter": 50},
        {"engine": "guided-diffusion"},
    ],
    "seeds": [3, 5],
    "guides": ["starter-guide", ["starter-guide", {"name": "starter-judge", "weight": 0.5}]],
    "judge": "starter-judge",
    "precision": "bfloat16",
}


def new_sweep(store: Store, way: Way, *arguments: Any, folder: str | None = None, **conditions: Any) -> NewSweep:
    with chosen(store, make_selection(**conditions)) as selected:
        return sweep_of(selected, way, *arguments, folder=folder)


def read_again(new: NewSweep) -> list[Trial]:
    """The trials of its file, which has as many as it says."""
    listed = list(trials(parse_text(new.text, Path("/"), "the new sweep")))
    assert len(listed) == new.trials
    return listed


def test_options_name_every_way() -> None:
    assert [way.value for way in WayOption] == list(get_args(Way))


def test_settings_of_every_engine_give_the_same_ids(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, **EVERYTHING)
    published = {row["trial_id"] for row in query(store, "SELECT trial_id FROM trials").to_pylist()}
    with_prompts = new_sweep(store, "new-prompts", None, ["a red heart", "a boat"], trials=ids(store, "a red heart"))
    repeated = {trial.id for trial in read_again(with_prompts)}
    assert repeated >= {*ids(store, "a red heart")} and len(repeated) == 2 * 2 * 2 * 9
    assert new_sweep(store, "more-seeds").text.startswith("name: everything-more\nprompts:\n- ")
    seeds = read_again(new_sweep(store, "more-seeds", None, (), 2))
    assert {trial.seed for trial in seeds} == {6, 7} and len(seeds) == len(published)


def test_more_seeds_draws_each_selected_trial_and_no_other(store: Store) -> None:
    wanted = query(
        store, f"SELECT * FROM trials WHERE trial_id IN ('{ids(store, PROMPTS[0])[0]}', '{ids(store, PROMPTS[1])[1]}')"
    ).to_pylist()
    new = new_sweep(store, "more-seeds", "mine", (), 3, trials=[row["trial_id"] for row in wanted])
    drawn = {(trial.prompt.text, trial.engine.engine, getattr(trial.engine, "num_paths", None)) for trial in read_again(new)}
    assert drawn == {(row["prompt"], row["engine"], (row["strokes"] or {}).get("num_paths")) for row in wanted}
    assert new.trials == 6 and new.name == "mine"


def test_on_from_pictures_in_a_file_and_in_the_store(store: Store, tmp_path: Path) -> None:
    wanted = ids(store, PROMPTS[0])[:2]
    new = new_sweep(store, "from-pictures", None, (), None, folder="hearts-pictures", trials=wanted)
    write_sweep(store, new, tmp_path / "hearts.yaml")
    listed = list(trials(load_sweep(tmp_path / "hearts.yaml")))
    images = {Path(trial.engine.model_dump()["init_image"]["path"]).name for trial in listed}
    assert images == {f"{trial}.png" for trial in wanted} and len(listed) == 2
    of_store = read_again(new_sweep(store, "from-pictures", None, (), None, trials=wanted))
    assert {trial.id for trial in of_store} == {trial.id for trial in listed}, "a picture counts by its content"
    assert new_sweep(store, "from-pictures", None, ["a boat"], 2, trials=wanted).trials == 4


def test_a_walk_and_its_text_alone_are_one_prompt(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, engines=["interpolation", "unclip", "dalle"], prompts=[{"text": "a cat", "to": ["a dog"]}], seeds=[0, 1])
    new = new_sweep(store, "new-prompts", None, ["a cat"], engines=["dalle"])
    assert {trial.id for trial in read_again(new)} == {*ids(store, "a cat")} & {trial.id for trial in read_again(new)} and new.trials == 2
    assert new_sweep(store, "more-seeds", None, (), 3).trials == 3 * 3


def test_names_are_free(store: Store) -> None:
    assert new_sweep(store, "more-seeds").name == "made-up-more"
    store.write("made-up-more/sweep.yaml", b"")
    assert new_sweep(store, "more-seeds").name == "made-up-more-2"


def test_what_cannot_become_a_sweep_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, engines=["interpolation"], prompts=[{"text": "a cat", "to": ["a dog"]}])
    publish_sample(store, name="other", engines=["dalle"], prompts=["a cat"], precision="bfloat16")
    with pytest.raises(UserError, match="the engine interpolation starts from no picture; leave it out"):
        new_sweep(store, "from-pictures", sweeps=("made-up",))
    with pytest.raises(UserError, match="trials with precision bfloat16 and default, and a sweep has one"):
        new_sweep(store, "more-seeds")
    with pytest.raises(UserError, match="new-prompts: there are none; name at least one"):
        new_sweep(store, "new-prompts", sweeps=("other",))
