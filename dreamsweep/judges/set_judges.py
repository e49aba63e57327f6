"""Judges of sets: what they say of many pictures together, by the features that a perceptor has of each.

diversity[@PERCEPTOR]         how much the pictures of one prompt and engine differ
quality:FOLDER[@PERCEPTOR]    how near an engine's pictures are to real ones in a folder, and to their prompts
quality:FOLDER@inception      FID and KID of them
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from jaxtyping import Float

from dreamsweep.errors import UserError
from dreamsweep.judges.set_statistics import (
    NEIGHBOURS,
    frechet_distance,
    kernel_distance,
    label_score,
    mean_distance,
    precision_recall,
    r_precision,
    vendi_score,
)
from dreamsweep.spec import PerceptorName
from dreamsweep.spec.judges import DIVERSITY, QUALITY
from dreamsweep.text import did_you_mean

DEFAULT: PerceptorName = "starter-judge"
"""Perceptor of a judge of sets that names none."""
INCEPTION: Literal["inception"] = "inception"


@dataclass(frozen=True)
class SetJudge:
    """A judge of sets, as its name says."""

    name: str
    kind: Literal["diversity", "quality"]
    perceptor: PerceptorName | Literal["inception"]
    """Network whose features are compared."""
    folder: Path | None = None
    """Folder of real pictures, of a judge of quality."""


@dataclass(frozen=True)
class Score:
    """A statistic of a set; its value is None where the set is too small for it, and the error says so."""

    metric: str
    value: float | None
    error: str | None = None


@dataclass(frozen=True)
class Texts:
    """What pictures are compared with beside real ones."""

    prompts: Float[np.ndarray, "p d"]
    own: np.ndarray
    """Row of each picture's prompt."""
    labels: Float[np.ndarray, "c d"]
    scale: float
    """Factor of the cosines in the perceptor's softmax."""


def set_judge(name: str) -> SetJudge:
    """Returns the judge of sets of a name. Raises UserError where it names no perceptor or no folder that there is."""
    if not name.startswith(QUALITY):
        return SetJudge(name, "diversity", _perceptor(name, name.removeprefix(DIVERSITY).removeprefix("@") or DEFAULT))
    folder, at, perceptor = name.removeprefix(QUALITY).rpartition("@")
    if not at or (perceptor not in (*get_args(PerceptorName), INCEPTION) and Path(name.removeprefix(QUALITY)).is_dir()):
        folder, perceptor = name.removeprefix(QUALITY), DEFAULT
    if not folder or not Path(folder).is_dir():
        raise UserError(f"judge {name!r}: there is no folder {folder!r}; name one with real pictures, as in quality:photos.")
    return SetJudge(name, "quality", INCEPTION if perceptor == INCEPTION else _perceptor(name, perceptor), Path(folder))


def diversity_scores(features: Float[np.ndarray, "n d"]) -> list[Score]:
    """Returns mean pairwise distance and Vendi score of a set."""
    return [
        _score("mean_distance", 2, len(features), lambda: mean_distance(features)),
        _score("vendi_score", 1, len(features), lambda: vendi_score(features)),
    ]


def quality_scores(features: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"], texts: Texts) -> list[Score]:
    """Returns distances of a set from real pictures, precision and recall, and what the perceptor reads in it."""
    fewest = min(len(features), len(real))
    scores = [
        _score("frechet_distance", 2, fewest, lambda: frechet_distance(real, features)),
        _score("kernel_distance", 2, fewest, lambda: kernel_distance(real, features)),
        *_manifold_scores(features, real),
        _score("label_score", 1, len(features), lambda: label_score(_shares(features, texts))),
    ]
    if len(texts.prompts) < 2:
        return [*scores, Score("r_precision", None, "the sweep has one prompt, which is always the nearest")]
    return [*scores, _score("r_precision", 1, len(features), lambda: r_precision(features, texts.prompts, texts.own))]


def inception_scores(features: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]) -> list[Score]:
    """Returns FID and KID, and precision and recall on the same features. Needs the extra `quality`."""
    from dreamsweep.judges.inception import fid, kid

    fewest = min(len(features), len(real))
    return [
        _score("fid", 2, fewest, lambda: fid(real, features)),
        _score("kid", 2, fewest, lambda: kid(real, features)),
        *_manifold_scores(features, real),
    ]


def _manifold_scores(features: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]) -> list[Score]:
    fewest = min(len(features), len(real))
    precision, recall = precision_recall(real, features) if fewest > NEIGHBOURS else (0.0, 0.0)
    needs = NEIGHBOURS + 1
    return [_score("precision", needs, fewest, lambda: precision), _score("recall", needs, fewest, lambda: recall)]


def _score(metric: str, needs: int, pictures: int, compute: Callable[[], float]) -> Score:
    if pictures < needs:
        return Score(metric, None, f"it needs {needs} pictures, generated and real, and there are {pictures}")
    return Score(metric, compute())


def _shares(features: Float[np.ndarray, "n d"], texts: Texts) -> Float[np.ndarray, "n c"]:
    """Returns each picture's shares of the labels, as a zero-shot classifier has them."""
    logits = texts.scale * (features @ texts.labels.T)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    shares: Float[np.ndarray, "n c"] = powers / powers.sum(1, keepdims=True)
    return shares


def _perceptor(judge: str, name: str) -> PerceptorName:
    known: Sequence[str] = get_args(PerceptorName)
    if name not in known:
        similar = did_you_mean(name, known)
        raise UserError(f"judge {judge!r}: there is no perceptor {name!r}{similar}{'' if similar.endswith('?') else '.'}")
    return cast(PerceptorName, name)
