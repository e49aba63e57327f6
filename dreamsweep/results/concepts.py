"""Learned words of a sweep: one small object in the store for each word and perceptor, which every worker reads.

Its key says what it was learned from (`Concept.address`), and its header holds the SHA-256 of its vector. Imports no torch.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dreamsweep.errors import StoreError
from dreamsweep.spec import Concept
from dreamsweep.store import Store, keys

HEADER = "word"
"""Name of the one entry of the header, a JSON object: safetensors writes several in any order, and the same word has the same bytes."""


@dataclass(frozen=True)
class LearnedWord:
    """What a perceptor has learned for a word."""

    vector: NDArray[np.float32]
    """Vector of the word, in place of that of a token, `w`."""
    sha256: str
    """SHA-256 of the vector's bytes."""


def write_word(store: Store, sweep: str, concept: Concept, perceptor: str, weights: str, vector: NDArray[np.float32]) -> LearnedWord:
    """Writes a word that a perceptor, with weights of that SHA-256, has learned."""
    word = LearnedWord(vector, _sha256(vector))
    header = {
        "concept": concept.name,
        "pictures": concept.sha256,
        "recipe": concept.recipe,
        "perceptor": perceptor,
        "weights": weights,
        "sha256": word.sha256,
    }
    store.write(keys.concept(sweep, concept.address(weights)), save({"vector": np.ascontiguousarray(vector)}, {HEADER: json.dumps(header)}))
    return word


def is_learned(store: Store, sweep: str, concept: Concept, weights: str) -> bool:
    """Returns whether a perceptor with weights of that SHA-256 has learned the word in this sweep."""
    return store.exists(keys.concept(sweep, concept.address(weights)))


def read_word(store: Store, sweep: str, concept: Concept, perceptor: str, weights: str) -> LearnedWord:
    """Reads a word that a perceptor has learned. Raises StoreError where it has not, or the object is damaged."""
    key = keys.concept(sweep, concept.address(weights))
    data = store.get(key)
    if data is None:
        where = store.uri_of(key)
        raise StoreError(f"concept {concept.token}: {perceptor} has not learned it ({where}); run the sweep again, which learns it first.")
    try:
        vector = load(data)["vector"]
        if vector.ndim == 1 and vector.dtype == np.float32 and _header_sha256(data) == (sha256 := _sha256(vector)):
            return LearnedWord(vector, sha256)
    except (SafetensorError, KeyError, ValueError, TypeError):
        pass
    raise StoreError(f"concept {concept.token}: {store.uri_of(key)} is damaged; delete it and run the sweep again to learn it anew.")


def _header_sha256(data: bytes) -> str:
    length = int.from_bytes(data[:8], "little")
    return str(json.loads(json.loads(data[8 : 8 + length])["__metadata__"][HEADER])["sha256"])


def _sha256(vector: NDArray[np.float32]) -> str:
    return hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()
