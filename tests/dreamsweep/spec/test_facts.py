"""Nobody outside spec and engines asks which engine a spec belongs to: the facts on it say what there is to know."""

import ast
from pathlib import Path
from typing import Any, Literal

import pytest

import dreamsweep
from dreamsweep.spec import ENGINES, DescentSpec, OptimizerName, Prompt

PACKAGE = Path(dreamsweep.__file__).parent
OWN = {"spec", "engines"}
"""Packages where specs are defined, and where each engine knows its own."""
SPEC_CLASSES = {spec.__name__ for spec in ENGINES.values()} | {"AnySpec", "DescentSpec", "FramesSpec", "SteeredSpec"}


def questions(path: Path) -> list[int]:
    """Lines on which a file asks for the type of a spec: `isinstance`, `issubclass`, or a class pattern."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        types: list[ast.AST] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"):
            types = [node.args[1]]
        elif isinstance(node, ast.MatchClass):
            types = [node.cls]
        names = {inner.id for part in types for inner in ast.walk(part) if isinstance(inner, ast.Name)}
        lines += [node.lineno] if names & SPEC_CLASSES else []  # type: ignore[attr-defined]
    return lines


def test_the_question_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("isinstance(x, DalleSpec)\nmatch x:\n    case UnclipSpec():\n        pass\nisinstance(x, str)\n")
    assert questions(tmp_path / "a.py") == [1, 3]


def test_no_one_outside_asks_which_engine_a_spec_is_of() -> None:
    folders = [*(folder for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name not in OWN), PACKAGE]
    files = [path for folder in folders for path in folder.glob("*.py")]
    assert len(files) > 60
    lines_of_files = {path.relative_to(PACKAGE).as_posix(): lines for path in files if (lines := questions(path))}
    assert lines_of_files == {}


@pytest.mark.parametrize("name", ENGINES)
def test_facts_are_no_words_of_a_sweep_file(name: str) -> None:
    spec = ENGINES[name]
    facts = {fact for kind in spec.__mro__ for fact in vars(kind).get("__annotations__", {})} - set(spec.model_fields)
    assert {"builder", "takes_to", "setting_rules"} <= facts
    assert not facts & set(spec.model_validate({}).model_dump()) and not facts & spec.model_json_schema()["properties"].keys()


def test_facts_of_the_engines_that_ship() -> None:
    specs = {name: spec.model_validate({}) for name, spec in ENGINES.items()}
    assert {name for name, spec in specs.items() if spec.steering is None} == {"interpolation", "unclip"}
    assert {name: spec.takes_to for name, spec in specs.items() if spec.takes_to != "ignored"} == {
        "interpolation": "required", "unclip": "optional",
    }  # fmt: skip
    assert {name: spec.picture_side for name, spec in specs.items()} == {
        "dalle": 128, "strokes": 224, "big-sleep": 128, "guided-diffusion": 512, "interpolation": 512, "unclip": 512,
    }  # fmt: skip
    assert {name for name, spec in specs.items() if spec.own_optimizer} == {"dalle", "strokes", "big-sleep"}
    walks = Prompt(text="a", to=("b",))
    assert specs["unclip"].is_walk(walks) and not specs["unclip"].is_walk(Prompt(text="a"))


@pytest.mark.parametrize(
    ("name", "starter", "published"),
    [
        ("dalle", "starter-dvae", "published-dvae"),
        ("big-sleep", "starter-biggan", "biggan-deep-128"),
        ("guided-diffusion", "starter-diffusion", "stable-diffusion-1.5"),
        ("interpolation", "starter-diffusion", "stable-diffusion-1.5"),
        ("unclip", "starter-unclip", "karlo"),
    ],
)
def test_weights_are_named_without_loading_them(name: str, starter: str, published: str) -> None:
    spec = ENGINES[name].model_validate({})
    assert (spec.weight_names("starter"), spec.weight_names("published")) == ((starter,), (published,))


def test_what_an_engine_starts_from_is_loaded_too() -> None:
    dalle, strokes = ENGINES["dalle"], ENGINES["strokes"]
    assert dalle.model_validate({"start": "thing"}).weight_names("starter") == ("starter-dvae", "starter-biggan")
    assert [strokes.model_validate({"start": start}).weight_names("starter") for start in ("random", "shape", "thing")] == [
        (), ("starter-dvae",), ("starter-biggan",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings", "can_continue"),
    [
        ("big-sleep", {}, True),
        ("big-sleep", {"rate_schedule": "cosine"}, False),
        ("strokes", {}, False),
        ("strokes", {"rate_schedule": "constant"}, True),
        ("dalle", {}, False),
        ("dalle", {"tau_start": 0.5}, True),
        ("dalle", {"tau_start": 0.5, "rate_schedule": "linear"}, False),
        ("guided-diffusion", {}, False),
        ("interpolation", {}, False),
        ("unclip", {}, False),
    ],
)
def test_trials_can_continue_where_no_iteration_depends_on_their_number(name: str, settings: dict[str, Any], can_continue: bool) -> None:
    assert ENGINES[name].model_validate(settings).can_continue is can_continue


def test_an_engine_that_says_nothing_of_it_cannot_continue() -> None:
    class Spirals(DescentSpec):
        engine: Literal["spirals"] = "spirals"

        def default_learning_rates(self) -> dict[OptimizerName, float]:
            return {"adam": 1.0}

    assert Spirals().rate_schedule == "constant" and not Spirals().can_continue
