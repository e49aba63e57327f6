"""How far reviewers agree on the pictures that all of them picked or rejected, beyond what chance would give.

Cohen's kappa for two (Educational and Psychological Measurement, 1960), Fleiss' for more (Psychological Bulletin, 1971).
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Agreement of reviewers."""

    reviewers: list[str]
    pictures: int
    """Number of pictures that all of them marked."""
    kappa: float | None
    """1 if they always agree, 0 if as often as by chance; None where that says nothing: no common picture, or one verdict for all."""
    method: str
    """`Cohen` or `Fleiss`."""


def agreement(verdicts: Mapping[str, Mapping[str, Hashable]]) -> Agreement | None:
    """Returns the agreement of reviewers, each with verdicts by trial; None where they are fewer than two."""
    if len(verdicts) < 2:
        return None
    names = sorted(verdicts)
    common = sorted(set.intersection(*(set(verdicts[name]) for name in names)))
    columns = [[verdicts[name][trial] for trial in common] for name in names]
    two = len(names) == 2
    kappa = cohen(*columns) if two else fleiss([Counter(column[at] for column in columns) for at in range(len(common))])
    return Agreement(names, len(common), kappa, "Cohen" if two else "Fleiss")


def cohen(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Returns Cohen's kappa of two raters' verdicts on the same subjects; None where chance alone explains everything."""
    if not first:
        return None
    counts, others, number = Counter(first), Counter(second), len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / number
    return _beyond_chance(observed, sum(counts[verdict] * others[verdict] for verdict in counts) / number**2)


def fleiss(subjects: Sequence[Mapping[Hashable, int]]) -> float | None:
    """Returns Fleiss' kappa of the numbers of raters by verdict, for each subject; every subject has as many raters."""
    if not subjects:
        return None
    raters = sum(subjects[0].values())
    observed = sum((sum(n * n for n in row.values()) - raters) / (raters * (raters - 1)) for row in subjects) / len(subjects)
    totals = Counter[Hashable]()
    for row in subjects:
        totals.update(row)
    return _beyond_chance(observed, sum((total / (len(subjects) * raters)) ** 2 for total in totals.values()))


def _beyond_chance(observed: float, expected: float) -> float | None:
    return (observed - expected) / (1 - expected) if expected < 1 else None
