"""The sweep: what a person writes."""

import re
from datetime import date
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from dreamsweep.spec.base import DATE, MAX_SEED, DatedName, FilmFormat, GuideChoice, Precision, Seed, Spec, WeightsName, guides_of
from dreamsweep.spec.concepts import ConceptFolder, ConceptName
from dreamsweep.spec.grids import EngineGrid
from dreamsweep.spec.judges import FurtherJudge, default_auditor
from dreamsweep.spec.keeping import Judging, Keep
from dreamsweep.spec.prompts import PromptEntry
from dreamsweep.spec.registry import JudgeName
from dreamsweep.spec.report import Report
from dreamsweep.spec.schedule import Schedule

FIRST_DAY, SEEDS_A_DAY = date(2020, 1, 1), 1_000
"""First day of daily seeds; each later day's seeds start `SEEDS_A_DAY` higher."""


class SeedRange(Spec):
    """Seeds `start`, `start + 1`, …, `count` of them."""

    start: Seed = 0
    count: PositiveInt
    daily: bool = False
    """Other seeds every day, counted from the date; the sweep's name holds `{date}` then."""

    @model_validator(mode="after")
    def _no_seed_too_large(self) -> "SeedRange":  # not Self, which beartype refuses outside a class decorator
        last = self.start + self.count - 1 + (SEEDS_A_DAY * (date.max - FIRST_DAY).days if self.daily else 0)
        if last > MAX_SEED:
            when = f" on {date.max}" if self.daily else ""
            raise ValueError(f"the last seed{when} would be {last}, and the largest is {MAX_SEED}; write a lower 'start' or 'count'")
        return self


