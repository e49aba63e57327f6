"""What the spec says of judges is so in the registry."""

import pytest

from dreamsweep.judges.registry import WITH_WEIGHTS
from dreamsweep.models import aesthetic, segmenter
from dreamsweep.spec import SHIPPED_JUDGES, FurtherJudge


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("labels:things@RN50", {"RN50"}),
        ("views:RN101", {"RN101"}),
        ("aesthetic", {"aesthetic", "ViT-L/14"}),
        ("segments", {"starter-segmenter", "starter-auditor"}),
        ("segments:voc", {segmenter.NAME}),
    ],
)
def test_weights_that_a_judge_needs(name: str, weights: set[str]) -> None:
    assert {*FurtherJudge(name=name).weight_names} == weights
    assert {aesthetic.NAME, aesthetic.PERCEPTOR} == {*SHIPPED_JUDGES["aesthetic"]}
    assert WITH_WEIGHTS.keys() == SHIPPED_JUDGES.keys()
