"""Texts as SigLIP 2 reads them (Tschannen et al., 2025, section 2.1), without its network. Imports no torch."""

import string
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from dreamsweep.errors import WeightsError

LENGTH = 64
"""Tokens of every text, its end and its padding included."""
PAD, END = 0, 1
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class GemmaTokens:
    """Gemma's byte-pair encoding of lower-case texts, without a start, with an end that stays where a text is cut, padded to 64 tokens.

    These are the steps of the authors' demo (google-research/big_vision, SigLIP2_demo.ipynb): `lower | tok(length=64, model="gemma",
    bos="no", eos="sticky")`. The published tokenizer_config.json names a tokenizer that changes no case, and whose padding and end
    depend on the version of transformers, so only the vocabulary is taken from the hub. `lower` changes ASCII letters alone, as
    TensorFlow does where no encoding is given.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - tokenizers raises no narrower class
            raise WeightsError(f"weights {path}: it is no tokenizer ({error}); delete it and fetch it again.") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def body(self, text: str) -> list[int]:
        """Returns all tokens of a text, without end and padding."""
        ids: list[int] = self._tokenizer.encode(text.translate(_LOWER), add_special_tokens=False).ids
        return ids

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of the texts, `n 64`."""
        tokens = np.full((len(texts), LENGTH), PAD, dtype=np.int64)
        for row, text in enumerate(texts):
            ids = [*self.body(text)[: LENGTH - 1], END]
            tokens[row, : len(ids)] = ids
        return tokens


@lru_cache(maxsize=2)
def gemma_tokens(path: Path) -> GemmaTokens:
    """Returns the reader of a `tokenizer.json`, kept: the published vocabulary has 256,000 entries."""
    return GemmaTokens(path)
