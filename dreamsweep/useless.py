"""Settings that a sweep names and that would do nothing: it is told so, where an engine could only leave them aside in silence."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from dreamsweep.errors import SweepFileError
from dreamsweep.spec import AnySpec, BigSleepSpec, DalleSpec, GuidedDiffusionSpec, GuidedSpec, StrokesSpec, UnclipSpec, WeightsName


@dataclass(frozen=True)
class _Rule:
    """When a setting of some engines is of use, and what it needs for that."""

    engine: type[AnySpec]
    setting: str
    has_use: Callable[[Any, WeightsName], bool]
    needs: str
    in_each: bool = False
    """Of use to all of the values that a grid multiplies out to, or to some of them at least."""


RULES = (
    _Rule(GuidedSpec, "rate_end", lambda spec, _: spec.rate_end is not None, "'rate_schedule' linear, cosine or exponential"),
    _Rule(GuidedSpec, "rate_until", lambda spec, _: spec.rate_until is not None, "'rate_schedule' linear, cosine or exponential"),
    _Rule(GuidedSpec, "rate_drops", lambda spec, _: spec.rate_drops is not None, "'rate_schedule: steps'"),
    _Rule(StrokesSpec, "scheduled", lambda spec, _: spec.rate_schedule != "constant", "a 'rate_schedule' other than constant"),
    _Rule(DalleSpec, "start", lambda spec, _: spec.init_image is None, "no 'init_image', which it starts from instead"),
    _Rule(
        DalleSpec,
        "start",
        lambda spec, weights: weights == "starter" or spec.start == "noise",
        "'weights: starter', which know usual pictures; with published ones, write 'start: noise'",
        in_each=True,
    ),
    _Rule(
        DalleSpec,
        "code_prior",
        lambda spec, weights: weights == "starter" or not spec.code_prior,
        "'weights: starter', which know how frequent a code is; with published ones, leave it out",
        in_each=True,
    ),
    _Rule(BigSleepSpec, "class_temperature", lambda spec, _: spec.max_classes is not None, "'max_classes'"),
    _Rule(UnclipSpec, "components", lambda spec, _: spec.init_image is not None, "an 'init_image', whose embedding's components they are"),
    _Rule(
        UnclipSpec,
        "prior",
        lambda spec, _: spec.init_image is None and spec.conditioning == "prior",
        "'conditioning: prior' and no 'init_image'",
    ),
    _Rule(GuidedDiffusionSpec, "init_strength", lambda spec, _: spec.init_image is not None, "an 'init_image'"),
)


def check_settings(where: str, engine: type[AnySpec], asked: Collection[str], specs: Iterable[Any], weights: WeightsName) -> None:
    """Raises SweepFileError where a setting that an entry asks for does nothing in the specs of its engine that it stands for."""
    rules = [rule for rule in RULES if rule.setting in asked and issubclass(engine, rule.engine)]
    if not rules:
        return
    for rule, of_use in zip(rules, zip(*([rule.has_use(spec, weights) for rule in rules] for spec in specs), strict=True), strict=True):
        if not (all(of_use) if rule.in_each else any(of_use)):
            raise SweepFileError(f"{where}: '{rule.setting}' would do nothing here; it needs {rule.needs}.")


def known_to(engine: type[AnySpec], weights: WeightsName) -> dict[str, Any]:
    """Settings of an engine that stand in for its defaults with weights that know less than the starter ones."""
    return {"start": "noise", "code_prior": 0.0} if engine is DalleSpec and weights == "published" else {}
