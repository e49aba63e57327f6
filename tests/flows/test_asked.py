"""What the run form sends is a sweep like any other, and its schema is one that Prefect's form can show."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from dreamsweep.errors import SweepFileError
from dreamsweep.expand import trials
from dreamsweep.spec import ENGINES, Sweep
from dreamsweep.store import open_store
from dreamsweep.sweepfile import load_sweep, parse_text
from flows.form import PROMPTS, TABS, SweepForm, find_sweep, name_of
from flows.sweep import SweepRequest
from flows.sweep import sweep as sweep_flow

TEXT = "name: hearts\nprompts: [a red heart, a blue heart]\nengines:\n- {engine: strokes, num_paths: [4, 8]}\n"


def found(asked: object, store: str = "nowhere") -> Sweep:
    return find_sweep(SweepRequest.model_validate({"sweep": asked}).sweep, store)


def test_a_form_and_a_file_that_say_the_same_make_the_same_trials() -> None:
    form = {
        "name": "hearts",
        "lines": "a red heart\n\n  a blue heart ",
        "negatives": "blur\ntext",
        "engines": [{"engine": "strokes", "num_paths": 64}, {"engine": "dalle"}],
        "pictures": 2,
        "iterations": 10,
    }
    file = (
        "name: hearts\nprompts:\n- {text: a red heart, negatives: [blur, text]}\n- {text: a blue heart, negatives: [blur, text]}\n"
        "engines:\n- {engine: strokes, num_paths: 64}\n- dalle\nseeds: [0, 1]\niterations: 10\n"
    )
    ids = [trial.id for trial in trials(found(form))]
    assert len(ids) == 8
    assert ids == [trial.id for trial in trials(parse_text(file, Path(), "test"))]


@pytest.mark.parametrize("engine", TABS)
def test_a_tab_as_it_stands_is_the_engine_s_own_defaults(engine: str) -> None:
    asked = found({"lines": "a red heart", "to": "a rocket", "engines": [{"engine": engine}]})
    by_file = parse_text(f"name: t\nprompts: [{{text: a red heart, to: a rocket}}]\nengines: [{engine}]\n", Path(), "test")
    assert [trial.id for trial in trials(asked)] == [trial.id for trial in trials(by_file)]


def test_a_sweep_file_s_text() -> None:
    assert found(TEXT) == parse_text(TEXT, Path("/"), "test")
    assert SweepRequest(sweep=TEXT).name == "hearts"
    with pytest.raises(SweepFileError, match=r"engines\[0\]: no engine 'stroke'; did you mean 'strokes'"):
        found(TEXT.replace("strokes", "stroke"))
    assert name_of("prompts: [x]") == "sweep"


def test_a_sweep_that_ships_by_its_name() -> None:
    assert found({"stored": "demo"}) == load_sweep(PROMPTS / "demo.yaml")


def test_a_sweep_that_was_run_before_by_its_name(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("hearts/sweep.yaml", TEXT.encode())
    assert found({"stored": "hearts"}, str(tmp_path)) == found(TEXT)
    with pytest.raises(SweepFileError, match=r"no sweep 'hears' ships, and none was run in file://.*; those that ship are demo, engines"):
        found({"stored": "hears"}, str(tmp_path))


def test_python_may_give_a_whole_sweep() -> None:
    sweep = load_sweep(PROMPTS / "optimizers.yaml")
    assert SweepRequest(sweep=sweep).sweep == sweep
    assert SweepRequest.model_validate({"sweep": sweep.model_dump(mode="json", exclude_unset=True)}).sweep == sweep


@pytest.mark.parametrize("wrong", [{"lines": ""}, {"engines": []}, {"engines": [{"engine": "dalle", "num_paths": 3}]}, {"iterations": 0}])
def test_the_form_knows_mistakes(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SweepRequest.model_validate({"sweep": {"lines": "a red heart", **wrong}})


def schema() -> Any:
    return parameter_schema(sweep_flow).model_dump()["definitions"]


def test_the_form_has_three_tabs_and_an_engine_in_each_of_theirs() -> None:
    definitions = schema()
    tabs = definitions["SweepRequest"]["properties"]["sweep"]["anyOf"]
    assert [definitions[tab["$ref"].rpartition("/")[2]]["title"] if "$ref" in tab else tab["title"] for tab in tabs] == [
        "Fill in", "By name", "Sweep file",
    ]  # fmt: skip
    engines = definitions["SweepForm"]["properties"]["engines"]["items"]["anyOf"]
    assert [tab["$ref"].rpartition("/")[2] for tab in engines] == list(TABS) == list(ENGINES)
    assert "Sweep" not in definitions, "a whole sweep has hundreds of settings"


def test_no_tab_springs_back() -> None:
    """Prefect's form makes a new union of every `oneOf` each time it draws, and then looks again which tab a value belongs to."""
    assert '"oneOf"' not in json.dumps(schema())


def test_people_are_told_what_each_field_is_and_find_it_filled_in() -> None:
    definitions = schema()
    for model in ("SweepRequest", "SweepForm", "StoredSweep", *TABS):
        for name, field in definitions[model]["properties"].items():
            assert field.get("description"), f"{model}.{name}"
            assert "default" in field, f"{model}.{name}"


def test_prefect_s_form_finds_the_tab_of_a_filled_in_engine() -> None:
    """It takes the first tab that knows most of the words in a value; one whose words another's hold would never be shown again."""
    definitions = schema()
    words = {engine: set(definitions[engine]["properties"]) for engine in TABS}
    for engine, own in words.items():
        assert max(TABS, key=lambda other: len(own & words[other])) == engine


def test_the_names_that_the_form_tells_are_those_that_ship() -> None:
    told = SweepForm.model_fields and schema()["StoredSweep"]["properties"]["stored"]["description"]
    assert f"({', '.join(sorted(path.stem for path in PROMPTS.glob('*.yaml')))})" in told
