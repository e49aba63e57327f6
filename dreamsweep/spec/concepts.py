"""Concepts: new words of a sweep, each learned from a folder of pictures (textual inversion: Gal et al., 2022, arXiv:2208.01618).

`concepts: {moomin: pictures/moomin}` in a sweep file gives its prompts the token `<moomin>`. A trial names the concepts that its prompt
uses by the pictures' hash, not by their folder.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import NonNegativeInt, PositiveInt, StringConstraints

from dreamsweep.spec.base import PerceptorName, Spec, short_for

CONCEPT_RECIPE = 1
"""Version of the recipe by which words are learned (`dreamsweep/perceptors/inversion.py`). Another recipe draws other pictures."""
NO_LEARNERS: frozenset[PerceptorName] = frozenset({"siglip2-base", "siglip2-large"})
"""Perceptors that cannot be given a new word: their tokens are pieces of sentences, which are spelled otherwise beside a gap."""
CONCEPT_NAME = r"^[a-z][a-z0-9_-]{0,39}$"
ConceptName = Annotated[str, StringConstraints(pattern=CONCEPT_NAME)]
TOKEN = re.compile(r"<([a-z][a-z0-9_-]{0,39})>", re.IGNORECASE)
"""Token of a concept in a prompt: its name in angle brackets, in capitals or small letters."""


class ConceptFolder(Spec):
    """A folder of pictures, PNG, JPEG or WebP, that all show what a new word means."""

    folder: str
    """A path, relative to the sweep file."""
    sha256: str = ""
    """Hash of the pictures, whatever their names and their order; filled in when the sweep file is read."""
    pictures: NonNegativeInt = 0
    """Number of different pictures; filled in when the sweep file is read."""

    _plain_folder = short_for("folder")


class Concept(Spec):
    """A new word of a trial's prompt, and the pictures that it is learned from, by their content."""

    ALWAYS_IDENTITY: ClassVar[frozenset[str]] = frozenset({"name", "sha256", "recipe"})
    name: ConceptName
    sha256: str
    """Hash of the pictures."""
    recipe: PositiveInt
    """Version of the recipe by which it is learned."""

    @property
    def token(self) -> str:
        """Spelling of the word in a prompt."""
        return token_of(self.name)

    def address(self, perceptor_sha256: str) -> str:
        """Returns sixteen hexadecimal digits that stand for what a perceptor learns of it: by pictures, weights and recipe."""
        return hashlib.sha256(f"{self.sha256}:{perceptor_sha256}:{self.recipe}".encode()).hexdigest()[:16]


def token_of(name: str) -> str:
    """Returns the spelling of a concept in a prompt."""
    return f"<{name}>"


def concepts_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of all tokens in some texts, in small letters, in their order, each once."""
    return tuple(dict.fromkeys(name.lower() for text in texts for name in TOKEN.findall(text)))


def without_tokens(text: str, names: Iterable[str]) -> str:
    """Returns a text with the plain word `it` for each token of these concepts: what is left of it to be read by a vocabulary."""
    known = frozenset(names)
    return TOKEN.sub(lambda match: "it" if match[1].lower() in known else match[0], text) if known else text
