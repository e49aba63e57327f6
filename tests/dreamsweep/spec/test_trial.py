"""A trial's identity: stable, of all that decides its pixels, and of nothing else.

`python -m tests.dreamsweep.spec.test_trial` writes golden_identity.json again. That is right when a spec has a new field; where an id, a
default or a text that was in it changes, every picture already generated is orphaned.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticUndefined, to_jsonable_python

from dreamsweep.spec import ENGINES, AnySpec, DalleSpec, Prompt, Spec, StrokesSpec, Trial, canonical_json, identity

GOLDEN = Path(__file__).with_name("golden_identity.json")


def a_trial(**changes: object) -> Trial:
    settings = {"prompt": "a red heart", "engine": DalleSpec(num_iter=10), "seed": 0, "guide": "starter-guide", "weights": "starter"}
    return Trial.model_validate({**settings, **changes})


def default_trials() -> dict[str, Trial]:
    """One trial of each engine, all of whose settings are the defaults."""
    return {name: a_trial(engine={"engine": name, "num_iter": 50}, prompt={"text": "a red heart", "to": "a star"}) for name in ENGINES}


def set_trials() -> dict[str, Trial]:
    """Trials of every engine with settings of their own, of every kind that there is."""
    picture = {"path": "/home/me/a.png", "sha256": "c0ffee"}
    engines: dict[str, dict[str, object]] = {
        "dalle": {"num_iter": 7, "optimizer": {"name": "sgd", "learning_rate": 3}, "init_image": picture, "rate_schedule": "cosine"},
        "strokes": {"num_iter": 7, "rate_drops": [{"at": 0.1, "times": 0.5}], "background": "#000000"},
        "big-sleep": {"num_iter": 7, "max_classes": 3, "ema_decay": 0.0, "early_stop": 20},
        "guided-diffusion": {"num_iter": 7, "eta": 1, "init_image": picture},
        "interpolation": {"num_iter": 7, "scheduler": "euler", "easing": "smooth", "frames_at_once": 1},
        "unclip": {"num_iter": 7, "init_image": picture, "to_image": picture, "prior": "autoregressive"},
    }
    prompt = {"text": "a cat", "weight": 2, "also": ["fur"], "negatives": [{"text": "blur", "weight": 0.5}], "to": ["a dog", "a bird"]}
    rest = {"guide": ["RN50", {"name": "ViT-B/32", "weight": 0.5}], "weights": "published", "precision": "bfloat16", "seed": 2**40}
    judging = {"judge": "RN50", "judge_every": 5}
    return {
        name: a_trial(engine={"engine": name, **settings}, prompt=prompt, stopped_by=judging if "early_stop" in settings else None, **rest)
        for name, settings in engines.items()
    }


def specs_within(annotation: Any) -> Iterator[type[Spec]]:
    """Every spec that a value of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
        for info in annotation.model_fields.values():
            yield from specs_within(info.annotation)
    for part in get_args(annotation):
        yield from specs_within(part)


SPECS = sorted({spec for root in (Trial, *ENGINES.values()) for spec in specs_within(root)} - {AnySpec}, key=lambda spec: spec.__name__)


def defaults(spec: type[Spec]) -> dict[str, object]:
    """The default of each field that is part of a spec's identity; "required" for those without."""
    counted = {name: info.default for name, info in spec.model_fields.items() if name not in spec.NOT_IDENTITY}
    return {name: "required" if value is PydanticUndefined else to_jsonable_python(value) for name, value in counted.items()}


