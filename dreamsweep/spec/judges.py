"""Judges beside the one that chooses the best pictures, and the names of judges.

A name is spelt alike in a sweep file (`judges:`) and in `dreamsweep judge --with`:

ViT-B/32                      a perceptor: similarity of the whole picture and the prompt
views:ViT-B/32                the same, averaged over fixed views of the picture
labels:cifar100@ViT-B/32      zero-shot classification by a list of labels; without @PERCEPTOR by `starter-judge`
segments                      share of the picture that the prompt's thing covers, by the starter segmenter
segments:voc                  the same, by torchvision's DeepLabv3
sharpness                     a judge of another package
"""

import difflib
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from dreamsweep.errors import PluginError
from dreamsweep.spec.base import PerceptorName, Spec, WeightsName, short_for
from dreamsweep.spec.plugins import JUDGES_GROUP, plugins

PERCEPTORS: frozenset[str] = frozenset(get_args(PerceptorName))
AUDITOR = "starter-auditor"
"""Judge of another kind than the starter guide and judge; its ranks decide what is first (docs/naming.md)."""
SEGMENTER = "starter-segmenter"
"""Weights of the judge `segments`: a decoder on the auditor's network."""
SEGMENTS, SEGMENTS_VOC = "segments", "segments:voc"
"""Judges of the share of a picture that the prompt's thing covers, by the starter segmenter and by a published one."""
SHIPPED_JUDGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        AUDITOR: (AUDITOR,),
        "aesthetic": ("aesthetic", "ViT-L/14"),
        SEGMENTS: (SEGMENTER, AUDITOR),
        SEGMENTS_VOC: ("deeplabv3-resnet50",),
    }
)
"""Judges that are more than a perceptor, or none, and the weights that each needs."""
LABELS, VIEWS = "labels:", "views:"
DIVERSITY, QUALITY = "diversity", "quality:"
"""Judges of sets, which look at a finished sweep alone."""
LABEL_LISTS = ("cifar100", "imagenet", "things")
"""Lists of labels that ship; every other name of a list is that of a file."""
MOST_LABELS = 20_000
LABELS_PERCEPTOR: PerceptorName = "starter-judge"
"""Perceptor of a list of labels that names none."""


@dataclass(frozen=True)
class JudgeParts:
    """Parts of a judge's name."""

    kind: Literal["similarity", "views", "labels", "shipped", "plugin"]
    perceptor: PerceptorName | None = None
    """None for `shipped` judges and those of other packages."""
    labels: str = ""
    """Name of the list of labels, or its file."""


def is_set_judge(name: str) -> bool:
    """Returns whether a judge's name is that of a judge of sets."""
    return name == DIVERSITY or name.startswith((f"{DIVERSITY}@", QUALITY))


def parse_judge_name(name: str) -> JudgeParts:
    """Returns the parts of a judge's name; nothing is imported or read.

    Raises ValueError, a sentence with the nearest name, where there is no such judge, and PluginError where its package is broken.
    """
    if name in PERCEPTORS:
        return JudgeParts("similarity", cast(PerceptorName, name))
    if name.startswith(VIEWS):
        return JudgeParts("views", _perceptor(name.removeprefix(VIEWS)))
    if name.startswith(LABELS):
        labels, perceptor = _list_and_perceptor(name.removeprefix(LABELS))
        if not labels:
            raise ValueError(f"it names no list of labels; write {LABELS}{LABEL_LISTS[0]}, or the name of a file with a label a line")
        return JudgeParts("labels", perceptor, labels)
    if name in SHIPPED_JUDGES:
        return JudgeParts("shipped")
    usable, errors = plugins(JUDGES_GROUP, PERCEPTORS)
    if name in errors:
        raise errors[name]
    if name not in usable and is_set_judge(name):
        raise ValueError(f"it judges sets, which are whole only after the sweep; then: dreamsweep judge SWEEP --with {name}")
    if name not in usable:
        lists = (f"{LABELS}{labels}" for labels in LABEL_LISTS)
        known = (*sorted(PERCEPTORS), *SHIPPED_JUDGES, *usable, *lists, f"{VIEWS}{LABELS_PERCEPTOR}")
        raise ValueError(f"there is none of that name; {_nearest(name, known) or 'the judges are ' + ', '.join(known)}")
    return JudgeParts("plugin")


