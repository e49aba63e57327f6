"""Checks that reject settings without effect, which an engine would ignore silently."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from dreamsweep.planning.document import Mistake, Path
from dreamsweep.spec import AnySpec, WeightsName


def settings_without_effect(
    path: Path, engine: type[AnySpec], named: Collection[str], specs: Iterable[Any], weights: WeightsName
) -> Iterator[Mistake]:
    """Returns each named setting that has no effect in the specs that an engine's entry, at a path, expands to."""
    rules = [rule for rule in engine.setting_rules if rule.setting in named]
    effects = [[rule.has_effect(spec, weights) for rule in rules] for spec in specs] if rules else []
    for rule, *has_effect in zip(rules, *effects, strict=True) if effects else ():
        if not (all(has_effect) if rule.in_each else any(has_effect)):
            yield Mistake((*path, rule.setting), f"has no effect here: {rule.cure}")


def default_settings(engine: type[AnySpec], weights: WeightsName) -> dict[str, Any]:
    """Returns the values that replace an engine's defaults with these weights."""
    return dict(engine.published_defaults) if weights == "published" else {}
