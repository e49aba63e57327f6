"""Mistakes of a valid sweep that show only when it is expanded: all of them, each entry looked at by itself."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dreamsweep.planning.concepts import ConceptCheck
from dreamsweep.planning.document import Mistake
from dreamsweep.planning.expand import read_engine, without_to
from dreamsweep.planning.mistakes import MOST_SHOWN
from dreamsweep.planning.prompts import read_entry
from dreamsweep.spec import ITS_PROMPTS, AnySpec, Sweep
from dreamsweep.text import counted, did_you_mean, quoted


def expansion_mistakes(sweep: Sweep) -> list[Mistake]:
    """Returns what is wrong with the expansion of a sweep's engines and prompts, each mistake once; of many, more than are shown."""
    listed = dict[Mistake, None]()
    for mistake in _of_engines_and_prompts(sweep):
        listed[mistake] = None
        if len(listed) > MOST_SHOWN:
            break
    return list(listed)


def _of_engines_and_prompts(sweep: Sweep) -> Iterator[Mistake]:
    specs, check, texts = dict[int, AnySpec](), ConceptCheck(sweep), set[str]()
    grids: tuple[Any, ...] = sweep.engines  # models made at run time, one an engine
    needing = dict[str, tuple[str, ...] | None]()
    for number in range(len(sweep.engines)):
        for spec in read_engine(sweep, number):
            if isinstance(spec, Mistake):
                yield spec
                continue
            specs.setdefault(number, spec)
            if spec.takes_to == "required":
                needing[spec.engine] = grids[number].prompts
    first, without = None, 0
    for number, entry in enumerate(sweep.prompts):
        for where, prompt in read_entry(entry, number):
            if isinstance(prompt, Mistake):
                yield prompt
                continue
            texts.add(prompt.text)
            yield from check.of_prompt(prompt, where, number)
            needs_to = next((engine for engine, own in needing.items() if own is None or prompt.text in own), None)
            if needs_to and not prompt.to:
                first = first or Mistake(("prompts", number), without_to(prompt, needs_to), field=f"{where}: ")
                without += 1
    if first:
        more = f" ({counted(without - 1, 'more prompt')} without it)" if without > 1 else ""
        yield replace(first, sentence=first.sentence + more)
    yield from _of_own_prompts(sweep, texts)
    yield from check.of_readers(specs)


def _of_own_prompts(sweep: Sweep, texts: set[str]) -> Iterator[Mistake]:
    """Returns the texts of engines' entries that are no prompt of the sweep."""
    grids: tuple[Any, ...] = sweep.engines
    for number, grid in enumerate(grids):
        for place, text in enumerate(grid.prompts or ()):
            if text not in texts:
                path = ("engines", number, ITS_PROMPTS, place)
                yield Mistake(path, f"{quoted(text)} is no prompt of the sweep{did_you_mean(text, texts)}")
