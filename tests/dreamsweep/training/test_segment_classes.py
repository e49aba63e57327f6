"""The segmenter's classes: each name of the art in one class at most, each word for one class."""

from collections import Counter

from dreamsweep.training.segment_classes import SEGMENT_CLASSES, SegmentClass, places_of
from dreamsweep.weights.starter import thing_names


def test_each_thing_belongs_to_one_class_at_most() -> None:
    art = [name for named in SEGMENT_CLASSES for name in named.art]
    assert set(art) <= set(thing_names()) and max(Counter(art).values()) == 1
    assert len({named.name for named in SEGMENT_CLASSES}) == len(SEGMENT_CLASSES) > 100


def test_each_word_names_one_class() -> None:
    spoken = [word for named in SEGMENT_CLASSES for word in named.spoken]
    assert max(Counter(spoken).values()) == 1
    others = set(thing_names()) - {name for named in SEGMENT_CLASSES for name in named.art}
    assert not others & set(spoken)  # a word that is another thing's name would never be found


def test_places_begin_at_one() -> None:
    classes = (SegmentClass("cat", ("cat", "cat face"), ("kitten",)), SegmentClass("dog", ("poodle",), ()))
    assert places_of(("poodle", "wolf", "cat face"), classes) == (2, 0, 1)
    assert classes[0].spoken == ("cat", "cat face", "kitten")
