"""Blind duels: two pictures of one prompt, and which is the better one. What they say of the pictures, and of the judges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dreamsweep.errors import StoreError
from dreamsweep.report.labels import PROMPT_COLUMNS, PromptKey, prompt_labels, prompt_of
from dreamsweep.report.marks import HOLDING_DUELS
from dreamsweep.report.query import Session, answer
from dreamsweep.report.ranks import RANKED_TRIALS
from dreamsweep.review.bradley_terry import Z_95, Floats, fit, next_pairs
from dreamsweep.review.marks import MarkId, Name, TrialId, write_once
from dreamsweep.store import Store

CONTENDERS = 100
"""Maximum number of trials of a prompt that meet in duels: those that rank highest."""

AGREEMENT = f"""
WITH held AS ({HOLDING_DUELS}), decided AS (
    SELECT sweep, rated_by, unnest([left_trial_id, right_trial_id]) AS trial_id, left_trial_id, right_trial_id,
           unnest([winner = 'left', winner = 'right']) AS won
    FROM held WHERE winner IN ('left', 'right')
), compared AS (
    SELECT sweep, rated_by, judge, version, left_trial_id, right_trial_id,
           max(score) FILTER (won) AS of_winner, max(score) FILTER (NOT won) AS of_loser
    FROM decided JOIN ranks USING (sweep, trial_id) GROUP BY ALL
)
SELECT rated_by, judge, CASE WHEN of_winner = of_loser THEN 0.5 ELSE (of_winner > of_loser)::DOUBLE END AS agrees FROM compared
WHERE of_winner IS NOT NULL AND of_loser IS NOT NULL
"""
"""Each duel without a tie beside each judge that scored both pictures; `agrees` is 0.5 where the judge finds them equal."""


POINTS = {"left": 1.0, "tie": 0.5, "right": 0.0}
"""Share of a win that each result gives the picture on the left."""


class NewDuel(BaseModel):
    """Duel as a browser sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: MarkId
    left: TrialId
    right: TrialId
    winner: Literal["left", "right", "tie", "none"]
    """`none` takes the duel of this pair back."""
    by: Name


@dataclass(frozen=True)
class Strength:
    """Strength of a picture among those of its prompt that met in duels."""

    trial: str
    duels: int
    strength: float
    """Log odds of beating an average one of them."""
    low: float
    high: float
    """Ends of its 95 % interval."""


@dataclass(frozen=True)
class Ranking:
    """Pictures of one prompt, the strongest first."""

    prompt: str
    duels: int
    strengths: list[Strength]


@dataclass(frozen=True)
class JudgeAgreement:
    """How often a judge prefers the picture that a person preferred, of the duels without a tie whose pictures it scored both."""

    judge: str
    duels: int
    share: float
    """Equal scores count half."""
    low: float
    high: float
    """Ends of its 95 % interval (Wilson, Journal of the American Statistical Association, 1927)."""


