"""Examples in the docstrings of the Python interface run as they stand."""

import doctest
from pathlib import Path

import pytest

from dreamsweep.api import finding, results, running


@pytest.mark.usefixtures("tiny_weights")
def test_docstrings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for module in (running, results, finding):  # the first makes the sweep that the others read
        outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        assert outcome.attempted and not outcome.failed
