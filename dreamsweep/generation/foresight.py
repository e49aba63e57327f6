"""Text that a sweep's networks will not read, and weights that must be downloaded, found before its night."""

from itertools import islice
from typing import NamedTuple, cast, get_args

from dreamsweep.planning.expand import engines
from dreamsweep.planning.prompts import prompts
from dreamsweep.spec import PerceptorName, Sweep, guides_of

MOST_PROMPTS = 10_000
"""Prompts that are looked at, from the first."""
MOST_NOTES = 6


class Download(NamedTuple):
    """Published weights that are not in the cache."""

    name: str
    megabytes: float | None
    """Size of all its files; None where it is not known."""


def unread_texts(sweep: Sweep) -> list[str]:
    """Sentences about the text that the guides or the judge will not read: words that a starter never learned, ends that are cut off.

    Each once, and of many the first few with the number of the others. Loads no network, and imports no torch. Raises SweepFileError of the
    prompts, and WeightsError where a starter's file is missing or damaged.
    """
    from dreamsweep.perceptors import text_reader

    texts = dict.fromkeys(text for prompt in islice(prompts(sweep), MOST_PROMPTS) for text in prompt.texts.values())
    readers = [text_reader(name) for name in _perceptors(sweep)]
    notes = list(dict.fromkeys(note for text in texts for unread in readers for note in unread(text)))
    more = len(notes) - MOST_NOTES
    return notes if more <= 1 else [*notes[:MOST_NOTES], f"and {more:,} more texts are not read whole (column `warnings` of `trials`)"]


def downloads(sweep: Sweep) -> list[Download]:
    """Returns published weights of the sweep's guides, judge and engines that are not in the cache. Raises WeightsError as `registry`."""
    from dreamsweep.weights.fetch import missing_files
    from dreamsweep.weights.hashes import RECORDED_AS
    from dreamsweep.weights.registry import registry

    known = registry()
    drawn_with = (RECORDED_AS.get(name, name) for spec in engines(sweep) for name in spec.weight_names(sweep.weights))
    used = dict.fromkeys((*_perceptors(sweep), *drawn_with))
    return [Download(name, known[name].megabytes) for name in used if name in known and missing_files(known[name])]


def _perceptors(sweep: Sweep) -> list[PerceptorName]:
    """Returns the sweep's guides, and its judge if that is a perceptor, each once."""
    names = dict.fromkeys((*(guide.name for guide in guides_of(sweep.guide)), sweep.judge))
    return [cast(PerceptorName, name) for name in names if name in get_args(PerceptorName)]
