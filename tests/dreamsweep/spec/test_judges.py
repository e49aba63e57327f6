"""Names of judges: what each says, and the sentence for those that say nothing."""

import pytest

from dreamsweep.spec import GuideChoice, WeightsName
from dreamsweep.spec.base import WeightedPerceptor, guides_of
from dreamsweep.spec.judges import AUDITOR, AUDITORS, FurtherJudge, JudgeParts, default_auditor, parse_judge_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ViT-L/14@336px", JudgeParts("similarity", "ViT-L/14@336px")),
        ("views:starter-guide", JudgeParts("views", "starter-guide")),
        ("segments", JudgeParts("shipped")),
        ("segments:voc", JudgeParts("shipped")),
        ("labels:cifar100", JudgeParts("labels", "starter-judge", "cifar100")),
        ("labels:lists/animals.txt@RN50", JudgeParts("labels", "RN50", "lists/animals.txt")),
        ("labels:imagenet@ViT-L/14@336px", JudgeParts("labels", "ViT-L/14@336px", "imagenet")),
    ],
)
def test_a_name_says_what_judges(name: str, parts: JudgeParts) -> None:
    assert parse_judge_name(name) == parts


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("starter-gide", "there is none of that name; did you mean 'starter-guide'?"),
        ("qqq", "there is none of that name; the judges are RN101"),
        ("views:starter-gide", "there is no perceptor 'starter-gide'; did you mean 'starter-guide'?"),
        ("views:", "there is no perceptor ''; the perceptors are RN101"),
        ("labels:cifar100@ViT-L/14@336", "there is no perceptor 'ViT-L/14@336'; did you mean 'ViT-L/14@336px'?"),
        ("labels:", "it names no list of labels; write labels:cifar100"),
        ("labels:@RN50", "it names no list of labels; write labels:cifar100"),
        ("label:cifar100", "there is none of that name; did you mean 'labels:cifar100'?"),
    ],
)
def test_a_name_that_says_nothing_is_one_sentence_with_the_nearest(name: str, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_judge_name(name)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("weights", "guide", "judge", "auditor"),
    [
        ("starter", "starter-guide", "starter-judge", "starter-auditor"),
        ("starter", "RN50", "ViT-B/32", "starter-auditor"),
        ("starter", "starter-guide", "starter-auditor", "starter-judge"),
        ("published", "ViT-B/32", "RN50", "ViT-B/16"),
        ("published", (WeightedPerceptor(name="ViT-B/32"), WeightedPerceptor(name="ViT-B/16")), "ViT-L/14", "RN50"),
        ("published", "starter-guide", "starter-judge", "ViT-B/16"),
    ],
)
def test_an_auditor_neither_guides_nor_chooses(weights: WeightsName, guide: GuideChoice, judge: str, auditor: str) -> None:
    assert default_auditor(weights, [*(part.name for part in guides_of(guide)), judge]) == auditor


@pytest.mark.parametrize("name", ["diversity", "diversity@RN50", "quality:photos"])
def test_judges_of_sets_come_after_the_sweep(name: str) -> None:
    with pytest.raises(ValueError, match=f"only after the sweep; then: dreamsweep judge SWEEP --with {name}"):
        parse_judge_name(name)


def test_where_all_auditors_are_taken_there_is_none() -> None:
    assert default_auditor("starter", AUDITORS["starter"][:2]) == "starter-guide"
    assert default_auditor("starter", AUDITORS["starter"]) is None and AUDITORS["starter"][0] == AUDITOR


def test_a_list_of_one_s_own_is_known_by_its_labels() -> None:
    mine, other = (FurtherJudge(name="labels:mine", labels=labels) for labels in (("cat", "dog"), ("cat", "cow")))
    assert mine.key != other.key and mine.key.startswith("labels:mine#")
    assert FurtherJudge(name="labels:things").key == "labels:things"