@dataclass(frozen=True)
class Duels:
    """What the duels of a sweep say: those of one person, or of everybody."""

    writable: bool
    people: list[str]
    """Everybody who has judged duels of the sweep."""
    duels: int
    rankings: list[Ranking]
    judges: list[JudgeAgreement]


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt to be judged next, with sides drawn by lot."""

    prompt: str
    left: str
    right: str


@dataclass(frozen=True)
class _Prompt:
    """Trials of one prompt, the highest ranked first, and how often each beat each other, `n n`."""

    label: str
    trials: list[str]
    wins: Floats
    judged: NDArray[np.bool_]
    """Which pairs have been judged, a tie included, `n n`."""


def duels(store: Store, sweep: str, person: str | None, writable: bool) -> Duels:
    """Returns what a person's duels say, everybody's for None. Raises StoreError where no sweep of that name is published."""
    return answer(store, lambda session: _duels(session, person, writable), sweep)


def pairs(store: Store, sweep: str, person: str, number: int, among: frozenset[str], draw: np.random.Generator) -> list[Pair]:
    """Returns the pairs that this person should judge next, those that tell most, pairs of one prompt one after the other.

    Only among these trials, or all where there are none. Raises StoreError where no sweep of that name is published.
    """
    prompts = answer(store, lambda session: _prompts(session, person, among), sweep)
    chosen = [(pair, prompt) for prompt in prompts for pair in next_pairs(fit(prompt.wins), ~prompt.judged, number, draw)]
    telling = sorted(chosen, key=lambda choice: -choice[0][2])[:number]
    order = list(dict.fromkeys(prompt.label for _, prompt in telling))
    return [
        Pair(prompt.label, *(prompt.trials[n] for n in draw.permutation(pair[:2])))
        for pair, prompt in sorted(telling, key=lambda choice: order.index(choice[1].label))
    ]


def write_duel(store: Store, sweep: str, duel: NewDuel, prompts: Mapping[str, object]) -> None:
    """Writes a duel as one object; one that is there already is left as it is. `prompts` are those of the sweep's trials, by id.

    Raises StoreError where the sweep has no such trials of one prompt.
    """
    for trial in (duel.left, duel.right):
        if trial not in prompts:
            raise StoreError(f"sweep {sweep!r} has no trial {trial!r}.")
    if duel.left == duel.right or prompts[duel.left] != prompts[duel.right]:
        raise StoreError(f"{duel.left!r} and {duel.right!r} are not two trials of one prompt; only such can be compared.")
    row = {"left_trial_id": duel.left, "right_trial_id": duel.right, "winner": duel.winner, "rated_by": duel.by}
    write_once(store, sweep, "duels", row, duel.id)


def _duels(session: Session, person: str | None, writable: bool) -> Duels:
    prompts = [prompt for prompt in _prompts(session, person, frozenset()) if prompt.judged.any()]
    rankings = [_ranking(prompt) for prompt in prompts]
    people = [
        row["rated_by"] for row in session.rows(f"SELECT DISTINCT rated_by FROM ({HOLDING_DUELS}) WHERE winner <> 'none' ORDER BY rated_by")
    ]
    verdicts: dict[str, list[float]] = {}
    for row in session.rows(AGREEMENT):
        if person in (None, row["rated_by"]):
            verdicts.setdefault(row["judge"], []).append(row["agrees"])
    judges = [_agreement(judge, agrees) for judge, agrees in sorted(verdicts.items())]
    return Duels(writable, people, sum(ranking.duels for ranking in rankings), rankings, judges)


def _prompts(session: Session, person: str | None, among: frozenset[str]) -> list[_Prompt]:
    """Returns every prompt that has two pictures or more, with a person's duels of them."""
    held = [row for row in session.rows(HOLDING_DUELS) if row["winner"] != "none" and person in (None, row["rated_by"])]
    met = {row[f"{side}_trial_id"] for row in held for side in ("left", "right")}
    columns = ", ".join(("trial_id", *PROMPT_COLUMNS))
    trials: dict[PromptKey, list[str]] = {}
    for row in session.rows(f"SELECT {columns} FROM {RANKED_TRIALS} WHERE best_uri IS NOT NULL ORDER BY rank NULLS LAST, trial_id"):
        of_prompt = trials.setdefault(prompt_of(row), [])
        if (not among or row["trial_id"] in among) and (len(of_prompt) < CONTENDERS or row["trial_id"] in met):
            of_prompt.append(row["trial_id"])
    labels = prompt_labels(trials)
    prompts = {key: _Prompt(labels[key], ids, np.zeros((len(ids),) * 2), np.zeros((len(ids),) * 2, bool)) for key, ids in trials.items()}
    place = {trial: (key, n) for key, ids in trials.items() for n, trial in enumerate(ids)}
    for row in held:
        (key, left), (other, right) = (place.get(row[f"{side}_trial_id"], (None, 0)) for side in ("left", "right"))
        if key is not None and key == other:
            prompt = prompts[key]
            prompt.judged[left, right] = prompt.judged[right, left] = True
            prompt.wins[left, right] += POINTS[row["winner"]]
            prompt.wins[right, left] += 1 - POINTS[row["winner"]]
    return [prompt for prompt in prompts.values() if len(prompt.trials) > 1]


def _ranking(prompt: _Prompt) -> Ranking:
    """Returns the strengths of those trials of a prompt that met in duels."""
    met = np.flatnonzero(prompt.judged.any(1))
    wins = prompt.wins[np.ix_(met, met)]
    strengths = fit(wins)
    low, high = strengths.intervals
    rows = [
        Strength(prompt.trials[trial], round((wins[n] + wins[:, n]).sum()), float(strengths.mean[n]), float(low[n]), float(high[n]))
        for n, trial in enumerate(met)
    ]
    return Ranking(prompt.label, round(wins.sum()), sorted(rows, key=lambda row: -row.strength))


def _agreement(judge: str, agrees: Sequence[float]) -> JudgeAgreement:
    share = sum(agrees) / len(agrees)
    return JudgeAgreement(judge, len(agrees), share, *_wilson(share, len(agrees)))


def _wilson(share: float, number: int) -> tuple[float, float]:
    """Returns the ends of Wilson's 95 % interval of a share."""
    square = Z_95**2
    middle = (share + square / (2 * number)) / (1 + square / number)
    reach = Z_95 / (1 + square / number) * math.sqrt(share * (1 - share) / number + square / (4 * number**2))
    return middle - reach, middle + reach
