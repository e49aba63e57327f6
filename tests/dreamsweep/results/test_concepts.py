"""Learned words in a store: read as they were written, or refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from dreamsweep.errors import StoreError
from dreamsweep.results.concepts import is_learned, read_word, write_word
from dreamsweep.spec import Concept
from dreamsweep.store import Store, keys, open_store

ZIBBLE = Concept(name="zibble", sha256="ab" * 32, recipe=1)
VECTOR = np.arange(5, dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def test_a_word_is_read_as_it_was_written(store: Store) -> None:
    assert not is_learned(store, "t", ZIBBLE, "w1")
    written = write_word(store, "t", ZIBBLE, "starter-guide", "w1", VECTOR)
    word = read_word(store, "t", ZIBBLE, "starter-guide", "w1")
    assert word.sha256 == written.sha256 and len(word.sha256) == 64 and np.array_equal(word.vector, VECTOR)
    assert (
        is_learned(store, "t", ZIBBLE, "w1") and not is_learned(store, "t", ZIBBLE, "w2") and not is_learned(store, "other", ZIBBLE, "w1")
    )


def test_a_word_that_is_not_learned(store: Store) -> None:
    with pytest.raises(StoreError, match=r"concept <zibble>: RN50 has not learned it \(file://.*\); run the sweep again, which learns it"):
        read_word(store, "t", ZIBBLE, "RN50", "w1")


def test_a_vector_that_was_changed_or_cut_is_refused(store: Store) -> None:
    write_word(store, "t", ZIBBLE, "starter-guide", "w1", VECTOR)
    key = keys.concept("t", ZIBBLE.address("w1"))
    whole = store.read(key)
    for damaged in (whole[:-1] + b"\x01", whole[: len(whole) // 2], b""):
        store.write(key, damaged)
        with pytest.raises(StoreError, match="is damaged; delete it and run the sweep again to learn it anew"):
            read_word(store, "t", ZIBBLE, "starter-guide", "w1")
