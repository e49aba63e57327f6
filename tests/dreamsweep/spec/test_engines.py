"""Engines' specs are closed, their defaults resolved, and all of them in the schema."""

import pytest
from pydantic import ValidationError

from dreamsweep.spec import ENGINES, DalleSpec, DescentSpec, OptimizerSpec, Sweep

NAMES = ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", [name for name, spec in ENGINES.items() if issubclass(spec, DescentSpec)])
def test_each_optimizer_has_a_learning_rate_of_its_own_in_each_engine(engine: str, name: str) -> None:
    spec = ENGINES[engine].model_validate({"optimizer": name})
    assert isinstance(spec, DescentSpec)
    assert spec.optimizer.learning_rate == spec.default_learning_rates()[name]  # type: ignore[index]
    given_one = ENGINES[engine].model_validate({"optimizer": {"name": name, "learning_rate": 0.7}})
    assert isinstance(given_one, DescentSpec)
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
