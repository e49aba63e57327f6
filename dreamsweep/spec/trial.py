"""The trial: one picture to generate, and the id that it is known by.

A trial's id comes from the fields that decide its pixels, less every field that has its default. So a setting that is added
later leaves all ids alone while it has its default. And a default **never changes** once pictures were generated with it: the
ids of old trials would silently mean other pictures. A better value for new sweeps goes elsewhere, such as a field of another
name. Ids, defaults and the canonical text of one trial of each engine are golden (tests/dreamsweep/spec/golden_identity.json).
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, model_validator
from pydantic_core import to_jsonable_python

from dreamsweep.spec.base import GuideChoice, Precision, Spec, WeightsName
from dreamsweep.spec.concepts import Concept
from dreamsweep.spec.keeping import Judging
from dreamsweep.spec.prompts import Prompt
from dreamsweep.spec.registry import EngineSpec


class Trial(Spec):
    """One picture to generate, fully determined: the same trial has the same pixels wherever it runs."""

    model_config = ConfigDict(defer_build=True)  # other packages' engines are imported when the first trial is read

    prompt: Prompt
    engine: EngineSpec
    seed: NonNegativeInt
    guide: GuideChoice
    weights: WeightsName
    precision: Precision = "default"
    stopped_by: Judging | None = None
    """The judging that stops the trial early. Set only where the engine has `early_stop`, as a judge decides no pixels elsewhere."""

    concepts: tuple[Concept, ...] = ()
    """New words that the prompt uses, each with the hash of the pictures that it is learned from."""

    @model_validator(mode="after")
    def _stopped_by_a_judge_only_where_asked(self) -> "Trial":  # not Self, which beartype refuses outside a class decorator
        if (self.stopped_by is None) != (self.engine.patience is None):
            raise ValueError("stopped_by: a trial has it exactly where its engine has an early_stop")
        return self

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of the trial's identity as canonical JSON."""
        return trial_id(identity_parts({name: getattr(self, name) for name in type(self).model_fields}))

    @property
    def num_iter(self) -> int:
        """Iterations; always there in an expanded trial."""
        if self.engine.num_iter is None:
            raise ValueError("a trial's engine names its num_iter")
        return self.engine.num_iter


def identity(value: Any) -> Any:
    """Returns the plain value that a spec's identity is made of: its fields less those that are at their defaults or no part of it."""
    if isinstance(value, Spec):
        return {name: identity(getattr(value, name)) for name in type(value).model_fields if _counts(value, name)}
    return [identity(part) for part in value] if isinstance(value, tuple) else value


def identity_parts(fields: Mapping[str, Any]) -> dict[str, str]:
    """Returns the canonical JSON of those of a trial's fields that are part of its identity, by name."""
    defaults = Trial.model_fields
    return {name: canonical_json(identity(value)) for name, value in fields.items() if value != defaults[name].default}


def trial_id(parts: Mapping[str, str]) -> str:
    """Returns a trial's id from its identity's parts (see `identity_parts`), in any order."""
    text = ",".join(f'"{name}":{parts[name]}' for name in sorted(parts))
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """Returns the one spelling of a spec or plain value that hashes are made of: sorted keys, no spaces, ASCII."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else to_jsonable_python(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _counts(spec: Spec, name: str) -> bool:
    """Returns whether a field of this spec is part of its identity."""
    if name in spec.NOT_IDENTITY:
        return False
    return name in spec.ALWAYS_IDENTITY or getattr(spec, name) != type(spec).model_fields[name].default
