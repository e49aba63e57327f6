"""Scenes: each pixel has the class of the drawing on top of it, and everything comes from the generator."""

import numpy as np
import torch

from dreamsweep.training.scenes import Scenes, drawings_of
from dreamsweep.training.segment_classes import SegmentClass
from tests.dreamsweep.training.made_art import made_art

CLASSES = (
    SegmentClass("disc", ("red disc", "green disc", "blue disc"), ("circle",)),
    SegmentClass("square", ("red square", "green square", "blue square"), ()),
    SegmentClass("unicorn", ("unicorn",), ()),
)
ART = made_art()
DRAWINGS = drawings_of(ART, ART.of_styles("train"), CLASSES)


def scenes(damaged: float = 0.0, things: tuple[float, ...] = (0.0, 1.0, 0.0, 0.0, 0.0)) -> Scenes:
    return Scenes(ART, DRAWINGS, damaged=damaged, things=things)


def test_drawings_by_class() -> None:
    names = [{ART.names[number] for number in ART.name_of[pool]} for pool in DRAWINGS]
    assert names[:2] == [set(CLASSES[0].art), set(CLASSES[1].art)] and names[2] == set()
    assert names[3] == {"grey disc", "grey square", *(f"{color} ring" for color in ("red", "green", "blue", "grey"))}
    assert {ART.styles[style] for pool in DRAWINGS for style in ART.style_of[pool]}.isdisjoint({"twemoji", "openmoji"})


def test_a_generator_decides() -> None:
    first, same, other = (scenes(0.5).draw(8, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first[0], same[0]) and torch.equal(first[1], same[1]) and not torch.equal(first[1], other[1])
    assert first[0].shape == (8, 3, 128, 128) and first[0].min() >= 0 and first[0].max() <= 1
    assert first[1].shape == (8, 128, 128)


def test_classes_are_where_the_drawings_are() -> None:
    pictures, labels = scenes().draw(60, torch.Generator().manual_seed(2))
    assert all(len(values) <= 2 for values in (row.unique() for row in labels))
    assert set(labels.unique().tolist()) == {0, 1, 2, 4}  # no drawing shows class 3
    on_white = (pictures[:, :, 0, :] == 1).flatten(1).all(1)
    inked = pictures[on_white].amin(1) < 0.6
    assert on_white.sum() > 10 and ((labels[on_white] > 0) == inked).float().mean() > 0.98


def test_what_is_drawn_last_is_on_top() -> None:
    _, labels = scenes(things=(0.0, 0.0, 0.0, 0.0, 1.0)).draw(20, torch.Generator().manual_seed(0))
    assert max(len(row.unique()) for row in labels) == 4
    _, empty = scenes(things=(1.0, 0.0, 0.0, 0.0, 0.0)).draw(20, torch.Generator().manual_seed(0))
    assert not empty.any()


def test_backgrounds_vary() -> None:
    nothing = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    empty = Scenes(ART, DRAWINGS, nothing, damaged=0.0, things=(1.0, 0.0, 0.0, 0.0, 0.0))
    pictures, _ = empty.draw(80, torch.Generator().manual_seed(0))
    spread, light = pictures.flatten(1).std(1), pictures.flatten(1).mean(1)
    white, black = (spread == 0) & (light == 1), (spread == 0) & (light == 0)
    assert 20 <= white.sum() <= 45 and 3 <= black.sum() <= 20 and (spread > 0).sum() > 20


def test_a_held_out_style_is_drawn_alone() -> None:
    held_out = drawings_of(ART, np.flatnonzero(ART.style_of == ART.styles.index("twemoji")), CLASSES)
    assert [len(pool) for pool in held_out] == [3, 3, 0, 6]
