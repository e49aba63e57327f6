"""The trial: one picture to make, and what it is known by."""

import hashlib
import json
from functools import cached_property
from typing import Any

from pydantic import BaseModel, NonNegativeInt, PositiveInt
from pydantic_core import to_jsonable_python

from dreamsweep.spec.base import FilmFormat, GuideChoice, PerceptorName, Precision, Spec, WeightsName
from dreamsweep.spec.engines import IMAGE_FIELDS, EngineSpec
from dreamsweep.spec.prompts import Prompt


class Trial(Spec):
    """One picture to make, fully determined: the same trial gives the same pixels wherever it runs."""

    prompt: Prompt
    engine: EngineSpec
    seed: NonNegativeInt
    guide: GuideChoice
    judge: PerceptorName
    weights: WeightsName
    snapshot_every: NonNegativeInt
    judge_every: PositiveInt
    films: tuple[FilmFormat, ...] = ("webp",)
    precision: Precision = "default"

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of the spec's canonical JSON."""
        return trial_id(*(canonical_json(getattr(self, name)) for name in _TRIAL_FIELDS))

    @property
    def num_iter(self) -> int:
        """Iterations; always there in an expanded trial."""
        if self.engine.num_iter is None:
            raise ValueError("a trial's engine names its num_iter")
        return self.engine.num_iter


_TRIAL_FIELDS = tuple(Trial.model_fields)


def canonical_json(value: Any) -> str:
    """The one spelling of a spec or plain value that identities are made of: sorted keys, no spaces, ASCII."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else to_jsonable_python(value)
    for name in IMAGE_FIELDS:
        if isinstance(plain, dict) and isinstance(plain.get(name), dict):
            plain[name] = plain[name]["sha256"]
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def trial_id(*fields: str) -> str:
    """A trial's id from the canonical JSON of each of its fields, in the order of `Trial`."""
    text = ",".join(f'"{name}":{value}' for name, value in zip(_TRIAL_FIELDS, fields, strict=True))
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()[:16]
