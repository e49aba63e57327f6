"""The tree of errors: two branches, drawn in the docstring, each error picklable."""

import inspect
import pickle

import pytest

from dreamsweep import errors
from dreamsweep.errors import DreamsweepError, TransientError, UserError

TREE = [error for _, error in inspect.getmembers(errors, inspect.isclass)]
LEAVES = [error for error in TREE if error not in (DreamsweepError, TransientError, UserError)]


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_every_error_is_in_one_branch(error: type[Exception]) -> None:
    assert issubclass(error, UserError) != issubclass(error, TransientError)


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_every_error_unpickles_with_its_sentence(error: type[Exception]) -> None:
    copy = pickle.loads(pickle.dumps(error("disk is full; free some space.")))
    assert type(copy) is error and str(copy) == "disk is full; free some space."


def test_the_docstring_draws_the_whole_tree() -> None:
    drawn = {word for word in str(errors.__doc__).split() if word.endswith("Error")}
    assert drawn == {error.__name__ for error in TREE}
