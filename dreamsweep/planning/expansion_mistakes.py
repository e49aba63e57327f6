"""Mistakes of a valid sweep that show only when it is expanded: all of them, each entry looked at by itself."""

from collections.abc import Iterator
from dataclasses import replace

from dreamsweep.planning.concepts import ConceptCheck
from dreamsweep.planning.document import Mistake
from dreamsweep.planning.expand import read_engine, without_to
from dreamsweep.planning.mistakes import MOST_SHOWN
from dreamsweep.planning.prompts import read_entry
from dreamsweep.spec import AnySpec, Sweep
from dreamsweep.text import counted


def expansion_mistakes(sweep: Sweep) -> list[Mistake]:
    """Returns what is wrong with the expansion of a sweep's engines and prompts, each mistake once; of many, more than are shown."""
    listed = dict[Mistake, None]()
    for mistake in _of_engines_and_prompts(sweep):
        listed[mistake] = None
        if len(listed) > MOST_SHOWN:
            break
    return list(listed)


def _of_engines_and_prompts(sweep: Sweep) -> Iterator[Mistake]:
    needs_to, specs, check = None, dict[int, AnySpec](), ConceptCheck(sweep)
    for number in range(len(sweep.engines)):
        for spec in read_engine(sweep, number):
            if isinstance(spec, Mistake):
                yield spec
                continue
            specs.setdefault(number, spec)
            if spec.takes_to == "required":
                needs_to = spec.engine
    first, without = None, 0
    for number, entry in enumerate(sweep.prompts):
        for where, prompt in read_entry(entry, number):
            if isinstance(prompt, Mistake):
                yield prompt
                continue
            yield from check.of_prompt(prompt, where, number)
            if needs_to and not prompt.to:
                first = first or Mistake(("prompts", number), without_to(prompt, needs_to), field=f"{where}: ")
                without += 1
    if first:
        more = f" ({counted(without - 1, 'more prompt')} without it)" if without > 1 else ""
        yield replace(first, sentence=first.sentence + more)
    yield from check.of_readers(specs)