def golden() -> dict[str, Any]:
    """What golden_identity.json would hold of the specs as they are."""
    by_default, with_settings = default_trials(), set_trials()
    return {
        "defaults": {spec.__name__: defaults(spec) for spec in SPECS},
        "identity": {name: canonical_json(identity(trial)) for name, trial in by_default.items()},
        "ids": {name: [by_default[name].id, with_settings[name].id] for name in ENGINES},
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_ids_are_golden(engine: str) -> None:
    """A change here orphans every picture already generated."""
    kept = json.loads(GOLDEN.read_text())
    assert canonical_json(identity(default_trials()[engine])) == kept["identity"][engine]
    assert [default_trials()[engine].id, set_trials()[engine].id] == kept["ids"][engine]


@pytest.mark.parametrize("spec", SPECS)
def test_every_field_is_part_of_the_identity_or_named_as_none_and_no_default_changes(spec: type[Spec]) -> None:
    """A new field is written into golden_identity.json, or into its class's NOT_IDENTITY; a default that changed is changed back."""
    kept = json.loads(GOLDEN.read_text())["defaults"][spec.__name__]
    assert defaults(spec) == kept
    assert set(spec.NOT_IDENTITY) <= {*spec.model_fields, *(name for other in spec.__subclasses__() for name in other.model_fields)}
    for name in spec.model_fields:
        plain: dict[str, Any] = {other: info.default for other, info in spec.model_fields.items()}
        changed = spec.model_construct(**{**plain, name: "another value"})
        assert (name in identity(changed)) is (name not in spec.NOT_IDENTITY), name


def test_a_setting_added_later_leaves_ids_alone_while_it_has_its_default() -> None:
    class LaterSpec(DalleSpec):
        swirl: float = 0.0

    before = canonical_json(identity(DalleSpec(num_iter=10)))
    assert canonical_json(identity(LaterSpec(num_iter=10))) == before
    assert canonical_json(identity(LaterSpec(num_iter=10, swirl=0.5))) != before


@given(seed=st.integers(0, 2**63 - 1), text=st.text(min_size=1, max_size=40).filter(str.strip))
def test_a_trial_that_went_through_json_has_the_same_id(seed: int, text: str) -> None:
    trial = a_trial(seed=seed, prompt=Prompt(text=text))
    again = Trial.model_validate_json(trial.model_dump_json())
    assert again == trial and again.id == trial.id


def test_trials_that_differ_have_different_ids() -> None:
    different = [
        a_trial(), a_trial(seed=1), a_trial(prompt="a blue heart"), a_trial(engine=StrokesSpec(num_iter=10)),
        a_trial(engine=DalleSpec(num_iter=11)), a_trial(guide="RN50"), a_trial(weights="published"), a_trial(precision="bfloat16"),
        a_trial(prompt={"text": "a red heart", "negatives": ["blur"]}), a_trial(prompt={"text": "a red heart", "also": ["blur"]}),
        a_trial(engine=DalleSpec(num_iter=10, optimizer="sgd")), a_trial(engine=DalleSpec(num_iter=10, rate_schedule="linear")),
    ]  # fmt: skip
    assert len({trial.id for trial in different}) == len(different)


def test_a_value_that_is_named_though_it_is_the_default_changes_nothing() -> None:
    named = DalleSpec.model_validate({"num_iter": 10, "optimizer": {"name": "adam", "learning_rate": 0.1}, "tau_schedule": "linear"})
    assert a_trial(engine=named).id == a_trial().id


def test_a_judge_stops_a_trial_exactly_where_its_engine_stops_early() -> None:
    judging, stopping = {"judge": "starter-judge", "judge_every": 10}, DalleSpec(num_iter=10, early_stop=5)
    assert a_trial(engine=stopping, stopped_by=judging).id != a_trial(engine=stopping, stopped_by={**judging, "judge_every": 5}).id
    for changes in ({"stopped_by": judging}, {"engine": stopping}):
        with pytest.raises(ValidationError, match="exactly where its engine has an early_stop"):
            a_trial(**changes)


def test_an_initial_picture_is_known_by_its_content_not_its_path() -> None:
    here, elsewhere, other = (
        a_trial(engine=DalleSpec(num_iter=1, init_image={"path": path, "sha256": digest}))
        for path, digest in (("/a.png", "1"), ("/b.png", "1"), ("/a.png", "2"))
    )
    assert here.id == elsewhere.id != other.id


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n")
