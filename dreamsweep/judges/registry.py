"""Judges by name, as `dreamsweep.spec.judges` lists the names."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from dreamsweep.errors import PluginError
from dreamsweep.judges.aesthetic import AestheticJudge
from dreamsweep.judges.auditor import AuditorJudge
from dreamsweep.judges.label_lists import LabelList, label_list
from dreamsweep.judges.labels import LabelsJudge
from dreamsweep.judges.protocol import Judge
from dreamsweep.judges.segments import SegmentsJudge
from dreamsweep.judges.similarity import VIEWS_VERSION, SimilarityJudge, ViewsJudge
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.spec import PERCEPTORS, PerceptorName, Trial
from dreamsweep.spec.judges import AUDITOR, SEGMENTS, SEGMENTS_VOC, SHIPPED_JUDGES, JudgeParts, parse_judge_name
from dreamsweep.spec.plugins import JUDGES_GROUP, plugins

WITH_WEIGHTS: dict[str, Callable[[Sequence[Trial], str], Judge]] = {
    AUDITOR: AuditorJudge.load,
    "aesthetic": AestheticJudge.load,
    SEGMENTS: SegmentsJudge.load,
    SEGMENTS_VOC: SegmentsJudge.load_voc,
}
"""Loaders of the judges that are more than a perceptor, or none, by name; each takes a batch's trials and the device."""


def make_judge(
    name: str, trials: Sequence[Trial], device: str, labels: Sequence[str] = (), teach: Callable[[Perceptor], Perceptor] = lambda same: same
) -> Judge:
    """Builds a judge for a batch of trials. `labels` are those of a list that is a file; without them the file is read. `teach` gives the
    perceptor that reads the prompts the new words that they hold.

    Raises WeightsError when its weights are missing or damaged, PluginError when there is none of that name or its package is broken, and
    UserError for a list that there is not.
    """
    parts = _parts(name)
    if parts.kind == "plugin":
        judge = _judge_class(name)(trials, device)
        if not isinstance(judge, Judge):
            raise plugins(JUDGES_GROUP, PERCEPTORS)[0][name].error("it has no method score(pictures, iteration)")
        return judge
    if parts.kind == "shipped":
        return WITH_WEIGHTS[name](trials, device)
    perceptor = load_perceptor(_perceptor(parts), device)
    match parts.kind:
        case "labels":
            return LabelsJudge(perceptor, _labels(parts, labels), trials)
        case "views":
            return ViewsJudge(teach(perceptor), trials)
        case _:
            return SimilarityJudge(teach(perceptor), trials)


def judge_weights(name: str, labels: Sequence[str] = ()) -> dict[str, str]:
    """Returns name and SHA-256 of a judge's weight files; files are hashed, nothing is loaded. Raises as `make_judge` does."""
    from dreamsweep.weights.hashes import sha256_of

    parts = _parts(name)
    if parts.kind == "shipped":
        return {file: sha256 for weights in SHIPPED_JUDGES[name] for file, sha256 in sha256_of(weights).items()}
    if parts.kind == "plugin":
        weights_used = getattr(_judge_class(name), "weights_used", None)
        return dict(weights_used()) if weights_used else {}
    if parts.kind == "labels":
        listed = _labels(parts, labels)  # before the weights, which may have to be downloaded
        return sha256_of(_perceptor(parts)) | {f"labels:{listed.name}": listed.sha256}
    return sha256_of(_perceptor(parts)) | ({"views": VIEWS_VERSION} if parts.kind == "views" else {})


def _parts(name: str) -> JudgeParts:
    try:
        return parse_judge_name(name)
    except ValueError as error:
        raise PluginError(f"judge {name!r}: {error}{'' if str(error).endswith('?') else '.'}") from None


def _perceptor(parts: JudgeParts) -> PerceptorName:
    return cast(PerceptorName, parts.perceptor)


def _labels(parts: JudgeParts, labels: Sequence[str]) -> LabelList:
    is_starter = _perceptor(parts).startswith("starter-")
    if not labels:
        return label_list(parts.labels, is_starter)
    return LabelList.of_file(Path(parts.labels).name, tuple(labels), is_starter)


@cache
def _judge_class(name: str) -> Any:
    return plugins(JUDGES_GROUP, PERCEPTORS)[0][name].load()
