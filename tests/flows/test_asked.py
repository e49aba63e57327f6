"""What the run form sends is a sweep like any other, and its schema is one that Prefect's form can show."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import build_error_obj, validate
from pydantic import ValidationError

from dreamsweep.errors import SweepFileError
from dreamsweep.flows.form_schema import WANTED
from dreamsweep.flows.run_form import PROMPTS, SweepForm, find_sweep, name_of
from dreamsweep.flows.sweep import SweepRequest
from dreamsweep.flows.sweep import sweep as sweep_flow
from dreamsweep.planning.expand import trials
from dreamsweep.planning.sweep_file import load_sweep, parse_text
from dreamsweep.spec import ENGINES, Sweep
from dreamsweep.store import open_store

TEXT = "name: hearts\nprompts: [a red heart, a blue heart]\nengines:\n- {engine: strokes, num_paths: [4, 8]}\n"


def sweep_of(value: object, store: str = "nowhere") -> Sweep:
    return find_sweep(SweepRequest.model_validate({"sweep": value}).sweep, store)


def test_a_form_and_a_file_that_say_the_same_make_the_same_trials() -> None:
    form = {
        "name": "hearts",
        "lines": "a red heart\n\n  a blue heart ",
        "engines": [{"engine": "strokes", "num_paths": 64}, {"engine": "dalle"}],
        "pictures": 2,
        "iterations": 10,
        "more": {"negatives": "blur\ntext"},
    }
    file = (
        "name: hearts\nprompts:\n- {text: a red heart, negatives: [blur, text]}\n- {text: a blue heart, negatives: [blur, text]}\n"
        "engines:\n- {engine: strokes, num_paths: 64}\n- dalle\nseeds: [0, 1]\niterations: 10\n"
    )
    ids = [trial.id for trial in trials(sweep_of(form))]
    assert len(ids) == 8
    assert ids == [trial.id for trial in trials(parse_text(file, Path(), "test"))]


def test_further_judges_of_the_form_stand_one_a_line() -> None:
    form = {"lines": "a red heart", "more": {"judges": "labels:things\n\n views:starter-guide"}}
    assert [judge.name for judge in sweep_of(form).further_judges] == ["labels:things", "views:starter-guide"]
    with pytest.raises(SweepFileError, match=r"judges\[0\]: 'starter-gide' will not do: there is none of that name"):
        sweep_of({"lines": "a red heart", "more": {"judges": "starter-gide"}})


def test_the_form_of_earlier_versions_says_the_same() -> None:
    beside = SweepForm.model_validate({"lines": "a", "negatives": "blur", "guide": "RN50", "more": {"judge": "RN101"}})
    assert beside == SweepForm.model_validate({"lines": "a", "more": {"negatives": "blur", "guide": "RN50", "judge": "RN101"}})
    assert not errors({"name": "t", "lines": "a", "engines": [{"engine": "dalle"}], "negatives": "blur"})


def test_the_name_that_is_filled_in_is_that_of_the_run() -> None:
    sweep = find_sweep(SweepForm(), "nowhere", datetime(2026, 11, 20, 14, 5, 9, tzinfo=UTC))
    assert sweep.name == "sweep-2026-11-20-140509"
    assert find_sweep(SweepForm(name="mine"), "nowhere").name == "mine"
    with pytest.raises(ValidationError):
        SweepForm(name="mine-{day}")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tab_as_it_stands_is_the_engine_s_own_defaults(engine: str) -> None:
    form = sweep_of({"lines": "a red heart", "more": {"to": "a rocket"}, "engines": [{"engine": engine}]})
    by_file = parse_text(f"name: t\nprompts: [{{text: a red heart, to: a rocket}}]\nengines: [{engine}]\n", Path(), "test")
    assert [trial.id for trial in trials(form)] == [trial.id for trial in trials(by_file)]


def test_a_sweep_file_s_text() -> None:
    assert sweep_of(TEXT) == parse_text(TEXT, Path("/"), "test")
    assert SweepRequest(sweep=TEXT).name == "hearts"
    with pytest.raises(SweepFileError, match=r"engines\[0\]: no engine 'stroke'; did you mean 'strokes'"):
        sweep_of(TEXT.replace("strokes", "stroke"))
    assert name_of("prompts: [x]") == "sweep"


def test_a_sweep_that_ships_by_its_name() -> None:
    assert sweep_of({"stored": "demo"}) == load_sweep(PROMPTS / "demo.yaml")


def test_a_sweep_that_was_run_before_by_its_name(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("hearts/sweep.yaml", TEXT.encode())
    assert sweep_of({"stored": "hearts"}, str(tmp_path)) == sweep_of(TEXT)
    with pytest.raises(SweepFileError, match=r"no sweep 'hears' ships, and none was run in file://.*; those that ship are demo, engines"):
        sweep_of({"stored": "hears"}, str(tmp_path))


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


def errors(sweep: object) -> Any:
    """What Prefect's server answers the form about a value of `request.sweep`."""
    parameters = {"request": {"sweep": sweep, "compute": {"deployment": "shard/gpu", "window": 2, "attempts": 5}}}
    answer: Any = build_error_obj(validate(parameters, parameter_schema(sweep_flow).model_dump(exclude_unset=True)))
    return answer["errors"] and answer["errors"][0]["errors"][0]["errors"]


