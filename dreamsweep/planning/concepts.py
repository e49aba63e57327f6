"""Concepts of a sweep: the pictures that they are learned from, who learns them, and what is wrong with either."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from dreamsweep.planning.document import Mistake
from dreamsweep.planning.pictures import decode_picture
from dreamsweep.planning.prompts import prompts
from dreamsweep.planning.words import nearest
from dreamsweep.spec import (
    CONCEPT_RECIPE,
    NO_LEARNERS,
    PERCEPTORS,
    AnySpec,
    Concept,
    ConceptFolder,
    PerceptorName,
    Prompt,
    Sweep,
    concepts_in,
    guides_of,
    parse_judge_name,
    token_of,
)
from dreamsweep.text import quoted

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Ends of the names of a folder's pictures; other files are passed over."""
MOST_PICTURES = 100
"""Pictures of a concept at most; three to twenty are enough."""


def concept_pictures(folder: Path) -> dict[str, bytes]:
    """Returns the files of a folder's pictures by their SHA-256, in the order of these: the same whatever the files' names are.

    Raises ValueError where there is no such folder, it holds no pictures or too many, or a picture cannot be read: its text continues a
    sentence that begins with the field.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise ValueError(f"{str(folder)!r} cannot be read ({error.strerror}); name a folder of pictures") from None
    kinds = ", ".join(SUFFIXES)
    if not paths:
        raise ValueError(f"folder {str(folder)!r} holds no pictures ({kinds}); put in some that show what the word means")
    if len(paths) > MOST_PICTURES:
        raise ValueError(f"folder {str(folder)!r} holds {len(paths):,} pictures; at most {MOST_PICTURES} are read, and 3 to 20 are enough")
    pictures: dict[str, bytes] = {}
    for path in paths:
        try:
            data = path.read_bytes()
            decode_picture(data)
        except OSError as error:
            raise ValueError(f"{str(path)!r} cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise ValueError(f"{str(path)!r} {error}") from None
        pictures[hashlib.sha256(data).hexdigest()] = data
    return dict(sorted(pictures.items()))


def pictures_sha256(pictures: Collection[str]) -> str:
    """Returns the hash of a concept's pictures, given theirs, in any order."""
    return hashlib.sha256("\n".join(sorted(pictures)).encode()).hexdigest()


def read_concepts(concepts: Mapping[str, ConceptFolder], folder: Path) -> tuple[dict[str, ConceptFolder], list[Mistake]]:
    """Returns a sweep's concepts with absolute folders and the hashes of their pictures, and what is wrong with those left as they are."""
    read, mistakes = dict[str, ConceptFolder](), list[Mistake]()
    for name, concept in concepts.items():
        path = folder / concept.folder
        try:
            pictures = concept_pictures(path)
        except ValueError as error:  # of a path with a NUL as well
            mistakes.append(Mistake(("concepts", name), str(error)))
            read[name] = concept
            continue
        read[name] = ConceptFolder(folder=str(path), sha256=pictures_sha256(pictures), pictures=len(pictures))
    return read, mistakes


def concepts_of(prompt: Prompt, sweep: Sweep) -> tuple[Concept, ...]:
    """Returns the concepts that a prompt uses, in the order of their names."""
    if not sweep.concepts:
        return ()
    used = sorted(sweep.concepts.keys() & {*concepts_in(prompt.texts.values())})
    return tuple(Concept(name=name, sha256=sweep.concepts[name].sha256, recipe=CONCEPT_RECIPE) for name in used)


def used_concepts(sweep: Sweep) -> set[str]:
    """Returns the names of the concepts that some prompt of a sweep uses. Raises SweepFileError as `prompts`."""
    used = (name for prompt in prompts(sweep) for name in concepts_in(prompt.texts.values())) if sweep.concepts else ()
    return sweep.concepts.keys() & {*used}


def learners(sweep: Sweep) -> list[PerceptorName]:
    """Returns the perceptors that read a sweep's prompts and can learn a word, each once: guides, judge, further judges by similarity."""
    parts = [parse_judge_name(judge.name) for judge in sweep.further_judges]
    further = (judge.perceptor for judge in parts if judge.kind in ("similarity", "views"))
    names = dict.fromkeys((*sweep.perceptors, *further))
    return [cast(PerceptorName, name) for name in names if name in PERCEPTORS - NO_LEARNERS]


@dataclass
class ConceptCheck:
    """Finder of mistakes in a sweep's use of its concepts, prompt by prompt."""

    sweep: Sweep
    used: dict[str, None] = field(default_factory=dict)
    """Names of the concepts that the prompts have used so far."""

    def of_prompt(self, prompt: Prompt, where: str, number: int) -> Iterator[Mistake]:
        """Yields a mistake for each token of a prompt that is no concept of the sweep; in a sweep without any, it is plain text."""
        for name in concepts_in(prompt.texts.values()) if self.sweep.concepts else ():
            if name in self.sweep.concepts:
                self.used[name] = None
                continue
            near = nearest(name, self.sweep.concepts)
            known = ", ".join(map(token_of, self.sweep.concepts))
            guess = f"did you mean {token_of(near)}?" if near else f"the sweep has {known}; add it to 'concepts:', or take the brackets out"
            yield Mistake(("prompts", number), f"{quoted(token_of(name))} is no concept of this sweep; {guess}", field=f"{where}: ")

    def of_readers(self, specs: Mapping[int, AnySpec]) -> Iterator[Mistake]:
        """Yields a mistake for each engine, guide or judge that reads the prompts and cannot learn; `specs` by number of their entry."""
        if not self.used:
            return
        token = token_of(next(iter(self.used)))
        for number, spec in specs.items():
            if not spec.knows_concepts:
                reason = f"{spec.engine} reads prompts by a text encoder of its own, which cannot learn {token}"
                yield Mistake(("engines", number), f"{reason}; give it a sweep of its own, without concepts")
        guides = dict.fromkeys(part.name for guide in self.sweep.each_guide for part in guides_of(guide))
        for name in filter(NO_LEARNERS.__contains__, guides):
            field = "guides" if self.sweep.guides else "guide"
            yield Mistake((field,), f"{name} cannot learn {token}; use a CLIP, such as starter-guide or ViT-B/32")
        if self.sweep.judge in NO_LEARNERS:
            yield Mistake(("judge",), f"{self.sweep.judge} cannot learn {token}; use a CLIP, such as starter-judge or ViT-B/32")
