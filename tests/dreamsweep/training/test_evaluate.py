"""What the marks of the model card are made of."""

from dataclasses import replace

import pytest

from dreamsweep.models.unclip import load_unclip
from dreamsweep.training.evaluate import prior_marks
from tests.dreamsweep.training.made_art import made_art


@pytest.mark.usefixtures("tiny_weights")
def test_priors_are_marked_beside_what_needs_none() -> None:
    art = made_art()
    marks = prior_marks(replace(art, groups=(0,) * len(art.names)), load_unclip("starter", "", "cpu"), batch=5)
    assert [mark.what.split(": ")[1].split(" embedding")[0] for mark in marks] == [
        "the sentence's own", "the mean of training pictures", "the diffusion prior's", "the autoregressive prior's",
    ]  # fmt: skip
    assert all("12 names" in mark.what and mark.figure.startswith("cosine ") for mark in marks)
    assert marks[1].figure.startswith("cosine 0.000")  # a tiny prior's mean is nought
