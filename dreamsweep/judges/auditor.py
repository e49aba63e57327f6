"""The starter auditor: what a picture shows, by a network of another kind than the starter guide and judge, which chooses nothing.

Frozen features of an EfficientNet that learned photographs, and a linear head that learned drawings of about a thousand things and
pictures that show nothing (`dreamsweep.training.train_auditor`). docs/naming.md compares it with what a viewer sees.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.pool import POOL
from dreamsweep.guidance.targets import shrink
from dreamsweep.guidance.waypoints import place
from dreamsweep.guidance.wording import things_in
from dreamsweep.judges.protocol import Judgement
from dreamsweep.models.efficientnet_lite import EfficientNetLite, LiteShape, load_lite
from dreamsweep.spec import Trial
from dreamsweep.spec.judges import AUDITOR
from dreamsweep.weights.starter import read_weights, write_weights

SIDE = 128
"""Pixels on a side of a view."""
SMALLER = 0.8
"""Side of the picture in the views that show it smaller, on white."""
LEAST_SHARE = 1e-6
"""Shares nearer to 0, or to 1, count as this near: log-odds end nowhere."""
TOP = 5
"""Things that a judgement names, the likeliest first."""


@dataclass(frozen=True)
class Head:
    """The linear layers behind the features: to a vector, and from it to one logit for each thing and, last, for nothing."""

    project: Float[Tensor, "e d"]
    project_bias: Float[Tensor, "e"]
    classify: Float[Tensor, "n e"]
    classify_bias: Float[Tensor, "n"]

    def __call__(self, features: Float[Tensor, "b d"]) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b e"]]:
        """Returns the logits and the vectors."""
        vectors = F.linear(features, self.project, self.project_bias)
        return F.linear(vectors, self.classify, self.classify_bias), vectors


@dataclass(frozen=True)
class Calibration:
    """How likely a viewer names a thing, by its share: Platt scaling (Platt, 1999) of the log-odds. By default the share itself."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, share: float) -> float:
        """Returns the probability, of a share from 0 to 1."""
        within = min(max(share, LEAST_SHARE), 1 - LEAST_SHARE)
        return 1 / (1 + math.exp(-self.intercept - self.slope * math.log(within / (1 - within))))


