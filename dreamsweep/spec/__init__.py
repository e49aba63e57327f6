"""Every word that a sweep file may use: the YAML schema, the Prefect parameter and the identity of a trial at once.

`Sweep` (`spec/sweep.py`) is what a person writes; `dreamsweep.planning.expand` turns it into `Trial`s (`spec/trial.py`), one
prompt × engine × seed, fully determined. Where a sweep may list several values for a setting, the `…Grid` twin of an engine's spec,
derived from it, says so (`spec/grids.py`).
"""

from dreamsweep.spec.base import (
    DATE,
    MAX_PROMPT,
    MAX_SEED,
    Curve,
    FilmFormat,
    GuideChoice,
    Name,
    OptimizerName,
    PerceptorName,
    Precision,
    SchedulerName,
    Spec,
    WeightsName,
    guides_of,
)
from dreamsweep.spec.diffusion_engines import GuidedDiffusionSpec, InterpolationSpec, UnclipSpec
from dreamsweep.spec.engine_base import (
    IMAGE_FIELDS,
    RATE_END,
    RATE_UNTIL,
    AnySpec,
    DescentSpec,
    Drop,
    FramesSpec,
    ImageFile,
    OptimizerSpec,
    SteeredSpec,
)
from dreamsweep.spec.engines import BigSleepSpec, DalleSpec, StrokesSpec
from dreamsweep.spec.facts import (
    BoxViews,
    Easing,
    PerspectiveViews,
    SettingRule,
    Sides,
    Steering,
    TakesTo,
    TurnedViews,
    Views,
)
from dreamsweep.spec.grids import OptimizerGrid, listable
from dreamsweep.spec.judges import LABEL_LISTS, PERCEPTORS, SHIPPED_JUDGES, FurtherJudge, default_auditor, judge_names, parse_judge_name
from dreamsweep.spec.keeping import Judging, Keep, Kept
from dreamsweep.spec.prompts import Phrase, Prompt, PromptEntry, PromptFile, PromptTemplate
from dreamsweep.spec.registry import ENGINES, EngineSpec, JudgeName
from dreamsweep.spec.schedule import Schedule, schedule_name
from dreamsweep.spec.sweep import FIRST_DAY, SEEDS_A_DAY, SeedRange, Sweep
from dreamsweep.spec.trial import Trial, canonical_json, identity, identity_parts, trial_id

__all__ = [
    "DATE",
    "ENGINES",
    "FIRST_DAY",
    "IMAGE_FIELDS",
    "LABEL_LISTS",
    "MAX_PROMPT",
    "MAX_SEED",
    "PERCEPTORS",
    "RATE_END",
    "RATE_UNTIL",
    "SEEDS_A_DAY",
    "SHIPPED_JUDGES",
    "AnySpec",
    "BigSleepSpec",
    "BoxViews",
    "Curve",
    "DalleSpec",
    "DescentSpec",
    "Drop",
    "Easing",
    "EngineSpec",
    "FilmFormat",
    "FramesSpec",
    "FurtherJudge",
    "GuideChoice",
    "GuidedDiffusionSpec",
    "ImageFile",
    "InterpolationSpec",
    "JudgeName",
    "Judging",
    "Keep",
    "Kept",
    "Name",
    "OptimizerGrid",
    "OptimizerName",
    "OptimizerSpec",
    "PerceptorName",
    "PerspectiveViews",
    "Phrase",
    "Precision",
    "Prompt",
    "PromptEntry",
    "PromptFile",
    "PromptTemplate",
    "Schedule",
    "SchedulerName",
    "SeedRange",
    "SettingRule",
    "Sides",
    "Spec",
    "SteeredSpec",
    "Steering",
    "StrokesSpec",
    "Sweep",
    "TakesTo",
    "Trial",
    "TurnedViews",
    "UnclipSpec",
    "Views",
    "WeightsName",
    "canonical_json",
    "default_auditor",
    "guides_of",
    "identity",
    "identity_parts",
    "judge_names",
    "listable",
    "parse_judge_name",
    "schedule_name",
    "trial_id",
]
