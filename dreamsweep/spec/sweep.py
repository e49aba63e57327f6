"""The sweep: what a person writes."""

import difflib
import zoneinfo
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Any

from cronsim import CronSim, CronSimError
from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from dreamsweep.spec.base import DATE, DatedName, FilmFormat, GuideChoice, PerceptorName, Precision, Spec, WeightsName, short_for
from dreamsweep.spec.grids import EngineGrid
from dreamsweep.spec.prompts import PromptEntry


class SeedRange(Spec):
    """Seeds `start`, `start + 1`, …, `count` of them."""

    start: NonNegativeInt = 0
    count: PositiveInt
    daily: bool = False
    """Other seeds every day, counted from the date; the sweep's name holds `{date}` then."""


class Schedule(Spec):
    """When a sweep is made by itself, once it is deployed: `"0 2 * * *"`, or with a timezone. No part of any trial's identity."""

    cron: str
    """Minute, hour, day of the month, month, day of the week: `0 2 * * *` is every night at two."""
    timezone: str = "UTC"
    """Such as `Europe/Berlin`; two o'clock stays two o'clock when summer time comes and goes."""
    active: bool = True
    """`false` keeps the schedule, and starts nothing."""

    _plain_cron = short_for("cron")

    @field_validator("cron")
    @classmethod
    def _comes(cls, cron: str) -> str:
        if len(cron.split()) != 5:
            raise ValueError("it takes five fields, such as '0 2 * * *' (minute, hour, day of the month, month, day of the week)")
        try:
            CronSim(cron, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"{str(error).lower()}; every night at two is '0 2 * * *'") from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        known = zoneinfo.available_timezones()
        if timezone not in known:
            near = difflib.get_close_matches(timezone, known, n=1)
            raise ValueError(f"no such timezone; did you mean {near[0]!r}" if near else "no such timezone; use one such as 'Europe/Berlin'")
        return timezone


class Sweep(Spec):
    """A night's work: prompts × engines × seeds."""

    name: DatedName
    """With `{date}` in it, such as `nightly-{date}`, a sweep of its own every day."""
    prompts: Annotated[tuple[PromptEntry, ...], Field(min_length=1)]
    engines: Annotated[tuple[EngineGrid, ...], Field(min_length=1)]  # type: ignore[valid-type]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | SeedRange = (0,)
    iterations: PositiveInt = 200
    snapshot_every: NonNegativeInt = 20
    """Iterations between the pictures kept along the way; 0 keeps none."""
    judge_every: PositiveInt = 10
    """Iterations between the judge's marks; the picture with the best mark is kept."""
    films: Annotated[tuple[FilmFormat, ...], Field(min_length=1)] = ("webp",)
    """The formats in which each trial's snapshots are kept as a film."""
    guide: GuideChoice = "starter-guide"
    """A perceptor, or several with weights that pull together: `[ViT-B/32, {name: RN50, weight: 0.5}]`."""
    judge: PerceptorName = "starter-judge"
    weights: WeightsName = "starter"
    precision: Precision = "default"
    """Arithmetic of the networks: `default` is float32 on a CPU, and on a GPU what each system's own code uses; `bfloat16` is faster where
    the hardware knows it, and the pictures differ."""
    shard_size: Annotated[int, Field(ge=1, le=1024)] = 8
    """Trials generated together, in one batch."""
    schedule: Schedule | None = None
    """When `dreamsweep deploy` has it made; without it, whenever somebody asks."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        """`prompts: names.txt` is short for a list of that one file."""
        if isinstance(value, str) and not PurePath(value).suffix:
            raise ValueError(f"a single word or text would be a file's name; write a list: prompts: [{value}]")
        return [{"file": value}] if isinstance(value, str) else value

    @field_validator("engines", mode="before")
    @classmethod
    def _plain_engines(cls, value: Any) -> Any:
        entries = [value] if isinstance(value, str | dict) else value
        return [{"engine": e} if isinstance(e, str) else e for e in entries] if isinstance(entries, list | tuple) else value

    @field_validator("films", mode="before")
    @classmethod
    def _one_film(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) else value

    @field_validator("seeds")
    @classmethod
    def _in_sweeps_of_their_own(cls, seeds: tuple[int, ...] | SeedRange, info: Any) -> tuple[int, ...] | SeedRange:
        """Under one name a day's trials would push those of the day before out of the manifest."""
        name = info.data.get("name", DATE)
        if isinstance(seeds, SeedRange) and seeds.daily and DATE not in name:
            raise ValueError(f"daily seeds want a sweep of their own every day; name it '{name}-{DATE}'")
        return seeds
