"""Marks of a segmenter on made-up scenes: what a perfect and a blind one get."""

import pytest
import torch
from torch import Tensor, nn

from dreamsweep.models.segmenter import Segmenter
from dreamsweep.training import scene_marks
from dreamsweep.training.scene_marks import class_ious, confusion, largest_is_right, segmenter_marks
from dreamsweep.training.scenes import Scenes, drawings_of
from tests.dreamsweep.training.test_scenes import ART, CLASSES, DRAWINGS

NAMES = ("__background__", *(named.name for named in CLASSES), "something else")


class Recalls(nn.Module):
    """A network that knows the right classes of the scenes that it is shown, or says background everywhere."""

    def __init__(self, labels: Tensor | None = None) -> None:
        super().__init__()
        self.labels = labels
        self.shown = 0

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        shown = torch.zeros(len(pictures), 128, 128, dtype=torch.int64)
        if self.labels is not None:
            shown = self.labels[self.shown : self.shown + len(pictures)]
            self.shown += len(pictures)
        return {"out": nn.functional.one_hot(shown, len(NAMES)).movedim(3, 1).float()}


def segmenter_of(network: nn.Module) -> Segmenter:
    return Segmenter(network, lambda pictures: pictures, NAMES, "0" * 64)


@pytest.mark.parametrize(("knows", "best"), [(True, 1.0), (False, 0.0)])
def test_a_perfect_segmenter_and_a_blind_one(knows: bool, best: float) -> None:
    scenes = Scenes(ART, DRAWINGS, damaged=0.0, things=(0.0, 1.0, 0.0, 0.0, 0.0))
    _, labels = scenes.draw(8, torch.Generator().manual_seed(scene_marks.SEED))
    table = confusion(segmenter_of(Recalls(labels if knows else None)), scenes, 8)
    ious = class_ious(table)
    assert table.sum() == 8 * 128 * 128 and ious[1:3].nanmean() == best and ious[3].isnan()
    assert largest_is_right(segmenter_of(Recalls(labels if knows else None)), scenes, 8) == best


def test_half_of_a_class_that_is_found() -> None:
    table = torch.tensor([[10, 0], [5, 5]])  # half of the class taken for background
    assert class_ious(table).tolist() == pytest.approx([10 / 15, 0.5])


def test_lines_of_the_model_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_marks, "drawings_of", lambda art, chosen: drawings_of(art, chosen, CLASSES))
    marks = segmenter_marks(ART, segmenter_of(Recalls()), "twemoji", 4)
    assert [mark.what.split(": ")[1] for mark in marks] == [
        "4 clean scenes, held-out twemoji", "4 damaged scenes, held-out twemoji", "largest class of a drawing of a thing, held-out twemoji",
    ]  # fmt: skip
    assert marks[0].figure.startswith("mean IoU 0.0%, background ") and marks[2].figure == "0.0%"