def _list_and_perceptor(text: str) -> tuple[str, PerceptorName]:
    """Splits `LIST@PERCEPTOR`; a perceptor's name may hold an `@` itself."""
    splits = [(text[: match.start()], text[match.end() :]) for match in re.finditer("@", text)]
    for labels, perceptor in splits:
        if perceptor in PERCEPTORS:
            return labels, cast(PerceptorName, perceptor)
    return (splits[0][0], _perceptor(splits[0][1])) if splits else (text, LABELS_PERCEPTOR)


def _perceptor(name: str) -> PerceptorName:
    if name not in PERCEPTORS:
        known = sorted(PERCEPTORS)
        raise ValueError(f"there is no perceptor {name!r}; {_nearest(name, known) or 'the perceptors are ' + ', '.join(known)}")
    return cast(PerceptorName, name)


def _nearest(name: str, known: Collection[str]) -> str:
    similar = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {similar[0]!r}?" if similar else ""


def judge_names() -> tuple[str, ...]:
    """Returns names of judges: every perceptor's, and those of other packages' judges, which are not imported here."""
    perceptors = get_args(PerceptorName)
    return (*perceptors, *plugins(JUDGES_GROUP, PERCEPTORS)[0])


class _AnyJudge:
    """Marks a field that holds any judge's name, `labels:…` and `views:…` included."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_checked_name, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "anyOf": [{"enum": [*judge_names(), *SHIPPED_JUDGES]}, {"pattern": f"^({LABELS}|{VIEWS})."}]}


def _checked_name(name: str) -> str:
    try:
        parse_judge_name(name)
    except PluginError as error:
        raise ValueError(str(error)) from None
    return name


if TYPE_CHECKING:
    AnyJudgeName = str
else:
    AnyJudgeName = Annotated[str, _AnyJudge()]


class FurtherJudge(Spec):
    """A judge that scores the best picture of each trial once, and chooses nothing."""

    name: AnyJudgeName
    """A perceptor, `views:PERCEPTOR`, `labels:LIST[@PERCEPTOR]`, `starter-auditor`, `segments`, `segments:voc`, `aesthetic`, or another
    package's judge."""
    labels: Annotated[tuple[str, ...], Field(max_length=MOST_LABELS)] = ()
    """Labels of a list that does not ship; left out, they are read from the file that the name names."""

    _plain_name = short_for("name")

    @model_validator(mode="after")
    def _labels_of_a_list_of_its_own(self) -> "FurtherJudge":  # not Self, which beartype refuses outside a class decorator
        listed = parse_judge_name(self.name).labels
        if self.labels and (not listed or listed in LABEL_LISTS):
            raise ValueError(f"labels belong to a list of your own, such as {{name: {LABELS}mine, labels: [cat, dog]}}")
        if len(self.labels) == 1:
            raise ValueError("a single label has nothing to be told from; write two or more")
        return self

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Names of the weights that it needs, as far as they are known: a judge of another package says none."""
        perceptor = parse_judge_name(self.name).perceptor
        return (perceptor,) if perceptor else SHIPPED_JUDGES.get(self.name, ())

    @property
    def key(self) -> str:
        """Name of the judge in a shard's manifest; with a hash of its labels where these do not ship."""
        return f"{self.name}#{hashlib.sha256(chr(10).join(self.labels).encode()).hexdigest()[:16]}" if self.labels else self.name


AUDITORS: Mapping[WeightsName, tuple[str, ...]] = MappingProxyType(
    {"starter": ("starter-auditor", "starter-judge", "starter-guide"), "published": ("ViT-B/16", "RN50", "ViT-B/32")}
)
"""Judges that audit a sweep whose file names no judges, by what it draws with, in the order in which they are tried. Starters know nothing
of what published networks draw; the published ones are the smallest of CLIP's, which every such machine can load.
"""


def default_auditor(weights: WeightsName, used: Collection[str]) -> str | None:
    """Returns a judge that is none of the perceptors `used`, which guide a sweep or choose its best pictures; None where all are."""
    return next((name for name in AUDITORS[weights] if name not in used), None)
