"""A small vocabulary over CLIP's byte-pair encoding: only the tokens that a starter perceptor was trained on. Imports no torch."""

import html
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dreamsweep.perceptors.alphabets import alphabet_warnings, in_another_alphabet
from dreamsweep.text import quoted, quoted_list
from dreamsweep.weights.starter import read_array

if TYPE_CHECKING:
    from clip.simple_tokenizer import SimpleTokenizer

CONTEXT = 77
"""Tokens that a published CLIP reads of a text, its start and end included."""
START, END = 49406, 49407
"""CLIP's start and end of text; `encode_text` finds the end by argmax, so it must stay the largest id."""
UNKNOWN = 0
"""The row that stands for any token outside the vocabulary."""


@cache
def bpe() -> "SimpleTokenizer":
    """CLIP's tokenizer, made once (reading its merges takes a tenth of a second).

    Its module is run by itself, as the package `clip` around it imports torch.
    """
    package = find_spec("clip")
    assert package, "clip-anytorch is a dependency"
    path = Path(package.origin or "").with_name("simple_tokenizer.py")
    module = ModuleType("clip.simple_tokenizer")
    module.__file__ = str(path)  # beside which it looks for its merges
    SourceFileLoader(module.__name__, module.__file__).exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file of its merges open
        tokenizer: SimpleTokenizer = module.SimpleTokenizer()
    return tokenizer


@lru_cache(maxsize=4096)
def token_ids(text: str) -> tuple[int, ...]:
    """Returns CLIP's tokens of one text. They are cached, as the guides of every shard read the same thousand names."""
    return tuple(bpe().encode(text))


def unread_parts(name: str, text: str, context: int) -> list[str]:
    """Returns a sentence, or none, about the part of a text that a perceptor with this context does not read."""
    tokens = token_ids(text)
    if END in tokens[: min(context - 2, len(tokens) - 1)]:  # `encode_text` takes the first end that it finds
        return [f"{name} reads {quoted(text)} up to its first '<|endoftext|>' and no more"]
    if len(tokens) > context - 2:
        return [f"{name} reads the first {context - 2} tokens of {quoted(text)} and no more"]
    return []


def text_reader(name: str, vocabulary: "Vocabulary") -> Callable[[str], list[str]]:
    """Returns a function that says which words of a text, and which part of it, a perceptor with this vocabulary does not read."""

    def unread(text: str) -> list[str]:
        parts = [*alphabet_warnings(name, text), *unread_parts(name, text, vocabulary.context)]
        if unknown := [word for word in vocabulary.unknown_words(text) if not in_another_alphabet(word)]:
            return [f"{name} never learned {quoted_list(unknown, 'other word')} and passes over {'them' if unknown[1:] else 'it'}", *parts]
        return parts

    return unread


@dataclass(frozen=True)
class Vocabulary:
    """The kept ids of CLIP's byte-pair encoding, ascending; row r of the token embedding is `kept[r - 1]`, row 0 the unknown."""

    kept: NDArray[np.int64]
    context: int
    _row: dict[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {int(token): row for row, token in enumerate(self.kept, start=1)})

    @classmethod
    def of(cls, texts: list[str], context: int) -> "Vocabulary":
        """Returns the vocabulary that spells exactly these texts."""
        used = {token for text in texts for token in token_ids(text)}
        return cls(np.array(sorted(used | {START, END}), dtype=np.int64), context)

    def __len__(self) -> int:
        return len(self.kept) + 1

    def rows(self, text: str) -> list[int]:
        """Returns the embedding rows of one text, start and end included, cut to the context."""
        return [self._row[START], *self.body(text)[: self.context - 2], self._row[END]]

    def body(self, text: str) -> list[int]:
        """Returns the embedding rows of one text, without start and end."""
        return [self._row.get(token, UNKNOWN) for token in token_ids(text)]

    def tokenize(self, texts: list[str]) -> NDArray[np.int64]:
        """Returns embedding rows of the texts, `n context`, padded with zeros after the end."""
        tokens = np.zeros((len(texts), self.context), dtype=np.int64)
        for i, text in enumerate(texts):
            rows = self.rows(text)
            tokens[i, : len(rows)] = rows
        return tokens

    def unknown_words(self, text: str) -> list[str]:
        """Returns the words of the text that the vocabulary cannot spell, in order, each once."""
        words = dict.fromkeys(html.unescape(text).lower().split())
        return [word for word in words if any(token not in self._row for token in token_ids(word))]


def read_vocabulary(name: str) -> Vocabulary:
    """Reads the vocabulary of a starter perceptor, whose network is not built. Raises WeightsError when its file is missing or damaged."""
    kept, metadata = read_array(name, "vocabulary")
    return Vocabulary(kept.astype(np.int64), json.loads(metadata["shape"])["context"])
