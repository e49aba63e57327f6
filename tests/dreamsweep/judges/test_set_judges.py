"""Names of judges of sets, and which statistics sets of few pictures have."""

from pathlib import Path

import numpy as np
import pytest

from dreamsweep.errors import UserError
from dreamsweep.judges.set_judges import SetJudge, Texts, diversity_scores, quality_scores, set_judge
from dreamsweep.judges.set_statistics import frechet_distance, r_precision
from dreamsweep.spec.judges import is_set_judge


@pytest.mark.parametrize(
    ("name", "judge"),
    [
        ("diversity", SetJudge("diversity", "diversity", "starter-judge")),
        ("diversity@ViT-B/32", SetJudge("diversity@ViT-B/32", "diversity", "ViT-B/32")),
        ("quality:real", SetJudge("quality:real", "quality", "starter-judge", Path("real"))),
        ("quality:real@starter-guide", SetJudge("quality:real@starter-guide", "quality", "starter-guide", Path("real"))),
        ("quality:at@home", SetJudge("quality:at@home", "quality", "starter-judge", Path("at@home"))),
    ],
)
def test_names(name: str, judge: SetJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("real", "at@home"):
        Path(folder).mkdir()
    assert is_set_judge(name) and set_judge(name) == judge


@pytest.mark.parametrize("name", ["starter-judge", "labels:things", "diversities"])
def test_other_judges_are_none_of_sets(name: str) -> None:
    assert not is_set_judge(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("diversity@starter-jugde", "did you mean 'starter-judge'"),
        ("quality:none", "there is no folder 'none'"),
        ("quality:", "there is no folder ''"),
        ("quality:.@starter-jugde", "there is no perceptor 'starter-jugde'; did you mean 'starter-judge'"),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        set_judge(name)


def test_a_statistic_that_needs_more_pictures_says_so() -> None:
    (distance, vendi) = diversity_scores(np.eye(3)[:1])
    assert distance.value is None and distance.error == "it needs 2 pictures, generated and real, and there are 1"
    assert vendi.value == pytest.approx(1)
    texts = Texts(np.eye(3), np.array([0, 1, 1]), np.eye(3), 10.0)
    generated = np.array([[1.0, 0.1, 0], [0.1, 1, 0], [0.9, 0.2, 0]])
    scores = {score.metric: score for score in quality_scores(generated, np.eye(3), texts)}
    assert list(scores) == ["frechet_distance", "kernel_distance", "precision", "recall", "label_score", "r_precision"]
    assert [name for name, score in scores.items() if score.value is None] == ["precision", "recall"]
    assert scores["frechet_distance"].value == frechet_distance(np.eye(3), generated)
    assert scores["r_precision"].value == r_precision(generated, texts.prompts, texts.own) == 2 / 3


def test_pictures_that_show_one_label_each_have_the_score_of_as_many_labels() -> None:
    texts = Texts(np.eye(4), np.arange(4), np.eye(4), 1000.0)
    scores = {score.metric: score.value for score in quality_scores(np.eye(4), np.eye(4), texts)}
    assert scores["label_score"] == pytest.approx(4) and scores["r_precision"] == 1


def test_one_prompt_is_always_the_nearest() -> None:
    texts = Texts(np.eye(4)[:1], np.zeros(4, int), np.eye(4), 10.0)
    (score,) = (score for score in quality_scores(np.eye(4), np.eye(4), texts) if score.metric == "r_precision")
    assert score.value is None and score.error is not None and "one prompt" in score.error