def at(field: str, *messages: object) -> dict[str, object]:
    return {"property": field, "errors": [*messages]}


FORM = {"name": "t", "lines": "a", "engines": [{"engine": "dalle"}]}


def test_what_is_filled_in_well_has_no_errors() -> None:
    for sweep in (FORM, {**FORM, "more": {}}, {"stored": "demo"}, "name: t", SweepForm().model_dump(mode="json")):
        assert not errors(sweep), sweep


@pytest.mark.parametrize(
    ("wrong", "marks"),
    [
        ({"name": "No Name"}, at("name", "'small letters, digits, dots and dashes, such as garden-2 or garden-{date}' was expected")),
        ({"pictures": 0}, at("pictures", "0 is less than or equal to the minimum of 0")),
        ({"lines": ""}, at("lines", "'' should be non-empty")),
        ({"engines": []}, at("engines", "[] should be non-empty")),
        (
            {"engines": [{"engine": "dalle"}, {"engine": "strokes", "background": "red"}]},
            at("engines", {"index": 1, "errors": [at("background", "'# and six hexadecimal digits, such as #ff8800' was expected")]}),
        ),
    ],
)
def test_a_mistake_is_marked_at_its_field(wrong: dict[str, object], marks: object) -> None:
    assert errors({**FORM, **wrong}) == [marks]


def test_mistakes_of_the_other_tabs_are_marked_as_well() -> None:
    assert errors({"stored": "A"}) == [at("stored", "'small letters, digits, dots and dashes, such as garden-2' was expected")]
    assert errors("") == ["'' should be non-empty"]


def test_a_field_that_was_emptied_is_marked() -> None:
    """The form leaves it out then, and the server has a fault of the union to report, too, which must come after those of fields."""
    assert errors({"name": "No Name", "engines": FORM["engines"]}) == [
        at("name", "'small letters, digits, dots and dashes, such as garden-2 or garden-{date}' was expected"),
        at("lines", "'lines' is a required property"),
    ]


def test_every_pattern_of_the_form_is_said_in_words() -> None:
    patterns = list(re.findall(r'"pattern": ("[^"]*")', json.dumps(schema())))
    assert {json.loads(pattern) for pattern in patterns} == set(WANTED)


def test_settings_that_few_people_turn_are_folded_away() -> None:
    definitions = schema()
    usual, settings = definitions["SweepForm"]["properties"]["more"]["anyOf"]
    assert usual["title"] == "As usual" and settings["$ref"].endswith("/MoreSettings")
    assert "more" not in definitions["SweepRequest"]["properties"]["sweep"]["default"], "its second tab would be open"
    assert list(definitions["Compute"]["properties"]) == ["deployment", "window"]


def test_the_form_has_three_tabs_and_an_engine_in_each_of_theirs() -> None:
    definitions = schema()
    tabs = definitions["SweepRequest"]["properties"]["sweep"]["anyOf"]
    assert [definitions[tab["$ref"].rpartition("/")[2]]["title"] if "$ref" in tab else tab["title"] for tab in tabs] == [
        "Fill in", "By name", "Sweep file",
    ]  # fmt: skip
    engines = definitions["SweepForm"]["properties"]["engines"]["items"]["anyOf"]
    assert [tab["$ref"].rpartition("/")[2] for tab in engines] == list(ENGINES)
    assert "Sweep" not in definitions, "a whole sweep has hundreds of settings"


def test_no_tab_springs_back() -> None:
    """Prefect's form makes a new union of every `oneOf` each time it draws, and then looks again which tab a value belongs to."""
    assert '"oneOf"' not in json.dumps(schema())


def test_people_are_told_what_each_field_is_and_find_it_filled_in() -> None:
    definitions = schema()
    for model in ("SweepRequest", "SweepForm", "MoreSettings", "StoredSweep", *ENGINES):
        for name, field in definitions[model]["properties"].items():
            assert field.get("description"), f"{model}.{name}"
            assert "default" in field, f"{model}.{name}"


def test_prefect_s_form_finds_the_tab_of_a_filled_in_engine() -> None:
    """It takes the first tab that knows most of the words in a value; one whose words another's hold would never be shown again."""
    definitions = schema()
    words = {engine: set(definitions[engine]["properties"]) for engine in ENGINES}
    for engine, own in words.items():
        assert max(ENGINES, key=lambda other: len(own & words[other])) == engine


def test_the_names_that_the_form_tells_are_those_that_ship() -> None:
    description = SweepForm.model_fields and schema()["StoredSweep"]["properties"]["stored"]["description"]
    assert f"({', '.join(sorted(path.stem for path in PROMPTS.glob('*.yaml')))})" in description
