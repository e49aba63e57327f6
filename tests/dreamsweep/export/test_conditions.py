"""Search words: what each of them finds. That the page reads them alike is tested in a browser (review/test_takeaway.py)."""

import pytest

from dreamsweep.export.conditions import Vocabulary, conditions, searched
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS
from tests.dreamsweep.export.counting import count

ROW = {
    **{"trial_id": "abcd" * 4, "prompt": "A red Heart", "prompts_to": ["a rose"], "engine": "dalle", "seed": 3, "status": "done"},
    **{"judge_best": 0.25, "guide_best": None, "rank": 2, "z_score": -1.5, "guide_name": "starter-guide"},
    "dalle": {"rotation": 15, "optimizer": {"name": "sgd", "learning_rate": 15.0}},
}


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
        ("sgd 1", False),
        ("rotation:15 optimizer:sgd", False),
        ("rotation:15 optimizer:adam", False),
        ("1", False),
        ("abcd", True),
        ("judge>x", False),
        ("nothing:1", False),
        ("nothing>1", False),
        ("", True),
        ("|", True),
    ],
)
def test_words(words: str, matches: bool) -> None:
    trial = searched(ROW)
    vocabulary = Vocabulary.of([{name: value for name, value in trial.values.items() if isinstance(value, str)}])
    if words == "|":  # no word is left of it, so nothing is either
        matches = False
    assert all(condition(trial) for condition in conditions(words, vocabulary)) is matches


def test_a_store_is_searched(store: Store) -> None:
    assert count(store, search="num_paths:64") == 6
    assert count(store, search="heart num_paths>=64 seed:1") == 2
    assert count(store, search=PROMPTS[1]) == 6
