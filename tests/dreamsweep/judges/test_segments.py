"""The segments judges: shares as their networks give them, and which classes a prompt names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.judges.protocol import Explains, Judge
from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.judges.segments import SegmentsJudge, classes_in, shares_of
from dreamsweep.models.segmenter import Segmenter, voc_words
from dreamsweep.models.starter_segmenter import load_starter_segmenter
from tests.dreamsweep.sample_rows import sample_trial
from tests.dreamsweep.weights.conftest import cache  # noqa: F401 - a fixture
from tests.dreamsweep.weights.vectors import write_vector
from tests.dreamsweep.weights.vectors.head_files import random_deeplab

VOC = (
    "__background__", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
CAT, SOFA = VOC.index("cat"), VOC.index("sofa")


@pytest.fixture(autouse=True)
def _afresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    POOL.clear()
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    yield
    POOL.clear()


class Halves(nn.Module):
    """A network that sees a cat in the left half of every picture, a sofa in the right quarter, and background between."""

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        out = torch.zeros(len(pictures), len(VOC), *pictures.shape[2:])
        width = pictures.shape[3]
        out[:, CAT, :, : width // 2] = 1
        out[:, SOFA, :, width - width // 4 :] = 1
        return {"out": out}


def judge_of(*prompts: str) -> SegmentsJudge:
    segmenter = Segmenter(Halves(), lambda pictures: pictures.float(), VOC, "0" * 64, voc_words(VOC), "20 classes of Pascal VOC")
    return SegmentsJudge(segmenter, [sample_trial(prompt) for prompt in prompts])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a cat on a couch", ["cat", "sofa"]),
        ("two kittens", ["cat"]),
        ("a dining table", ["diningtable"]),
        ("motorbikes, and a bike", ["bicycle", "motorbike"]),
        ("an old TV", ["tvmonitor"]),
        ("the background of a carpet", []),
        ("a snowman", []),
    ],
)
def test_classes_that_a_prompt_names(text: str, named: list[str]) -> None:
    assert [VOC[at] for at in classes_in(text, voc_words(VOC))] == named


def test_a_score_is_the_share_of_what_the_prompt_names() -> None:
    judge = judge_of("a cat", "a cat on a couch", "a rocket")
    assert isinstance(judge, Judge) and isinstance(judge, Explains)
    pictures = torch.rand(3, 3, 8, 16)
    cat, both, rocket = judge.judgements(pictures, 1)
    assert (cat.score, both.score, rocket.score) == (0.5, 0.75, None)
    assert cat.details == {"__background__": 0.25, "cat": 0.5, "sofa": 0.25} and cat.reason == "cat 50.0%, sofa 25.0%"
    assert rocket.reason == "the prompt names none of the 20 classes of Pascal VOC; cat 50.0%, sofa 25.0%"
    scores, embedded = judge.score(pictures, 1)
    assert scores[:2].tolist() == [0.5, 0.75] and scores[2].isnan() and embedded.shape == (3, 0)


def test_a_picture_of_nothing_that_it_knows() -> None:
    judge = judge_of("a dog")
    judge.segmenter.network.forward = lambda pictures: {"out": torch.zeros(len(pictures), len(VOC), 4, 4)}
    (judgement,) = judge.judgements(torch.rand(1, 3, 4, 4), 1)
    assert (judgement.score, judgement.reason, judgement.details) == (0.0, "nothing but background", {"__background__": 1.0})


def test_shares_are_those_of_a_plain_torchvision_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("deeplabv3-resnet50", cache, monkeypatch)
    bytes_of = torch.randint(256, (1, 3, 16, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    judge = make_judge("segments:voc", [sample_trial("a person with a dog")], "cpu")
    assert isinstance(judge, SegmentsJudge)
    (judgement,) = judge.judgements(bytes_of.float() / 255, 1)

    from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

    published = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
    network = random_deeplab()
    network.load_state_dict(torch.load(cache / "deeplabv3-resnet50" / "deeplabv3_resnet50_coco-cd0a2569.pth", weights_only=True))
    with torch.no_grad():
        classes = network(published.transforms()(bytes_of))["out"].argmax(1)
    names = published.meta["categories"]
    shares = {name: float((classes == at).double().mean()) for at, name in enumerate(names)}
    assert tuple(names) == VOC and len(judgement.details) > 1
    assert judgement.details == {name: pytest.approx(share) for name, share in shares.items() if share > 0}
    assert judgement.score == pytest.approx(shares["person"] + shares["dog"])
    assert judge_weights("segments:voc").keys() == {"deeplabv3-resnet50"}


def test_shares_sum_to_all_of_the_picture() -> None:
    shares = shares_of(torch.tensor([[[0, 2], [2, 2]], [[1, 1], [1, 1]]]), 3)
    assert shares.tolist() == [[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]


def test_deeplab_does_not_ship() -> None:
    with pytest.raises(WeightsError, match=r"'deeplabv3-resnet50': .* is missing .* by hand; nothing that ships .* does the same"):
        make_judge("segments:voc", [sample_trial()], "cpu")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a kitten beside two red hearts", ["cat", "heart"]),
        ("a hot dog", ["hot dog"]),
        ("an old television", ["television"]),
        ("a teddy bear on a motorbike", ["bear", "motorcycle"]),
        ("cattle", ["cow"]),
        ("a computer mouse", []),  # a thing of another name, which is no class
        ("a bow and arrow", []),
        ("the background of something else", []),
        ("a zeppelin", []),
    ],
)
def test_things_that_a_prompt_names(text: str, named: list[str]) -> None:
    segmenter = load_starter_segmenter("cpu")
    assert [segmenter.classes[at] for at in classes_in(text, segmenter.words)] == named


@pytest.mark.usefixtures("tiny_weights")
def test_the_starter_s_judgement() -> None:
    judge = make_judge("segments", [sample_trial("a red heart"), sample_trial("a zeppelin")], "cpu")
    assert isinstance(judge, SegmentsJudge)
    heart, zeppelin = judge.judgements(torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)), 1)
    assert heart.score == heart.details.get("heart", 0.0) and sum(heart.details.values()) == pytest.approx(1)
    assert zeppelin.score is None
    assert str(zeppelin.reason).startswith("the prompt names none of the 3 things that starter-segmenter knows; ")
    assert judge_weights("segments").keys() == {"starter-segmenter", "starter-auditor"}
