"""A setting that would do nothing is told of; one that does something somewhere is not."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.expand import engines
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import ENGINES, DalleSpec, DescentSpec, EngineSpec

SCHEDULE = "it needs 'rate_schedule' linear, cosine or exponential"
WITHOUT_EFFECT: dict[str, tuple[dict[str, Any], str]] = {
    "rate_end": ({"engine": "dalle", "rate_end": 0.3}, SCHEDULE),
    "rate_until": ({"engine": "strokes", "rate_until": [0.3, 0.5]}, SCHEDULE),
    "rate_drops": ({"engine": "big-sleep", "rate_drops": [{"at": 0.5, "times": 0.5}]}, "it needs 'rate_schedule: steps'"),
    "scheduled": ({"engine": "strokes", "scheduled": "all", "rate_schedule": "constant"}, "it needs a 'rate_schedule' other than constant"),
    "start": ({"engine": "dalle", "start": "mean", "init_image": "a.png"}, "'init_image' decides where it starts; leave one of them out"),
    "class_temperature": ({"engine": "big-sleep", "class_temperature": 3}, "it needs 'max_classes'"),
    "components": ({"engine": "unclip", "components": [1, 20]}, "it chooses among the components of an 'init_image'; name one"),
    "prior": (
        {"engine": "unclip", "prior": "autoregressive", "init_image": "a.png"},
        "a prior draws only with 'conditioning: prior', and without 'init_image' and 'start: thing'",
    ),
    "init_strength": ({"engine": "guided-diffusion", "init_strength": 0.3}, "it needs an 'init_image' or 'start: thing'"),
}
WITH_EFFECT: list[dict[str, Any]] = [
    {"engine": "dalle", "rate_schedule": ["constant", "cosine"], "rate_end": [0.1, 0.2]},
    {"engine": "strokes", "rate_drops": [{"at": 0.5, "times": 0.5}], "scheduled": "all"},
    {"engine": "unclip", "prior": "autoregressive", "conditioning": ["prior", "text", "caption"]},
    {"engine": "unclip", "components": [1, 20, None], "init_image": "a.png"},
    {"engine": "big-sleep", "max_classes": 2, "class_temperature": 3},
    {"engine": "big-sleep", "class_temperature": 2.0},  # written out, but the default
]


@pytest.fixture(autouse=True)
def _a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")


def specs(folder: Path, engine: dict[str, Any], **sweep: object) -> list[EngineSpec]:
    return list(engines(parse_sweep({"name": "t", "prompts": ["a"], "engines": [engine], **sweep}, folder, "test")))


@pytest.mark.parametrize("setting", WITHOUT_EFFECT)
def test_a_setting_without_effect_is_refused(tmp_path: Path, setting: str) -> None:
    entry, cure = WITHOUT_EFFECT[setting]
    with pytest.raises(SweepFileError) as error:
        specs(tmp_path, entry)
    assert str(error.value) == f"test: engines[0].{setting}: has no effect here: {cure}."


@pytest.mark.parametrize("entry", WITH_EFFECT, ids=str)
def test_a_setting_with_an_effect_is_not(tmp_path: Path, entry: dict[str, Any]) -> None:
    expanded = specs(tmp_path, entry)
    assert len({spec.model_dump_json() for spec in expanded}) == len(expanded) == (3 if entry["engine"] in ("dalle", "unclip") else 1)


@pytest.mark.parametrize("setting", [{"start": "mean"}, {"start": ["noise", "shape"]}, {"code_prior": [0, 0.2]}], ids=str)
def test_published_codes_know_nothing_of_usual_pictures(tmp_path: Path, setting: dict[str, Any]) -> None:
    (plain,) = specs(tmp_path, {"engine": "dalle"}, weights="published")
    assert isinstance(plain, DalleSpec) and (plain.start, plain.code_prior) == ("noise", 0)
    with pytest.raises(SweepFileError, match=r"has no effect here: only 'weights: starter' know"):
        specs(tmp_path, {"engine": "dalle", **setting}, weights="published")


def test_rules_name_settings_that_their_engines_have() -> None:
    for spec in ENGINES.values():
        assert {rule.setting for rule in spec.setting_rules} | spec.published_defaults.keys() <= spec.model_fields.keys()
        if issubclass(spec, DescentSpec):
            assert spec.setting_rules[: len(DescentSpec.setting_rules)] == DescentSpec.setting_rules
    assert {rule.setting for spec in ENGINES.values() for rule in spec.setting_rules} == {*WITHOUT_EFFECT, "code_prior"}


def test_a_list_of_drops_is_one_setting_and_must_go_forward(tmp_path: Path) -> None:
    drops = [{"at": 0.2, "times": 0.5}, {"at": 0.6, "times": 0.1}]
    (spec,) = specs(tmp_path, {"engine": "strokes", "rate_drops": drops})
    assert isinstance(spec, DescentSpec) and spec.rate_drops is not None and [d.at for d in spec.rate_drops] == [0.2, 0.6]
    with pytest.raises(SweepFileError, match=r"engines\[0\]: rate_drops: their 'at' is \[0.6, 0.2\]; each must come after"):
        specs(tmp_path, {"engine": "strokes", "rate_drops": drops[::-1]})
    with pytest.raises(SweepFileError, match=r"rate_drops\[0\].time: no such word; did you mean 'times'\?|rate_drops\[0\].times: missing"):
        specs(tmp_path, {"engine": "strokes", "rate_drops": [{"at": 0.2, "time": 0.5}]})


def test_choices_multiply_out(tmp_path: Path) -> None:
    expanded = specs(tmp_path, {"engine": "dalle", "loss": ["cosine", "spherical"], "tau_schedule": ["linear", "cosine"]})
    assert [(s.loss, s.tau_schedule) for s in expanded if isinstance(s, DalleSpec)] == [
        ("cosine", "linear"), ("cosine", "cosine"), ("spherical", "linear"), ("spherical", "cosine"),
    ]  # fmt: skip
    with pytest.raises(SweepFileError, match=r"loss\[1\]: no 'spheric'; did you mean 'spherical'"):
        specs(tmp_path, {"engine": "dalle", "loss": ["cosine", "spheric"]})
