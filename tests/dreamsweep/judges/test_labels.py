"""The labels judge: what a prompt names, shares, and what it says where a prompt names no label."""

from pathlib import Path

import pytest
import torch

from dreamsweep.errors import PluginError, UserError
from dreamsweep.judges.label_lists import CIFAR_100, CIFAR_TEMPLATES, LabelList, label_list
from dreamsweep.judges.labels import LabelsJudge
from dreamsweep.judges.registry import judge_weights, make_judge
from tests.dreamsweep.fakes import ColourPerceptor
from tests.dreamsweep.sample_rows import sample_trial

COLOURS = LabelList("colours", ("red", "green", "blue"), ("{}",))


def pictures(*colours: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(colours)[:, :, None, None].expand(-1, 3, 16, 16)


def test_a_score_is_the_share_of_the_labels_that_the_prompt_names() -> None:
    perceptor = ColourPerceptor()
    trials = [sample_trial("a red thing"), sample_trial("a green or blue thing"), sample_trial("a thing")]
    judge = LabelsJudge(perceptor, COLOURS, trials)
    shown = pictures((0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.9))
    shares = (10 * perceptor.embed_pictures(shown) @ perceptor.embed_texts(COLOURS.names).T).softmax(1)
    scores, embedded = judge.score(shown, 1)
    assert scores[:2].tolist() == pytest.approx([float(shares[0, 0]), float(shares[1, 1] + shares[1, 2])]) and scores[2].isnan()
    assert embedded.shape == (3, 3)
    red, _, thing = judge.judgements(shown, 1)
    assert red.score == pytest.approx(float(shares[0, 0])) and red.reason is not None and red.reason.startswith("red 100%")
    assert thing.score is None and thing.reason is not None
    assert thing.reason.startswith("the prompt names none of the 3 labels of colours; blue 100%")
    assert sum(red.details.values()) == pytest.approx(1)


def test_a_label_is_the_mean_of_its_templates() -> None:
    judge = LabelsJudge(ColourPerceptor(), LabelList("two", ("red", "odd"), ("a {}", "a blue {}")), [sample_trial()])
    perceptor = ColourPerceptor()
    mean = torch.stack([perceptor.embed_texts(["odd"])[0], perceptor.embed_texts(["blue"])[0]]).mean(0)
    assert torch.allclose(judge.embedded[1], mean / mean.norm())


def test_the_shipped_lists() -> None:
    assert len(set(CIFAR_100)) == 100 and len(set(CIFAR_TEMPLATES)) == 18 and CIFAR_TEMPLATES[0] == "a photo of a {}."
    assert label_list("cifar100", False).templates == CIFAR_TEMPLATES and label_list("cifar100", True).templates == ("{}",)
    imagenet = label_list("imagenet", False)
    assert len({*imagenet.names}) == 1000 and imagenet.names[0] == "tench"
    assert "abacus" in label_list("things", True).names


def test_a_list_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "animals.txt"
    path.write_text("# mine\ncat\n\nblue cat\ncat\n", encoding="utf-8")
    assert label_list(str(path), True) == LabelList("animals.txt", ("cat", "blue cat"), ("{}",))
    weights = judge_weights(f"labels:{path}@starter-guide")
    assert set(weights) == {"starter-guide", "labels:animals.txt"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("labels:cifar10", r"judge 'labels:cifar10': there is no list 'cifar10'; did you mean 'cifar100'\?"),
        ("labels:", "judge 'labels:': it names no list of labels; write labels:cifar100"),
        ("labels:nowhere.txt", r"judge 'labels:nowhere.txt': the file 'nowhere.txt' cannot be read \(No such file or directory\)"),
        ("labels:cifar100@starter", "judge 'labels:cifar100@starter': there is no perceptor 'starter'"),
        ("label", "judge 'label': there is none of that name"),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises((UserError, PluginError), match=sentence):
        judge_weights(name)


def test_a_list_is_read_as_other_text_files_are(tmp_path: Path) -> None:
    path = tmp_path / "animals.txt"
    path.write_text("cat\ndog\n", encoding="utf-16")
    assert label_list(str(path), True).names == ("cat", "dog")
    path.with_name("odd.txt").write_text("cat\nd\x1bog\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"judge 'labels:.*odd.txt' \(odd.txt, line 2"):
        label_list(str(path.with_name("odd.txt")), True)


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("cat\n", encoding="utf-8")
    with pytest.raises(UserError, match="the file holds 1 labels; write from 2 to 20,000 of them, one a line"):
        judge_weights(f"labels:{tmp_path / 'one.txt'}")


def test_it_is_made_by_its_name() -> None:
    judge = make_judge("labels:things", [sample_trial("a red heart")], "cpu")
    assert isinstance(judge, LabelsJudge)
    scores, _ = judge.score(torch.rand(1, 3, 64, 64), 1)
    assert 0 <= float(scores[0]) <= 1
