"""Engines as a sweep file may write them: a list of values multiplies out."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Field, PositiveFloat, create_model

from dreamsweep.spec.base import OptimizerName, PromptText, Spec, short_for
from dreamsweep.spec.engine_base import AnySpec, OptimizerSpec
from dreamsweep.spec.registry import ENGINES, OneOf

ITS_PROMPTS = "prompts"
"""Field of an engine's entry, and no setting of the engine: the texts of those prompts of the sweep that the entry draws."""
ITS_PROMPTS_HELP = "Texts of the prompts that this entry draws, of those of the sweep; without it, all of them."


def listable(annotation: Any) -> bool:
    """Returns whether a field of this type may list several values in a sweep: numbers, optimizers and choices."""
    if annotation is OptimizerSpec or annotation in (int, float) or get_origin(annotation) is Literal:
        return True
    return any(listable(part) for part in get_args(annotation)) and str not in get_args(annotation)


@cache
def _grid_of(spec: type[AnySpec]) -> type[Spec]:
    """Returns the same spec, with lists allowed where a sweep may multiply out."""
    fields: dict[str, Any] = {}
    for name, info in spec.model_fields.items():
        if name == "engine":
            fields[name] = (info.annotation, info.default)
            continue
        value: Any = OptimizerGrid if info.annotation is OptimizerSpec else _annotated(info)
        kind = Union[value, Annotated[tuple[value, ...], Field(min_length=1)]] if listable(info.annotation) else value  # noqa: UP007
        fields[name] = (kind, Field(default=None if name == "optimizer" else info.default, description=info.description))
    fields[ITS_PROMPTS] = (Annotated[tuple[PromptText, ...], Field(min_length=1)] | None, Field(default=None, description=ITS_PROMPTS_HELP))
    return create_model(spec.__name__.replace("Spec", "Grid"), __base__=Spec, __doc__=spec.__doc__, **fields)


def _annotated(info: Any) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


class OptimizerGrid(Spec):
    """An optimizer, with one learning rate or several."""

    name: OptimizerName
    learning_rate: PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] | None = None

    _plain_name = short_for("name")


class EngineGrids(Mapping[str, type[Spec]]):
    """Each engine's name and the grid of its spec, made when it is first used."""

    def __getitem__(self, name: str) -> type[Spec]:
        return _grid_of(ENGINES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(ENGINES)

    def __len__(self) -> int:
        return len(ENGINES)


if TYPE_CHECKING:
    EngineGrid = Any  # models made at run time, one an engine
else:
    EngineGrid = Annotated[Spec, OneOf(EngineGrids())]
