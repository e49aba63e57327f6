"""A sweep as somebody asks for it in Prefect's run form: filled in, by name, or as the text of a sweep file.

The form shows what people turn first; all other words of a sweep file go through the text.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Discriminator, Field, PositiveInt, StringConstraints, Tag, create_model, model_validator
from pydantic.json_schema import SkipJsonSchema

from dreamsweep.errors import SweepFileError
from dreamsweep.flows.form_schema import FORM_NAME, form_schema
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep, parse_text
from dreamsweep.spec import DATE, ENGINES, JudgeName, Name, PerceptorName, Spec, Sweep, WeightsName
from dreamsweep.store import keys, open_store

PROMPTS = Path(__file__).parents[1] / "prompts"
"""The sweep files that ship, in a checkout or beside the installed package."""
TIME = "{time}"
"""Place of the time of day in a name that the form fills in."""
FormName = Annotated[str, StringConstraints(pattern=FORM_NAME)]


def _tab(engine: str) -> type[Spec]:
    """Returns an engine's settings of the form, as its spec has them."""
    spec = ENGINES[engine]
    settings = spec.form_settings or tuple(name for name in spec.__annotations__ if name in spec.model_fields and name != "engine")
    fields: dict[str, Any] = {name: (spec.model_fields[name].annotation, spec.model_fields[name]) for name in settings}
    own = Field(default=engine, description="This tab's; choose another tab for another.", json_schema_extra={"enum": [engine]})
    fields["engine"] = (Literal[engine], own)
    return create_model(engine, __base__=Spec, __doc__=(spec.__doc__ or "").partition("\n")[0], **fields)


DALLE = _tab("dalle")


EngineTab = Annotated[Union[DALLE, *(_tab(engine) for engine in ENGINES if engine != "dalle")], Field(discriminator="engine")]  # type: ignore[valid-type]


USUAL = "Nothing to keep away from; the starter weights, their guide and their judge."


class MoreSettings(Spec):
    """Settings that few sweeps need."""

    model_config = ConfigDict(title="Set them", json_schema_extra=form_schema())

    negatives: str = ""
    """What every picture is kept away from, one text a line."""
    to: Annotated[str, Field(title="Turns into")] = ""
    """For the engines interpolation and unclip: what each prompt turns into."""
    weights: WeightsName = "starter"
    """The small networks that ship and draw emoji-like things, or the published ones, which are fetched on first use."""
    guide: PerceptorName = "starter-guide"
    """What steers the pictures towards the prompts."""
    judge: JudgeName = "starter-judge"
    """What marks them; it never steers."""
    judges: Annotated[str, Field(title="Further judges")] = ""
    """What scores the best pictures once more and chooses nothing, one a line: a perceptor, or labels:things for what they show."""


class SweepForm(Spec):
    """Every prompt, by every engine."""

    model_config = ConfigDict(
        title="Fill in",
        json_schema_extra=form_schema("name", "lines", "engines", folded={"more": USUAL}, also=MoreSettings.model_fields),
    )

    name: FormName = "sweep-{date}-{time}"
    """Small letters, digits and dashes; {date} and {time} are those of the run (UTC). A name without them can be run again to add to it."""
    lines: Annotated[str, Field(min_length=1, title="Prompts")] = "a red heart"
    """What to draw, one prompt a line."""
    engines: Annotated[tuple[EngineTab, ...], Field(min_length=1)] = (DALLE(),)  # type: ignore[valid-type]
    """How to draw it. Each engine draws every prompt."""
    pictures: Annotated[PositiveInt, Field(title="Pictures of each")] = 1
    """So many of every prompt by every engine, from different seeds."""
    iterations: PositiveInt = 200
    """More is slower and often better. Where an engine has iterations of its own, those hold."""
    more: Annotated[MoreSettings, Field(title="More settings")] = MoreSettings()
    """Negatives, what prompts turn into, weights, guide and judges."""

    @model_validator(mode="before")
    @classmethod
    def _folded(cls, value: Any) -> Any:
        """Reads what the form of earlier versions sent, whose fields stood side by side."""
        if not isinstance(value, dict):
            return value
        beside = {name: value[name] for name in MoreSettings.model_fields if name in value}
        rest = {name: field for name, field in value.items() if name not in beside}
        return {**rest, "more": {**beside, **rest.get("more", {})}} if beside else value

    def sweep(self, moment: datetime) -> Sweep:
        """Returns the same as a sweep file would say it, named after the moment. Raises SweepFileError."""
        beside = {"negatives": _lines(self.more.negatives), "to": _lines(self.more.to)}
        tabs: tuple[Any, ...] = self.engines  # models made at run time, one an engine
        content = {
            "name": dated(self.name, moment),
            "prompts": [{"text": text, **beside} for text in _lines(self.lines)],
            "engines": [tab.model_dump() for tab in tabs],
            "seeds": {"count": self.pictures},
            "iterations": self.iterations,
            **self.more.model_dump(include={"weights", "guide", "judge"}),
            **({"judges": judges} if (judges := _lines(self.more.judges)) else {}),
        }
        return parse_sweep(content, PROMPTS, "the form")


