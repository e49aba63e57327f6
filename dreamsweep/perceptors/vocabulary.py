"""A small vocabulary over CLIP's byte-pair encoding: only the tokens that a starter perceptor was trained on."""

import html
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamsweep.torchvision_ops import declare_missing_ops

if TYPE_CHECKING:
    from clip.simple_tokenizer import SimpleTokenizer

START, END = 49406, 49407
"""CLIP's start and end of text; `encode_text` finds the end by argmax, so it must stay the largest id."""
UNKNOWN = 0
"""The row that stands for any token outside the vocabulary."""


@cache
def bpe() -> "SimpleTokenizer":
    """CLIP's tokenizer, made once (reading its merges takes a tenth of a second)."""
    declare_missing_ops()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from clip.simple_tokenizer import SimpleTokenizer

        return SimpleTokenizer()


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
        """The vocabulary that spells exactly these texts."""
        used = {token for text in texts for token in bpe().encode(text)}
        return cls(np.array(sorted(used | {START, END}), dtype=np.int64), context)

    def __len__(self) -> int:
        return len(self.kept) + 1

    def rows(self, text: str) -> list[int]:
        """The embedding rows of one text, start and end included, cut to the context."""
        row = self._row
        body = [row.get(token, UNKNOWN) for token in bpe().encode(text)][: self.context - 2]
        return [row[START], *body, row[END]]

    def tokenize(self, texts: list[str]) -> Tensor:
        """Embedding rows of the texts, int64 `n context`, padded with zeros after the end."""
        tokens = torch.zeros(len(texts), self.context, dtype=torch.int64)
        for i, text in enumerate(texts):
            rows = self.rows(text)
            tokens[i, : len(rows)] = torch.tensor(rows)
        return tokens

    def is_cut(self, text: str) -> bool:
        """Whether the text is longer than the context holds."""
        return len(bpe().encode(text)) > self.context - 2

    def unknown_words(self, text: str) -> list[str]:
        """The words of the text that the vocabulary cannot spell, in order."""
        words = html.unescape(text).lower().split()
        return [word for word in words if any(token not in self._row for token in bpe().encode(word))]
