"""The names that a sweep may use for engines and judges: those that ship, and those that other packages bring."""

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dreamsweep.errors import PluginError
from dreamsweep.spec.diffusion_engines import GuidedDiffusionSpec, InterpolationSpec, UnclipSpec
from dreamsweep.spec.engine_base import AnySpec
from dreamsweep.spec.engines import BigSleepSpec, DalleSpec, StrokesSpec
from dreamsweep.spec.judges import judge_names
from dreamsweep.spec.plugins import ENGINES_GROUP, Plugin, plugins

SHIPPED: tuple[type[AnySpec], ...] = (DalleSpec, StrokesSpec, BigSleepSpec, GuidedDiffusionSpec, InterpolationSpec, UnclipSpec)


class EngineSpecs(Mapping[str, type[AnySpec]]):
    """Each engine's name and its spec. Other packages' specs are imported when the engines are first listed.

    A package that cannot be imported is logged once and left out; `errors` keeps why.
    """

    def __init__(self, shipped: tuple[type[AnySpec], ...]) -> None:
        self.shipped = {_engine_of(spec): spec for spec in shipped}
        self._specs: dict[str, type[AnySpec]] | None = None
        self._errors: dict[str, PluginError] = {}
        self._lock, self._is_listing = threading.RLock(), False

    @property
    def errors(self) -> Mapping[str, PluginError]:
        """Why engines of other packages cannot be used, by name."""
        self._list()
        return self._errors

    def __getitem__(self, name: str) -> type[AnySpec]:
        return self.shipped[name] if name in self.shipped else self._list()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._list())

    def __len__(self) -> int:
        return len(self._list())

    def _list(self) -> dict[str, type[AnySpec]]:
        with self._lock:
            if self._specs is not None:
                return self._specs
            if self._is_listing:
                raise ImportError("it asks for the list of engines while that is being made; import that part of dreamsweep in a function")
            self._is_listing = True
            try:
                specs = dict(self.shipped)
                usable, errors = plugins(ENGINES_GROUP, frozenset(self.shipped))
                self._errors = dict(errors)
                for name, plugin in usable.items():
                    try:
                        specs[name] = _checked_spec(plugin)
                    except PluginError as error:
                        self._errors[name] = error
                for sentence in self._errors.values():
                    logging.getLogger("dreamsweep").warning("%s", sentence)
                self._specs = specs
            finally:
                self._is_listing = False
            return self._specs


def _engine_of(spec: type[AnySpec]) -> str:
    return str(spec.model_fields["engine"].default)


def _checked_spec(plugin: Plugin) -> type[AnySpec]:
    """Returns the spec that an entry point names. Raises PluginError when it is none."""
    spec = plugin.load()
    if not (isinstance(spec, type) and issubclass(spec, AnySpec)):
        raise plugin.error(f"{plugin.entry.value} is no subclass of dreamsweep.spec.AnySpec")
    field = spec.model_fields.get("engine")
    if field is None or field.default != plugin.name or get_args(field.annotation) != (plugin.name,):
        raise plugin.error(f"its spec has no field 'engine: Literal[{plugin.name!r}] = {plugin.name!r}'")
    if ":" not in spec.builder:
        raise plugin.error(f"its spec names no builder, such as '{spec.__module__}:make_engine'")
    return spec


ENGINES = EngineSpecs(SHIPPED)
"""Each engine's name and its spec."""


class OneOf:
    """Marks a field that holds one of the specs of a mapping, told apart by `engine`; the mapping is read when the field is first used."""

    def __init__(self, specs: Mapping[str, type[Any]]) -> None:
        self.specs = specs

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(Annotated[Union[tuple(self.specs.values())], Field(discriminator="engine")])  # noqa: UP007


class _OneOfTheJudges:
    """Marks a field that holds the name of a judge."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(judge_names()))


if TYPE_CHECKING:
    EngineSpec = AnySpec
    JudgeName = str
else:
    EngineSpec = Annotated[AnySpec, OneOf(ENGINES)]
    JudgeName = Annotated[str, _OneOfTheJudges()]
