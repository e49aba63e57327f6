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
FILES = sorted(PROMPTS.rglob("*.yaml"))
STUDIES = PROMPTS / "studies"


def title(file: Path) -> str:
    """The file's path, for the names of tests."""
    return file.relative_to(PROMPTS).with_suffix("").as_posix()


@pytest.mark.parametrize("file", FILES, ids=title)
def test_a_sweep_that_ships_is_right(file: Path) -> None:
    sweep = load_sweep(file)
    is_study, is_published = STUDIES in file.parents, file.parent.name == "published"
    assert sweep.name.removesuffix("-{date}") == f"{'study-' * is_study}{file.stem}{'-published' * is_published}"
    assert sweep.weights == "published" or not is_published
    assert plan(sweep).trials == len({trial.id for trial in trials(sweep)})


@pytest.mark.parametrize("file", FILES, ids=title)
def test_editors_agree(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / first).resolve() == PROMPTS / "sweep.schema.json"
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


def test_every_study_has_its_published_settings_and_its_place_in_make_studies() -> None:
    starters = {file.stem for file in STUDIES.glob("*.yaml")}
    published = {file.stem for file in (STUDIES / "published").glob("*.yaml")}
    makefile = (PROMPTS.parent / "Makefile").read_text(encoding="utf-8")
    (listed,) = (line for line in makefile.splitlines() if line.startswith("STUDIES := "))
    assert set(listed.removeprefix("STUDIES := ").split()) == starters
    assert starters - published == {"variations"}, "variations need no other settings than weights: published"
