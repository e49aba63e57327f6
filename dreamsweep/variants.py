"""What tells the trials of one sweep apart, beside their prompts: the engine, its settings, the seed."""

from collections.abc import Iterable, Mapping
from typing import Any

from dreamsweep.spec import ENGINES
from dreamsweep.tables import engine_column

Variant = tuple[str, str, int]
"""Engine, its settings as text, seed."""
COLUMNS = ("engine", *map(engine_column, ENGINES), "seed")
"""Of the table of trials: all that a variant is made of."""
Row = Mapping[str, Any]


def variant_of(row: Row) -> Variant:
    """Which variant a row of the table of trials is."""
    return row["engine"], " ".join(f"{name}={value}" for name, value in sorted(settings_of(row).items())), row["seed"]


def settings_of(row: Row) -> dict[str, str]:
    """The settings of a row's engine by name, as text."""
    return {name: _plain(value) for name, value in (row[engine_column(row["engine"])] or {}).items()}


def labels(rows: Iterable[Row]) -> dict[Variant, str]:
    """What to call each variant among these rows: the engine, and only those settings in which they differ."""
    found = {variant_of(row): settings_of(row) for row in rows}
    seeds = {seed for _, _, seed in found}
    values: dict[tuple[str, str], set[str]] = {}
    for (engine, _, _), settings in found.items():
        for name, value in settings.items():
            values.setdefault((engine, name), set()).add(value)
    told = {}
    for (engine, text, seed), settings in found.items():
        differing = [(name, value) for name, value in settings.items() if len(values[engine, name]) > 1]
        words = [value if name == "optimizer" else f"{name} {value}" for name, value in differing]
        told[engine, text, seed] = " · ".join([engine, *words, *([f"seed {seed}"] if len(seeds) > 1 else [])])
    return told


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(_plain(inner) for inner in value.values() if inner is not None)
    return f"{value:g}" if isinstance(value, float) else str(value)