class Sweep(Spec):
    """A night's work: prompts × engines × seeds."""

    model_config = ConfigDict(defer_build=True)  # other packages' engines are imported when the first sweep is read

    name: DatedName
    """With `{date}` in it, such as `nightly-{date}`, a sweep of its own every day."""
    prompts: Annotated[tuple[PromptEntry, ...], Field(min_length=1)]
    concepts: dict[ConceptName, ConceptFolder] = Field(default_factory=dict)
    """New words, each learned from a folder of pictures: `{moomin: pictures/moomin}` gives the prompts the word `<moomin>`."""
    engines: Annotated[tuple[EngineGrid, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | SeedRange = (0,)
    iterations: PositiveInt = 200
    snapshot_every: NonNegativeInt = 20
    """Iterations between the pictures kept along the way; 0 keeps none."""
    judge_every: PositiveInt = 10
    """Iterations between the judge's marks; the picture with the best mark is kept."""
    films: Annotated[tuple[FilmFormat, ...], Field(min_length=1)] = ("webp",)
    """The formats in which each trial's snapshots are kept as a film."""
    keep_states: bool = False
    """Whether the last state of each batch is kept: the same sweep with more iterations continues from it, where its engines can."""
    guide: GuideChoice = "starter-guide"
    """A perceptor, or several with weights that pull together: `[ViT-B/32, {name: RN50, weight: 0.5}]`."""
    guides: Annotated[tuple[GuideChoice, ...], Field(min_length=1)] | None = None
    """Guides in turn, instead of `guide`: every trial once by each, such as `[ViT-B/32, RN50, [ViT-B/32, RN50]]`; a list within the list
    is several that pull together."""
    judge: JudgeName = "starter-judge"
    """What scores the pictures on the way and chooses the best one of each trial; it never steers."""
    judges: tuple[FurtherJudge, ...] | None = None
    """Further judges, which score each best picture once and choose nothing: `[ViT-L/14, labels:cifar100]`; `[]` for none. Left out, one
    does that neither guides nor chooses: `starter-auditor`, or `ViT-B/16` with published weights."""
    weights: WeightsName = "starter"
    precision: Precision = "default"
    """Arithmetic of the networks: `default` is float32 on a CPU, and on a GPU what each system's own code uses; `bfloat16` is faster where
    the hardware computes in it, much slower where a processor only imitates it, and the pictures differ."""
    shard_size: Annotated[int, Field(ge=1, le=1024)] = 8
    """Trials generated together, in one batch."""
    report: Report | None = None
    """Sections of `dreamsweep report`, and phrasings that it compares."""
    schedule: Schedule | None = None
    """When `dreamsweep deploy` has it made; without it, whenever somebody asks."""

    @property
    def keep(self) -> Keep:
        """Returns which pictures, films and states are kept."""
        return Keep(snapshot_every=self.snapshot_every, films=self.films, states=self.keep_states)

    @property
    def judging(self) -> Judging:
        """Who scores the pictures, and how often."""
        return Judging(judge=self.judge, judge_every=self.judge_every)

    @property
    def each_guide(self) -> tuple[GuideChoice, ...]:
        """Returns every guide that trials of the sweep have, each once."""
        return tuple(dict.fromkeys(self.guides or (self.guide,)))

    @property
    def perceptors(self) -> tuple[str, ...]:
        """Returns the names of all guides, and of the judge that chooses, each once."""
        return tuple(dict.fromkeys((*(part.name for guide in self.each_guide for part in guides_of(guide)), self.judge)))

    @property
    def further_judges(self) -> tuple[FurtherJudge, ...]:
        """Returns the judges that score the best pictures once; where the file names none, an auditor if there is one."""
        if self.judges is not None:
            return self.judges
        auditor = default_auditor(self.weights, self.perceptors)
        return (FurtherJudge(name=auditor),) if auditor else ()

    @field_validator("prompts", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        """`prompts: names.txt` is short for a list of that one file; a text of lines holds a prompt a line, as such a file does."""
        if not isinstance(value, str):
            return value
        prompts = [line.strip() for line in value.splitlines() if line.strip() and not line.startswith("#")]
        if "\n" in value and not (len(prompts) == 1 and re.fullmatch(r"\S+\.[a-zA-Z]{2,5}", prompts[0])):
            return prompts
        if not PurePath(value).suffix:
            raise ValueError(f"a single word or text would be a file's name; write a list: prompts: [{value}]")
        return [{"file": value.strip()}]

    @field_validator("engines", mode="before")
    @classmethod
    def _plain_engines(cls, value: Any) -> Any:
        entries = [value] if isinstance(value, str | dict) else value
        return [{"engine": e} if isinstance(e, str) else e for e in entries] if isinstance(entries, list | tuple) else value

    @field_validator("films", mode="before")
    @classmethod
    def _one_film(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("judges", mode="before")
    @classmethod
    def _one_judge(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value

    @field_validator("judges")
    @classmethod
    def _each_judge_once(cls, judges: tuple[FurtherJudge, ...] | None) -> tuple[FurtherJudge, ...] | None:
        return judges and tuple(dict.fromkeys(judges))

    @field_validator("guide")
    @classmethod
    def _one_guide(cls, guide: GuideChoice) -> GuideChoice:
        """Takes a list of one guide for that guide, whose trials have the same ids."""
        return _alone(guide)

    @field_validator("guides")
    @classmethod
    def _instead_of_guide(cls, guides: tuple[GuideChoice, ...] | None, info: Any) -> tuple[GuideChoice, ...] | None:
        default = cls.model_fields["guide"].default
        if guides and info.data.get("guide", default) != default:
            raise ValueError("they stand instead of 'guide'; leave one of the two out")
        return guides and tuple(map(_alone, guides))

    @field_validator("seeds", mode="before")
    @classmethod
    def _one_seed(cls, value: Any) -> Any:
        return [value] if isinstance(value, int | float | str) else value

    @field_validator("seeds")
    @classmethod
    def _in_sweeps_of_their_own(cls, seeds: tuple[int, ...] | SeedRange, info: Any) -> tuple[int, ...] | SeedRange:
        """Refuses daily seeds under one name, where a day's trials would push those of the day before out of the manifest."""
        name = info.data.get("name", DATE)
        if isinstance(seeds, SeedRange) and seeds.daily and DATE not in name:
            raise ValueError(f"daily seeds want a sweep of their own every day; name it '{name}-{DATE}'")
        return seeds


def _alone(guide: GuideChoice) -> GuideChoice:
    return guide[0].name if isinstance(guide, tuple) and len(guide) == 1 and guide[0].weight == 1 else guide
