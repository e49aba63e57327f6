"""A sweep as somebody asks for it in Prefect's run form: filled in, by name, or as the text of a sweep file.

The form shows what people turn first; all other words of a sweep file go through the text.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import ConfigDict, Discriminator, Field, PositiveInt, Tag, create_model
from pydantic.json_schema import SkipJsonSchema

from dreamsweep.errors import SweepFileError
from dreamsweep.spec import ENGINES, Name, PerceptorName, Spec, Sweep, WeightsName
from dreamsweep.store import open_store
from dreamsweep.sweepfile import load_sweep, parse_sweep, parse_text

PROMPTS = Path(__file__).parents[1] / "prompts"
"""The sweep files that ship, in a checkout or beside the installed package."""
TABS = {
    "dalle": ("image_size", "cutouts", "start", "smoothness"),
    "strokes": ("num_paths", "max_width", "background", "cutouts"),
    "big-sleep": ("start", "class_weight", "truncation", "cutouts"),
    "guided-diffusion": ("guide_strength", "guidance_scale", "eta", "num_iter"),
    "interpolation": ("num_iter", "path", "easing", "guidance_scale"),
    "unclip": ("num_iter", "conditioning", "prior", "prior_samples"),
}
"""What each engine's tab shows. Prefect's form finds the tab of a value by the words in it, so no tab's are all in another's."""


def _tab(engine: str) -> type[Spec]:
    """An engine's settings of the form, as its spec has them."""
    spec = ENGINES[engine]
    fields: dict[str, Any] = {name: (spec.model_fields[name].annotation, spec.model_fields[name]) for name in TABS[engine]}
    own = Field(default=engine, description="This tab's; choose another tab for another.", json_schema_extra={"enum": [engine]})
    fields["engine"] = (Literal[engine], own)
    return create_model(engine, __base__=Spec, __doc__=(spec.__doc__ or "").partition("\n")[0], **fields)


DALLE = _tab("dalle")


def form_schema(*required: str) -> Callable[[dict[str, Any]], None]:
    """What Prefect's form needs of a schema: unions as `anyOf` (a tab chosen of `oneOf` springs back), and what is not optional."""

    def adapt(schema: dict[str, Any]) -> None:
        for field in schema["properties"].values():
            for union in (field, field.get("items", {})):
                if "oneOf" in union:
                    union["anyOf"] = union.pop("oneOf")
                    union.pop("discriminator", None)
        schema["required"] = list(required)

    return adapt


EngineTab = Annotated[Union[DALLE, *(_tab(engine) for engine in TABS if engine != "dalle")], Field(discriminator="engine")]  # type: ignore[valid-type]


class SweepForm(Spec):
    """Every prompt, by every engine."""

    model_config = ConfigDict(title="Fill in", json_schema_extra=form_schema("name", "lines", "engines"))

    name: Name = "my-sweep"
    """Small letters, digits and dashes. The same name again goes on with what it made before."""
    lines: Annotated[str, Field(min_length=1, title="Prompts")] = "a red heart"
    """What to draw, one prompt a line."""
    negatives: str = ""
    """What every picture is kept away from, one text a line."""
    to: Annotated[str, Field(title="Turns into")] = ""
    """For the engines interpolation and unclip: what each prompt turns into."""
    engines: Annotated[tuple[EngineTab, ...], Field(min_length=1)] = (DALLE(),)  # type: ignore[valid-type]
    """How to draw it. Each engine draws every prompt."""
    pictures: Annotated[PositiveInt, Field(title="Pictures of each")] = 1
    """So many of every prompt by every engine, from different seeds."""
    iterations: PositiveInt = 200
    """More is slower and often better. Where an engine has iterations of its own, those hold."""
    weights: WeightsName = "starter"
    """The small networks that ship and draw emoji-like things, or the published ones, which are fetched on first use."""
    guide: PerceptorName = "starter-guide"
    """What steers the pictures towards the prompts."""
    judge: PerceptorName = "starter-judge"
    """What marks them; it never steers."""

    def sweep(self) -> Sweep:
        """The same as a sweep file would say it. Raises SweepFileError."""
        beside = {"negatives": _lines(self.negatives), "to": _lines(self.to)}
        tabs: tuple[Any, ...] = self.engines  # models made at run time, one an engine
        content = {
            "name": self.name,
            "prompts": [{"text": text, **beside} for text in _lines(self.lines)],
            "engines": [tab.model_dump() for tab in tabs],
            "seeds": {"count": self.pictures},
            **self.model_dump(include={"iterations", "weights", "guide", "judge"}),
        }
        return parse_sweep(content, PROMPTS, "the form")


class StoredSweep(Spec):
    """One that ships with dreamsweep, or was made in this store before."""

    model_config = ConfigDict(title="By name", json_schema_extra=form_schema("stored"))

    stored: Annotated[Name, Field(title="Name")] = "demo"
    """A file that ships (demo, engines, nightly, optimizers, portraits, published), or the sweep that last ran under this name."""

    def sweep(self, store: str) -> Sweep:
        """The sweep of that name. Raises SweepFileError where there is none."""
        file = PROMPTS / f"{self.stored}.yaml"
        if file.is_file():
            return load_sweep(file)
        opened, key = open_store(store), f"{self.stored}/sweep.yaml"
        if not opened.exists(key):
            ships = ", ".join(sorted(path.stem for path in PROMPTS.glob("*.yaml")))
            raise SweepFileError(f"stored: no sweep {self.stored!r} ships, and none was run in {opened.uri}; those that ship are {ships}.")
        return parse_text(opened.read(key).decode(), PROMPTS, opened.uri_of(key))


SweepText = Annotated[
    str,
    Field(title="Sweep file", min_length=1, description="The text of a sweep file, with every word that it may use (docs/quickstart.md)."),
]


def _kind(asked: Any) -> str:
    if isinstance(asked, str):
        return "text"
    words = asked if isinstance(asked, dict) else type(asked).model_fields
    return "sweep" if "prompts" in words else "stored" if "stored" in words else "form"


AskedSweep = Annotated[
    Annotated[SweepForm, Tag("form")]
    | Annotated[StoredSweep, Tag("stored")]
    | Annotated[SweepText, Tag("text")]
    | SkipJsonSchema[Annotated[Sweep, Tag("sweep")]],
    Discriminator(_kind),
]
"""What a request may hold; a whole `Sweep` only from Python, where the form would drown in its settings."""


def find_sweep(asked: AskedSweep, store: str) -> Sweep:
    """The sweep that is asked for. Raises SweepFileError."""
    match asked:
        case Sweep():
            return asked
        case SweepForm():
            return asked.sweep()
        case StoredSweep():
            return asked.sweep(store)
        case str():
            return parse_text(asked, PROMPTS, "the sweep file")


def name_of(asked: AskedSweep) -> str:
    """The name that it goes by, before anything is read."""
    match asked:
        case str():
            named = re.search(r"^name:[ \t]*['\"]?([\w.{}-]+)", asked, re.MULTILINE)
            return named[1] if named else "sweep"
        case StoredSweep():
            return asked.stored
        case _:
            return asked.name


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