class Auditor:
    """Shares of about a thousand things, and of nothing, in pictures."""

    def __init__(
        self, tower: EfficientNetLite, head: Head, calibration: Calibration, names: Sequence[str], sha256: str, device: str
    ) -> None:
        self.tower = tower.eval().requires_grad_(False).to(device)
        self.head = Head(*(value.to(device) for value in vars(head).values()))
        self.calibration, self.names, self.sha256 = calibration, tuple(names), sha256

    @torch.no_grad()
    def shares(self, pictures: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b e"]]:
        """Returns the shares, the last that of nothing, and unit vectors of the pictures; both means over fixed views."""
        logits, vectors = zip(*(self.head(self.tower(view)) for view in views(pictures)), strict=True)
        return torch.stack(logits).softmax(-1).mean(0), F.normalize(torch.stack(vectors).mean(0), dim=1)


def views(pictures: Float[Tensor, "b 3 h w"]) -> Iterator[Float[Tensor, "b 3 r r"]]:
    """Yields each picture at the size that the auditor sees: whole and smaller on white, each followed by its mirror image."""
    whole = shrink(pictures, SIDE)
    inner = round(SIDE * SMALLER)
    before = (SIDE - inner) // 2
    after = SIDE - inner - before
    for view in (whole, F.pad(shrink(pictures, inner), (before, after, before, after), value=1.0)):
        yield view
        yield view.flip(-1)


class AuditorJudge:
    """Scores a picture by how likely a viewer, who sees nothing else, names what its prompt does (see `Judge`, `Explains`).

    That is calibrated on the naming test (docs/naming.md), from the share of the prompt's things among all things and nothing.

    A prompt that names none of the things has no score. A frame of a walk is scored by the prompts that it stands between.
    """

    def __init__(self, auditor: Auditor, trials: Sequence[Trial]) -> None:
        self.auditor, self.trials = auditor, trials

    @classmethod
    def load(cls, trials: Sequence[Trial], device: str) -> "AuditorJudge":
        """Builds the judge from the weights that ship. Raises WeightsError when their file is missing or damaged."""
        return cls(load_auditor(device), trials)

    def warnings_for(self, text: str) -> list[str]:
        """Returns a sentence where a text names nothing that the auditor knows."""
        return [] if things_in(text, self.auditor.names) else [f"{AUDITOR} knows none of the things that {text!r} names"]

    def score(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> tuple[Float[Tensor, "b"], Float[Tensor, "b e"]]:
        """Returns the scores, not a number where a prompt names nothing that is known, and unit vectors of the pictures."""
        shares, vectors = self.auditor.shares(pictures)
        scores = [self._score(row, trial, iteration) for row, trial in zip(shares, self.trials, strict=True)]
        return torch.tensor([float("nan") if score is None else score for score in scores]), vectors

    def judgements(self, pictures: Float[Tensor, "b 3 h w"], iteration: int) -> list[Judgement]:
        """Returns the same scores, with the likeliest things and their shares."""
        shares, _ = self.auditor.shares(pictures)
        return [self._judgement(row, trial, iteration) for row, trial in zip(shares, self.trials, strict=True)]

    def _judgement(self, shares: Float[Tensor, "n"], trial: Trial, iteration: int) -> Judgement:
        best = shares.topk(min(TOP, len(shares)))
        names = (*self.auditor.names, "nothing")
        details = {names[at]: share for share, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)}
        seen = ", ".join(f"{name} {share:.0%}" for name, share in details.items())
        score = self._score(shares, trial, iteration)
        none = f"the prompt names none of the {len(self.auditor.names)} things that are known"
        reason = f"{none if score is None else f'{score:.0%} likely to be named'}; shows {seen}"
        return Judgement(score, reason, details)

    def _score(self, shares: Float[Tensor, "n"], trial: Trial, iteration: int) -> float | None:
        texts = [trial.prompt.text, *trial.prompt.to] if trial.engine.draws_frames else [trial.prompt.text]
        before, share = place(iteration, trial.num_iter, len(texts), trial.engine.walk_easing) if len(texts) > 1 else (0, 0.0)
        weighted = ((texts[before], 1 - share), (texts[min(before + 1, len(texts) - 1)], share))
        score = 0.0
        for text, weight in weighted:
            if weight:
                if not (things := things_in(text, self.auditor.names)):
                    return None
                score += weight * self.auditor.calibration(float(shares[[*things]].sum()))
        return score


def load_auditor(device: str) -> Auditor:
    """Returns the auditor that ships with dreamsweep. Raises WeightsError when its file is missing or damaged."""
    return POOL.get((AUDITOR, device), device, lambda: _loaded(device))


def _loaded(device: str) -> Auditor:
    tensors, metadata, sha256 = read_weights(AUDITOR)
    tower = load_lite(tensors, json.loads(metadata["shape"]))
    head = Head(*(tensors[f"head.{field}"].float() for field in Head.__dataclass_fields__))
    return Auditor(tower, head, Calibration(**json.loads(metadata["calibration"])), json.loads(metadata["names"]), sha256, device)


def save_auditor(
    path: Path, shape: LiteShape, tower: Mapping[str, Tensor], head: Head, names: Sequence[str], calibration: Calibration = Calibration()
) -> None:
    """Writes an auditor's weights in half precision, with its shape, the names of the things, and what a share says of naming."""
    tensors = {f"tower.{key}": value for key, value in tower.items()} | {f"head.{key}": value for key, value in vars(head).items()}
    record = {"shape": asdict(shape), "names": list(names), "calibration": asdict(calibration)}
    write_weights(path, {key: value.half() for key, value in tensors.items()}, {key: json.dumps(value) for key, value in record.items()})
