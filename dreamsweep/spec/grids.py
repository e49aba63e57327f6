"""Engines as a sweep file may write them: a list of values multiplies out."""

from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Field, PositiveFloat, create_model

from dreamsweep.spec.base import OptimizerName, Spec, short_for
from dreamsweep.spec.engines import ENGINES, AnySpec, OptimizerSpec


def listable(annotation: Any) -> bool:
    """Whether a field of this type may list several values in a sweep: numbers, optimizers and choices."""
    if annotation is OptimizerSpec or annotation in (int, float) or get_origin(annotation) is Literal:
        return True
    return any(listable(part) for part in get_args(annotation)) and str not in get_args(annotation)


def _grid_of(spec: type[AnySpec]) -> type[Spec]:
    """The same spec, with lists allowed where a sweep may multiply out."""
    fields: dict[str, Any] = {}
    for name, info in spec.model_fields.items():
        if name == "engine":
            fields[name] = (info.annotation, info.default)
            continue
        one: Any = OptimizerGrid if info.annotation is OptimizerSpec else _annotated(info)
        kind = Union[one, Annotated[tuple[one, ...], Field(min_length=1)]] if listable(info.annotation) else one  # noqa: UP007
        fields[name] = (kind, Field(default=None if name == "optimizer" else info.default, description=info.description))
    return create_model(spec.__name__.replace("Spec", "Grid"), __base__=Spec, __doc__=spec.__doc__, **fields)


def _annotated(info: Any) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


class OptimizerGrid(Spec):
    """An optimizer, with one learning rate or several."""

    name: OptimizerName
    learning_rate: PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] | None = None

    _plain_name = short_for("name")


EngineGrid = Annotated[Union[*(_grid_of(spec) for spec in ENGINES.values())], Field(discriminator="engine")]  # type: ignore[valid-type]
