"""Identities are stable, specs are closed, defaults are resolved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dreamsweep.spec import ENGINES, DalleSpec, GuidedSpec, OptimizerSpec, Prompt, StrokesSpec, Sweep, Trial

NAMES = ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta")


def a_trial(**changes: object) -> Trial:
    settings = {
        "prompt": Prompt(text="a red heart"), "engine": DalleSpec(num_iter=10), "seed": 0, "guide": "starter-guide",
        "judge": "starter-judge", "weights": "starter", "snapshot_every": 5, "judge_every": 5,
    }  # fmt: skip
    return Trial.model_validate({**settings, **changes})


@given(seed=st.integers(0, 2**63 - 1), text=st.text(min_size=1, max_size=40).filter(str.strip))
def test_a_trial_that_went_through_json_has_the_same_id(seed: int, text: str) -> None:
    trial = a_trial(seed=seed, prompt=Prompt(text=text))
    again = Trial.model_validate_json(trial.model_dump_json())
    assert again == trial and again.id == trial.id


def test_every_field_is_part_of_the_identity() -> None:
    different = [
        a_trial(), a_trial(seed=1), a_trial(prompt="a blue heart"), a_trial(engine=StrokesSpec(num_iter=10)),
        a_trial(engine=DalleSpec(num_iter=11)), a_trial(snapshot_every=1), a_trial(judge="ViT-B/32"),
        a_trial(prompt={"text": "a red heart", "negatives": ["blur"]}),
    ]  # fmt: skip
    assert len({trial.id for trial in different}) == len(different)


def test_an_initial_picture_is_known_by_its_content_not_its_path() -> None:
    here, there, other = (
        a_trial(engine=DalleSpec(num_iter=1, init_image={"path": path, "sha256": digest}))
        for path, digest in (("/a.png", "1"), ("/b.png", "1"), ("/a.png", "2"))
    )
    assert here.id == there.id != other.id


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", [name for name, spec in ENGINES.items() if issubclass(spec, GuidedSpec)])
def test_each_optimizer_has_a_learning_rate_of_its_own_in_each_engine(engine: str, name: str) -> None:
    spec = ENGINES[engine].model_validate({"optimizer": name})
    assert isinstance(spec, GuidedSpec)
    assert spec.optimizer.learning_rate == spec.default_learning_rates()[name]  # type: ignore[index]
    given_one = ENGINES[engine].model_validate({"optimizer": {"name": name, "learning_rate": 0.7}})
    assert isinstance(given_one, GuidedSpec)
    assert given_one.optimizer == OptimizerSpec(name=name, learning_rate=0.7)


def test_specs_are_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        DalleSpec.model_validate({"cutout": 3})
    with pytest.raises(ValidationError):
        DalleSpec().cutouts = 3  # type: ignore[misc]


def test_the_schema_of_a_sweep_tells_every_engine_and_setting() -> None:
    schema = str(Sweep.model_json_schema())
    for engine, spec in ENGINES.items():
        assert engine in schema
        assert all(setting in schema for setting in spec.model_fields)
