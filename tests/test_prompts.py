"""Every sweep file that ships is right: by the spec, by its own JSON schema, and by what it expands to."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from dreamsweep.planning.expand import plan, trials
from dreamsweep.planning.json_schema import sweep_schema
from dreamsweep.planning.sweep_file import load_sweep

PROMPTS = Path(__file__).parents[1] / "prompts"
FILES = sorted(PROMPTS.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sweep_that_ships_is_right(file: Path) -> None:
    sweep = load_sweep(file)
    assert sweep.name.removesuffix("-{date}") == file.stem
    assert plan(sweep).trials == len({trial.id for trial in trials(sweep)})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_editors_agree(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=sweep.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), sweep_schema())


@pytest.mark.parametrize(
    "changes",
    [
        {"engines": ["dallee"]},
        {"prompt": ["x"]},
        {"iterations": -1},
        {"seeds": "x"},
        {"engines": [{"engine": "dalle", "cutout": 1}]},
        {"judges": ["starter-gide"]},
    ],
)
def test_editors_see_mistakes(changes: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "t", "prompts": ["a"], "engines": ["dalle"], **changes}, sweep_schema())


def test_the_schema_file_is_current() -> None:
    kept = json.loads((PROMPTS / "sweep.schema.json").read_text(encoding="utf-8"))
    assert kept == sweep_schema(), "run: dreamsweep schema > prompts/sweep.schema.json"
