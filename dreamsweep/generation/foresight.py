"""What a sweep comes to, said before its night: counts, time, size, downloads, and text that its networks will not read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, cast, get_args

from dreamsweep.planning.concepts import learners, used_concepts
from dreamsweep.planning.estimate import estimate_seconds, seconds_to_learn
from dreamsweep.planning.expand import engines, plan
from dreamsweep.planning.prompts import prompts
from dreamsweep.results.remaining import remaining
from dreamsweep.spec import AnySpec, PerceptorName, Sweep, token_of, without_tokens
from dreamsweep.store import Store
from dreamsweep.text import counted, format_bytes, format_megabytes, format_seconds

MOST_PROMPTS = 10_000
"""Prompts that are looked at, from the first."""
MOST_NOTES = 6


class Download(NamedTuple):
    """Published weights that are not in the cache."""

    name: str
    megabytes: float | None
    """Size of all its files; None where it is not known."""


def forecast(sweep: Sweep, store: Store | None = None) -> list[tuple[str, str]]:
    """Returns what a sweep comes to, as names and values for people: trials, pictures, time, size, downloads.

    With a store also what it holds of the sweep already, and what would be made. Imports no torch. Raises SweepFileError of the prompts,
    StoreError, and WeightsError as `downloads`.
    """
    counts = plan(sweep)
    seconds = estimate_seconds(sweep, counts)
    time = "not known beforehand: published weights" if seconds is None else f"about {format_seconds(seconds)} on two CPU cores"
    rows = [
        ("trials", _listed(counts.trials_by_engine)),
        ("shards", f"{counts.shards:,}"),
        ("iterations", _listed(counts.iterations_by_engine)),
        ("pictures", f"{counts.pictures:,}"),
        ("time", time),
        ("size", f"about {format_bytes(counts.bytes)}"),
    ]
    if judges := sweep.further_judges:
        names = ", ".join(judge.name for judge in judges)
        rows.append(("judges", f"{names}: {counted(counts.trials * len(judges), 'score')} of best pictures"))
    if concepts := used_concepts(sweep):
        rows.append(("concepts", _lessons(sweep, sorted(concepts))))
    if missing := downloads(sweep):
        rows.append(("downloads", ", ".join(f"{name} {format_megabytes(megabytes)}" for name, megabytes in missing)))
    if sweep.keep_states and (without := _without_states(engines(sweep))):
        rows.append(("states", f"not kept of {', '.join(without)}: with more iterations they start over"))
    return rows if store is None else [*rows, *_left_in(store, sweep)]


def _lessons(sweep: Sweep, concepts: Sequence[str]) -> str:
    """Returns which words are learned by which perceptors, and how long that takes."""
    words = ", ".join(f"{token_of(name)} from {counted(sweep.concepts[name].pictures, 'picture')}" for name in concepts)
    seconds = seconds_to_learn(sweep, len(concepts))
    time = "how long is not known beforehand" if seconds is None else f"about {format_seconds(seconds)} on one CPU core"
    return f"{words}, learned by {' and '.join(learners(sweep))} before the first shard, {time}"


def _left_in(store: Store, sweep: Sweep) -> Iterator[tuple[str, str]]:
    """Yields what a store holds of a sweep, and what it lacks."""
    left = remaining(store, sweep)
    yield "done already", _listed(left.done)
    yield "to be made", _listed(left.missing)
    if left.unscored:
        yield "to be scored", f"{counted(left.unscored, 'score')} of best pictures that are there already"
    for iteration, trials in sorted(left.continued.items()):
        yield "continued", f"{counted(trials, 'trial')} from iteration {iteration:,}, where the kept state fits"
    if left.others:
        others = f"{counted(left.others, 'other trial')} {'is' if left.others == 1 else 'are'} published"
        yield "same name", f"{others}: `run` refuses, unless with --add or --replace"


def _without_states(specs: Iterable[AnySpec]) -> list[str]:
    """Returns the engines whose trials cannot continue; `some strokes` where only some of an engine's settings prevent it."""
    can_continue: dict[str, set[bool]] = {}
    for spec in specs:
        can_continue.setdefault(spec.engine, set()).add(spec.can_continue)
    return [f"some {name}" if True in answers else name for name, answers in can_continue.items() if False in answers]


def _listed(counts: Mapping[str, int]) -> str:
    """Returns `12 (dalle 6, strokes 6)`; the sum alone where there is nothing."""
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{sum(counts.values()):,}" + (f" ({parts})" if parts else "")


def unread_texts(sweep: Sweep) -> list[str]:
    """Sentences about the text that the guides or the judge will not read: words that a starter never learned, ends that are cut off.

    Each once, and of many the first few with the number of the others. Loads no network, and imports no torch. Raises SweepFileError of the
    prompts, and WeightsError where a starter's file is missing or damaged.
    """
    from dreamsweep.perceptors import text_reader

    texts = dict.fromkeys(text for prompt in islice(prompts(sweep), MOST_PROMPTS) for text in prompt.texts.values())
    texts = dict.fromkeys(without_tokens(text, sweep.concepts) for text in texts)
    readers = [text_reader(name) for name in _perceptors(sweep)]
    notes = list(dict.fromkeys(note for text in texts for unread in readers for note in unread(text)))
    more = len(notes) - MOST_NOTES
    return notes if more <= 1 else [*notes[:MOST_NOTES], f"and {more:,} more texts are not read whole (column `warnings` of `trials`)"]


def downloads(sweep: Sweep) -> list[Download]:
    """Returns published weights of the sweep's guides, judges and engines that are not in the cache. Raises WeightsError as `registry`."""
    from dreamsweep.weights.fetch import missing_files
    from dreamsweep.weights.hashes import RECORDED_AS
    from dreamsweep.weights.registry import registry

    known = registry()
    drawn_with = (RECORDED_AS.get(name, name) for spec in engines(sweep) for name in spec.weight_names(sweep.weights))
    scored_by = (name for judge in sweep.further_judges for name in judge.weight_names)
    used = dict.fromkeys((*_perceptors(sweep), *scored_by, *drawn_with))
    return [Download(name, known[name].megabytes) for name in used if name in known and missing_files(known[name])]


def _perceptors(sweep: Sweep) -> list[PerceptorName]:
    """Returns the sweep's guides, and its judge if that is a perceptor, each once."""
    return [cast(PerceptorName, name) for name in sweep.perceptors if name in get_args(PerceptorName)]
