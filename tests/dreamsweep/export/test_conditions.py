"""Search words: what each of them finds."""

import numpy as np
import pytest

from dreamsweep.export.conditions import search
from dreamsweep.report.catalogue import Catalogue, Kind, Prompt
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS
from tests.dreamsweep.export.counting import count

ROW = Catalogue(
    sweep_names=["night"],
    prompts=[Prompt("A red Heart", ("a rose",))],
    kinds=[Kind("dalle", "dalle", {"rotation": "15", "optimizer": "sgd 15", "learning_rate": "15", "guide": "starter-guide"})],
    statuses=["done"],
    judges=[None],
    further_judges=["labels:animals"],
    id=np.array([0xABCDABCDABCDABCD], np.uint64),
    seed=np.array([3]),
    judge=np.array([0.25]),
    guide=np.array([np.nan]),
    z_score=np.array([-1.5]),
    further_scores=np.array([[0.75]]),
    rank=np.array([2], np.int32),
    iterations=np.array([60], np.int32),
    rivals=np.array([4], np.int32),
    pictured=np.array([True]),
    **{name: np.zeros(1, np.int32) for name in ("sweep", "prompt", "kind", "status", "ranked_by", "shown")},
)


@pytest.mark.parametrize(
    ("words", "matches"),
    [
        ("red heart", True),
        ('"red heart"', True),
        ('"heart red"', False),
        ("rose|apple", True),
        ("-heart", False),
        ("-apple", True),
        ("seed:3", True),
        ("seed:1|3", True),
        ("seed=30", False),
        ("seed 3", True),
        ("seed", True),
        ("judge>0.2 judge<=0.25", True),
        ("judge>0.3", False),
        ("guide<1", False),
        ("rank<=2 z_score<0", True),
        ("learning_rate:15", True),
        ("learning_rate 15.0", True),
        ("sgd 15", True),
        ('optimizer:"sgd 15"', True),
        ('optimizer:"adam 0.1"|"sgd 15"|x seed:3', True),
        ('optimizer:"sgd 1"', False),
        ('prompt:"a red heart"', True),
        ('-prompt:"a red heart"', False),
        ('prompt:"a red"', False),
        ("labels:animals>0.7 labels:animals<=0.75", True),
        ("labels:animals>0.75", False),
        ("sgd 1", False),
        ("rotation:15 optimizer:sgd", False),
        ("rotation:15 optimizer:adam", False),
        ("1", False),
        ("abcd", True),
        ("like:abcdabcdabcdabcd", True),
        ("like:1234123412341234", False),
        ("like:'", False),
        ("judge>x", False),
        ("nothing:1", False),
        ("nothing>1", False),
        ("", True),
        ("|", False),
    ],
)
def test_words(words: str, matches: bool) -> None:
    assert search(ROW, words).mask.tolist() == [matches]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nothing>1", "Nothing here is called “nothing”; try seed, engine"),
        ("judge>x", "“x” is no number to compare judge with."),
        ("nothing:1", "No setting is called “nothing”; so it is looked for as a word."),
    ],
)
def test_words_that_are_not_understood_are_named(words: str, sentence: str) -> None:
    (unknown,) = search(ROW, words).unknown
    assert unknown.startswith(sentence)


def test_a_store_is_searched(store: Store) -> None:
    assert count(store, search="num_paths:64") == 6
    assert count(store, search="heart num_paths>=64 seed:1") == 2
    assert count(store, search=PROMPTS[1]) == 6
