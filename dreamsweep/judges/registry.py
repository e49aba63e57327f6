"""Judges by name: every perceptor, as a judge of similarity; `labels:LIST[@PERCEPTOR]`; `starter-auditor`; `aesthetic`,
`segments`; other packages'."""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast, get_args

from dreamsweep.errors import PluginError
from dreamsweep.judges.aesthetic import AestheticJudge
from dreamsweep.judges.auditor import AUDITOR, AuditorJudge
from dreamsweep.judges.label_lists import SHIPPED, LabelList, label_list
from dreamsweep.judges.labels import LabelsJudge
from dreamsweep.judges.protocol import Judge
from dreamsweep.judges.segments import SegmentsJudge
from dreamsweep.judges.similarity import SimilarityJudge
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import JudgeName, PerceptorName, Trial
from dreamsweep.spec.plugins import JUDGES_GROUP, plugins
from dreamsweep.text import did_you_mean

PERCEPTORS = frozenset(get_args(PerceptorName))
LABELS, STARTER = "labels:", "starter-judge"
WITH_WEIGHTS: dict[str, type[AuditorJudge | AestheticJudge | SegmentsJudge]] = {
    AUDITOR: AuditorJudge,
    "aesthetic": AestheticJudge,
    "segments": SegmentsJudge,
}
"""Judges that are more than a perceptor, or none, by name."""


def make_judge(name: JudgeName, trials: Sequence[Trial], device: str) -> Judge:
    """Builds a judge for a batch of trials.

    Raises WeightsError when its weights are missing or damaged, and PluginError when there is none of that name or its package is broken.
    """
    if name in PERCEPTORS:
        return SimilarityJudge(load_perceptor(cast(PerceptorName, name), device), trials)
    if name.startswith(LABELS):
        labels, perceptor = _labels_of(name)
        return LabelsJudge(load_perceptor(perceptor, device), labels, trials)
    if name in WITH_WEIGHTS:
        return WITH_WEIGHTS[name].load(trials, device)
    judge = _judge_class(name)(trials, device)
    if not isinstance(judge, Judge):
        raise plugins(JUDGES_GROUP, PERCEPTORS)[0][name].error("it has no method score(pictures, iteration)")
    return judge


def judge_weights(name: JudgeName) -> dict[str, str]:
    """Returns name and SHA-256 of a judge's weight files; files are hashed, nothing is loaded. Raises as `make_judge` does."""
    from dreamsweep.weights.hashes import sha256_of

    if name in PERCEPTORS:
        return sha256_of(name)
    if name.startswith(LABELS):
        labels, perceptor = _labels_of(name)
        return sha256_of(perceptor) | {f"labels:{labels.name}": labels.sha256}
    weights_used = getattr(WITH_WEIGHTS.get(name) or _judge_class(name), "weights_used", None)
    return dict(weights_used()) if weights_used else {}


def _labels_of(name: str) -> tuple[LabelList, PerceptorName]:
    """Returns the list and the perceptor of `labels:LIST@PERCEPTOR`. Raises PluginError, or UserError for a list that there is not."""
    labels, _, perceptor = name.removeprefix(LABELS).rpartition("@") if "@" in name else (name.removeprefix(LABELS), "", STARTER)
    if perceptor not in PERCEPTORS:
        known = ", ".join(sorted(PERCEPTORS))
        raise PluginError(
            f"judge {name!r}: there is no perceptor {perceptor!r}{did_you_mean(perceptor, PERCEPTORS)}; the perceptors are {known}."
        )
    return label_list(labels, perceptor.startswith("starter-")), cast(PerceptorName, perceptor)


@cache
def _judge_class(name: str) -> Any:
    usable, errors = plugins(JUDGES_GROUP, PERCEPTORS)
    if name in errors:
        raise errors[name]
    if name not in usable:
        known = (*sorted(PERCEPTORS), *WITH_WEIGHTS, *usable, *(f"{LABELS}{shipped}" for shipped in SHIPPED))
        raise PluginError(f"judge {name!r}: there is none of that name{did_you_mean(name, known)}; the judges are {', '.join(known)}.")
    return usable[name].load()