class StoredSweep(Spec):
    """One that ships with dreamsweep, or was made in this store before."""

    model_config = ConfigDict(title="By name", json_schema_extra=form_schema("stored"))

    stored: Annotated[Name, Field(title="Name")] = "demo"
    """A file that ships (demo, engines, nightly, optimizers, portraits, published), or the sweep that last ran under this name."""

    def sweep(self, store: str) -> Sweep:
        """Returns the sweep of that name. Raises SweepFileError where there is none."""
        file = PROMPTS / f"{self.stored}.yaml"
        if file.is_file():
            return load_sweep(file)
        opened, key = open_store(store), keys.sweep_file(self.stored)
        data = opened.get(key)
        if data is None:
            ships = ", ".join(sorted(path.stem for path in PROMPTS.glob("*.yaml")))
            raise SweepFileError(f"stored: no sweep {self.stored!r} ships, and none was run in {opened.uri}; those that ship are {ships}.")
        return parse_text(data.decode(errors="replace"), PROMPTS, opened.uri_of(key))


SweepText = Annotated[
    str,
    Field(
        title="Sweep file",
        min_length=1,
        description="The text of a sweep file, with every word that it may use, as `dreamsweep new` writes one.",
    ),
]


def _kind(request: Any) -> str:
    if isinstance(request, str):
        return "text"
    words = request if isinstance(request, dict) else type(request).model_fields
    return "sweep" if "prompts" in words else "stored" if "stored" in words else "form"


AskedSweep = Annotated[
    Annotated[SweepForm, Tag("form")]
    | Annotated[StoredSweep, Tag("stored")]
    | Annotated[SweepText, Tag("text")]
    | SkipJsonSchema[Annotated[Sweep, Tag("sweep")]],
    Discriminator(_kind),
]
"""What a request may hold; a whole `Sweep` only from Python, where the form would drown in its settings."""


def find_sweep(request: AskedSweep, store: str, moment: datetime | None = None) -> Sweep:
    """Returns the sweep that is asked for; one of the form is named after the moment, by default now. Raises SweepFileError."""
    match request:
        case Sweep():
            return request
        case SweepForm():
            return request.sweep(moment or datetime.now(UTC))
        case StoredSweep():
            return request.sweep(store)
        case str():
            return parse_text(request, PROMPTS, "the sweep file")


def name_of(request: AskedSweep) -> str:
    """Returns the name that it goes by, before anything is read."""
    match request:
        case str():
            named = re.search(r"^name:[ \t]*['\"]?([\w.{}-]+)", request, re.MULTILINE)
            return named[1] if named else "sweep"
        case StoredSweep():
            return request.stored
        case _:
            return request.name


def zone_of(request: AskedSweep) -> ZoneInfo:
    """Returns the time zone of its schedule, before anything is read; UTC where it names none."""
    named = None
    if isinstance(request, Sweep) and request.schedule:
        named = request.schedule.timezone
    elif isinstance(request, str) and (written := re.search(r"\btimezone['\"]?:\s*['\"]?([\w/+-]+)", request)):
        named = written[1]
    try:
        return ZoneInfo(named or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the text is read later, and refused
        return ZoneInfo("UTC")


def dated(name: str, moment: datetime) -> str:
    """Returns a name with the moment's date and time in the places that it has for them."""
    return name.replace(DATE, f"{moment:%Y-%m-%d}").replace(TIME, f"{moment:%H%M%S}")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
